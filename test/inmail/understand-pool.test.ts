/** The threads that understand mails: a batch in its order, rules that change meanwhile, a mail that is too much. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { type UnderstandPool, openUnderstandPool } from "../../src/inmail/understand-pool.ts";
import { type BounceTable, compileBounceRules } from "../../src/model/bounce-rules.ts";
import { shippedBounces } from "../support/bounce-rules.ts";

let pool: UnderstandPool;
let table: BounceTable = shippedBounces();
beforeAll(() => {
  pool = openUnderstandPool({ threads: 2, log: silentLog, table: () => table });
});
afterAll(() => pool.close());

const mail = (name: string): { bytes: Uint8Array; envelope: string } => ({
  bytes: readFileSync(join(import.meta.dirname, "fixtures", `${name}.eml`)),
  envelope: "",
});

test("batches come back in their order, each by the rules in force when it was given", async () => {
  const names = ["postfix-unknown", "complaint", "person", "qmail"];
  const kinds = ["report", "complaint", "person", "bounce"];
  const first = Promise.all(Array.from({ length: 6 }, () => pool.understand(names.map(mail))));
  for (const batch of await first) expect(batch.map((each) => "kind" in each && each.kind)).toEqual(kinds);
  table = compileBounceRules(table.rules.filter(({ id }) => id !== "user-unknown"));
  const [changed] = await pool.understand([mail("postfix-unknown")]);
  expect(changed).toMatchObject({ results: [{ verdict: { rule: "recipient-rejected", version: table.version } }] });
});

test("a mail that cannot be handed over fails alone", async () => {
  const bad = { bytes: (() => 0) as unknown as Uint8Array, envelope: "" };
  const [good, failed] = await pool.understand([mail("person"), bad]);
  expect(good).toMatchObject({ kind: "person" });
  expect(failed).toEqual({ error: expect.stringContaining("could not be cloned") });
});
