/** The name of an mta has one holder, however many ask at once; who was not seen for a lease has lost it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { claimOwner, releaseOwner, seenOwner } from "../../src/db/owners.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

const LEASE = 60_000;
let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const claim = (owner: string, identity: string): Promise<string> => claimOwner(db.sql, owner, identity, LEASE);
async function ago(owner: string, ms: number): Promise<void> {
  await db.sql`update mta set seen_at = now() - ${ms} * interval '1 ms' where owner = ${owner}`;
}
async function row(owner: string): Promise<{ identity: string; fresh: boolean } | undefined> {
  const [found] = await db.sql<{ identity: string; fresh: boolean }[]>`
    select identity, seen_at > now() - interval '10 s' as fresh from mta where owner = ${owner}`;
  return found;
}

test("a name nobody has is ours, and again ours for the same identity", async () => {
  expect(await claim("free/0", "a")).toBe("");
  await ago("free/0", 30_000);
  expect(await claim("free/0", "a")).toBe("");
  expect(await row("free/0")).toEqual({ identity: "a", fresh: true });
});

test("another identity is told who has the name and since when, and changes nothing", async () => {
  await claim("web1/0", "first-identity");
  await db.sql`update mta set seen_at = date_trunc('second', now()) where owner = 'web1/0'`;
  const [seen] = await db.sql<{ seen_at: Date }[]>`select seen_at from mta where owner = 'web1/0'`;
  const sentence = await claim("web1/0", "second-identity");
  expect(sentence).toContain("web1/0");
  expect(sentence).toContain("first-identity");
  expect(sentence).toContain(seen!.seen_at.toISOString());
  expect(await row("web1/0")).toMatchObject({ identity: "first-identity" });
});

test("names are apart: by slot, and by case", async () => {
  for (const owner of ["many/0", "many/1", "Many/0"]) expect(await claim(owner, owner)).toBe("");
});

test("a holder not seen for a lease has lost the name, and learns it", async () => {
  await claim("dead/0", "a");
  await ago("dead/0", LEASE - 5000);
  expect(await claim("dead/0", "b")).not.toBe("");
  await ago("dead/0", LEASE + 1000);
  expect(await claim("dead/0", "b")).toBe("");
  expect(await row("dead/0")).toEqual({ identity: "b", fresh: true });
  await expect(seenOwner(db.sql, "dead/0", "a")).rejects.toMatchObject({
    code: "OWNER_TAKEN",
    message: expect.stringContaining("identity b"),
  });
  await releaseOwner(db.sql, "dead/0", "a");
  expect(await row("dead/0")).toMatchObject({ identity: "b" });
});

test("who is seen keeps the name; a row that is gone is made again", async () => {
  await claim("alive/0", "a");
  await ago("alive/0", LEASE + 1000);
  await seenOwner(db.sql, "alive/0", "a");
  expect(await claim("alive/0", "b")).not.toBe("");
  await db.sql`delete from mta where owner = 'alive/0'`;
  await seenOwner(db.sql, "alive/0", "a");
  expect(await row("alive/0")).toEqual({ identity: "a", fresh: true });
});

test("what is given back is free at once", async () => {
  await claim("back/0", "a");
  await releaseOwner(db.sql, "back/0", "a");
  expect(await row("back/0")).toBeUndefined();
  expect(await claim("back/0", "b")).toBe("");
});

test("of many that claim a name at once, new or lost, one gets it", async () => {
  for (const lost of [false, true]) {
    const names = Array.from({ length: 12 }, (_, i) => `${lost}-${i}`);
    const answers = await Promise.all(names.map((name) => claim("race/0", name)));
    const winners = names.filter((_, i) => answers[i] === "");
    expect(winners).toHaveLength(1);
    expect(await row("race/0")).toMatchObject({ identity: winners[0] });
    await ago("race/0", LEASE + 1000);
  }
});
