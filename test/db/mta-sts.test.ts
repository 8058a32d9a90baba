import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { dropExpiredPolicies, findPolicy, loadPolicies, savePolicy, type StoredPolicy } from "../../src/db/mta-sts.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(() => db.sql`truncate mta_sts`);

const NOW = Date.UTC(2026, 0, 31, 12);
const policy = (domain: string, parts: Partial<StoredPolicy> = {}): StoredPolicy => ({
  domain,
  id: "1",
  body: "version: STSv1\n",
  fetchedAt: NOW - 1000,
  expiresAt: NOW + 86_400_000,
  ...parts,
});

test("a policy comes back as it was kept", async () => {
  await savePolicy(db.sql, policy("good.test", { body: "mx: ü\r\n'" }));
  expect(await findPolicy(db.sql, "good.test")).toEqual(policy("good.test", { body: "mx: ü\r\n'" }));
  expect(await findPolicy(db.sql, "GOOD.test")).toBeNull();
});

test("a newer one replaces it, an older one (another machine's, late) does not", async () => {
  await savePolicy(db.sql, policy("good.test", { id: "2", fetchedAt: NOW }));
  await savePolicy(db.sql, policy("good.test", { id: "1", fetchedAt: NOW - 5000 }));
  expect(await findPolicy(db.sql, "good.test")).toMatchObject({ id: "2" });
  await savePolicy(db.sql, policy("good.test", { id: "3", fetchedAt: NOW + 1 }));
  expect(await findPolicy(db.sql, "good.test")).toMatchObject({ id: "3" });
});

test("loading: in force, fetched since, the newest ones, not the huge ones", async () => {
  for (const [domain, fetchedAt] of [
    ["a.test", NOW - 3000],
    ["b.test", NOW - 2000],
    ["c.test", NOW - 1000],
  ] as const)
    await savePolicy(db.sql, policy(domain, { fetchedAt }));
  await savePolicy(db.sql, policy("over.test", { expiresAt: NOW - 1 }));
  await savePolicy(db.sql, policy("huge.test", { body: "x".repeat(65_536) }));
  const names = async (since: number, limit = 100): Promise<string[]> =>
    (await loadPolicies(db.sql, since, NOW, limit)).map(({ domain }) => domain);
  expect(await names(0)).toEqual(["a.test", "b.test", "c.test"]);
  expect(await names(NOW - 2500)).toEqual(["b.test", "c.test"]);
  expect(await names(0, 2)).toEqual(["b.test", "c.test"]);
  expect(await dropExpiredPolicies(db.sql, NOW)).toBe(1);
  expect(await findPolicy(db.sql, "over.test")).toBeNull();
});
