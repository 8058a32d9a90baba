/** API tokens: found by their text only, never once revoked, and exactly one first. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { SCOPES, createFirstToken, createToken, findToken, listTokens, revokeToken } from "../../src/db/tokens.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

test("of four machines that start at once, one makes the first token", async () => {
  const made = await Promise.all([1, 2, 3, 4].map(() => createFirstToken(db.sql)));
  const [token, ...more] = made.filter((text) => text !== null);
  expect(more).toEqual([]);
  expect(await findToken(db.sql, token ?? "")).toMatchObject({ name: "first", scopes: [...SCOPES] });
  expect(await createFirstToken(db.sql)).toBeNull();
});

test("a token is good until it is revoked, and the database does not know its text", async () => {
  const { id, token } = await createToken(db.sql, "shop", ["messages:write"]);
  expect(await findToken(db.sql, token)).toEqual({ id, name: "shop", scopes: ["messages:write"] });
  const rows = await db.sql`select * from api_token`;
  expect(JSON.stringify(rows)).not.toContain(token.slice(4));
  expect(await revokeToken(db.sql, id)).toBe(true);
  expect(await revokeToken(db.sql, id)).toBe(false);
  expect(await findToken(db.sql, token)).toBeNull();
  const listed = (await listTokens(db.sql)).find((one) => one.id === id);
  expect(listed?.revokedAt).toBeGreaterThanOrEqual(listed?.createdAt ?? Infinity);
});

test.each(["", "pst_", "pst_x", `pst_${"a".repeat(10_000)}`, "' or true --", "pst_\0"])(
  "%.20s is nobody's",
  async (token) => {
    expect(await findToken(db.sql, token)).toBeNull();
  },
);
