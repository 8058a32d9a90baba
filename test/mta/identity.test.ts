import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { identityOf } from "../../src/mta/identity.ts";
import { openJournal } from "../../src/mta/journal.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "postilion-identity-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("is made once for a folder, for its owner's eyes, and kept", () => {
  const folder = join(root, "journal", "0");
  const identity = identityOf(folder);
  expect(identity).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(statSync(join(folder, "id")).mode & 0o777).toBe(0o600);
  expect(identityOf(folder)).toBe(identity);
  expect(identityOf(join(root, "journal", "1"))).not.toBe(identity);
});

test.each(["", "1234", "00000000-0000-0000-0000-000000000000", "\0".repeat(37)])(
  "a file cut short is made anew: %j",
  (text) => {
    writeFileSync(join(root, "id"), text);
    const identity = identityOf(root);
    expect(identity).toMatch(/^[0-9a-f-]{36}$/);
    expect(identity).not.toBe(text);
    expect(readFileSync(join(root, "id"), "utf8")).toBe(`${identity}\n`);
    expect(identityOf(root)).toBe(identity);
  },
);

test("a folder that cannot be written is a fault", () => {
  writeFileSync(join(root, "file"), "");
  expect(() => identityOf(join(root, "file"))).toThrow(expect.objectContaining({ code: "JOURNAL_UNWRITABLE" }));
});

test("the journal does not read it", async () => {
  identityOf(root);
  const options = { folder: root, owner: "m/0", boot: "b", sync: false, log: silentLog };
  const first = openJournal(options);
  await first.journal.intend({ id: 1, partId: 1, epoch: 1, deliveryId: 1, status: 0, attempts: 0 });
  first.journal.close();
  const identity = identityOf(root);
  const { journal, rest } = openJournal(options);
  expect(rest.inDoubt.map(({ id }) => id)).toEqual([1]);
  expect(rest.complete).toBe(true);
  journal.close();
  expect(identityOf(root)).toBe(identity);
});
