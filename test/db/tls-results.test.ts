import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { addTlsResults, dropTlsResults, tlsResultDomains, tlsResults } from "../../src/db/tls-results.ts";
import type { TlsResult } from "../../src/model/tls-result.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(() => db.sql`truncate tls_result`);

const row = (parts: Partial<TlsResult> = {}): TlsResult => ({
  day: "2026-01-31",
  domain: "good.test",
  policyType: "sts",
  policy: "version: STSv1\nmode: testing\n",
  mx: "mx1.good.test",
  sendingIp: "192.0.2.1",
  receivingIp: "192.0.2.25",
  result: "",
  sessions: 1,
  reason: "",
  ...parts,
});

test("counts add up; the last reason and policy stay", async () => {
  await addTlsResults(db.sql, [row({ sessions: 3 }), row({ result: "certificate-expired", reason: "first" })]);
  await addTlsResults(db.sql, [
    row({ sessions: 4, policy: "new" }),
    row({ result: "certificate-expired", reason: "last" }),
  ]);
  expect(await tlsResults(db.sql, "2026-01-31", "good.test")).toEqual([
    row({ sessions: 7, policy: "new" }),
    row({ sessions: 2, result: "certificate-expired", reason: "last" }),
  ]);
  expect(await tlsResults(db.sql, "2026-01-30", "good.test")).toEqual([]);
  expect(await tlsResults(db.sql, "2026-01-31", "other.test")).toEqual([]);
});

test("hostile text stays text", async () => {
  const odd = row({ reason: `a"b\\c{d},e'f;--\n`, mx: '{},"' });
  await addTlsResults(db.sql, [odd]);
  expect(await tlsResults(db.sql, odd.day, odd.domain)).toEqual([odd]);
});

test("two machines at once, in opposite order: nobody waits for ever", async () => {
  const rows = Array.from({ length: 300 }, (_, i) => row({ mx: `mx${i}.test` }));
  const reversed = rows.toReversed();
  await Promise.all(Array.from({ length: 12 }, (_, i) => addTlsResults(db.sql, i % 2 === 0 ? rows : reversed)));
  const all = await tlsResults(db.sql, "2026-01-31", "good.test");
  expect(all).toHaveLength(300);
  expect(new Set(all.map(({ sessions }) => sessions))).toEqual(new Set([12]));
});

test("domains of a day in pages; old days go; nothing is nothing", async () => {
  await addTlsResults(db.sql, []);
  await addTlsResults(db.sql, [
    row(),
    row({ mx: "mx2" }),
    row({ domain: "a.test" }),
    row({ domain: "b.test", day: "2026-01-01" }),
  ]);
  expect(await tlsResultDomains(db.sql, "2026-01-31", "", 10)).toEqual(["a.test", "good.test"]);
  expect(await tlsResultDomains(db.sql, "2026-01-31", "", 1)).toEqual(["a.test"]);
  expect(await tlsResultDomains(db.sql, "2026-01-31", "a.test", 10)).toEqual(["good.test"]);
  expect(await dropTlsResults(db.sql, "2026-01-31")).toBe(1);
});
