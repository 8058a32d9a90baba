/** Migrations: order, once only, all or nothing, together from several machines, and never on a database that is ahead. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { migrate, readMigrations, requireSchema } from "../../src/db/migrate.ts";
import { openSql } from "../../src/db/sql.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const known = readMigrations();
const next = (version: number, text: string) => [...known, { version: known.length + version, name: "test", text }];

test("a migrated database needs nothing more", async () => {
  expect(known.length).toBeGreaterThan(0);
  expect(await migrate(db.sql, silentLog)).toBe(0);
  await requireSchema(db.sql);
});

test("a migration that fails leaves nothing behind and says which", async () => {
  const broken = next(1, "create table half (a int); insert into half values (1); select broken from nowhere");
  await expect(migrate(db.sql, silentLog, broken)).rejects.toThrow(/migration \d+ \(test\) failed: relation "nowhere"/);
  expect(await db.sql`select to_regclass('half') as half`).toEqual([{ half: null }]);
  await requireSchema(db.sql);
});

test("a database behind the code is refused by a module", async () => {
  await expect(requireSchema(db.sql, known.length + 1)).rejects.toMatchObject({ code: "DATABASE_SCHEMA" });
});

test("four machines that start together apply each migration once; older code then refuses", async () => {
  const more = next(1, "create table once (a int); insert into once values (1)");
  const pools = Array.from({ length: 4 }, () => openSql(db.url, { poolSize: 1, name: "machine" }));
  const counts = await Promise.all(pools.map((sql) => migrate(sql, silentLog, more)));
  expect(counts.toSorted()).toEqual([0, 0, 0, 1]);
  expect(await db.sql`select count(*)::int as n from once`).toEqual([{ n: 1 }]);
  await expect(migrate(db.sql, silentLog)).rejects.toMatchObject({ code: "DATABASE_SCHEMA" });
  await expect(requireSchema(db.sql)).rejects.toThrow(/newer Postilion/);
  await Promise.all(pools.map((sql) => sql.end()));
});
