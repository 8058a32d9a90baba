/** Error statistics in the ledger: written again they change nothing, and a report shows what passes its thresholds. */
import { afterAll, beforeEach, expect, test } from "vitest";
import {
  type PathPeriod,
  forgetPathStatistics,
  pathErrors,
  readPathStatistics,
  sitePeriods,
  writePathStatistics,
} from "../../src/db/path-statistics.ts";
import { openTestDatabase } from "../support/database.ts";

const db = await openTestDatabase();
afterAll(() => db.close());
beforeEach(async () => void (await db.sql`delete from path_statistics`));

const PERIOD = 300_000;
const NOON = Date.UTC(2026, 4, 1, 12);

const row = (parts: Partial<PathPeriod> = {}): PathPeriod => ({
  period: NOON,
  publicId: 1,
  site: "mx.a.example",
  mx: "mx.a.example",
  ip: "192.0.2.1",
  connects: 10,
  refused: 1,
  timedOut: 2,
  aborted: 3,
  attempts: 100,
  accepted: 90,
  deferred: 6,
  rejected: 4,
  bytes: 5_000_000_000,
  latencyMs: 20_000,
  lastReply: "451 4.7.1 later",
  ...parts,
});

const ALL = { since: 0, until: NOON * 2, site: "", minConnections: 0, minErrors: 0, minMessages: 0, limit: 100 };

test("a row written twice, or again with more, is one row with the greatest numbers", async () => {
  await writePathStatistics(db.sql, [row()]);
  await writePathStatistics(db.sql, [row()]);
  expect(await readPathStatistics(db.sql, 0, 10)).toEqual([row()]);
  await writePathStatistics(db.sql, [row({ attempts: 150, accepted: 80, lastReply: "" })]);
  expect(await readPathStatistics(db.sql, 0, 10)).toEqual([row({ attempts: 150 })]);
});

test("two who write the same rows in another order at once do not lock each other out", async () => {
  const rows = Array.from({ length: 500 }, (_, i) => row({ ip: `192.0.2.${i % 250}`, publicId: Math.floor(i / 250) }));
  await Promise.all(Array.from({ length: 8 }, (_, i) => writePathStatistics(db.sql, i % 2 ? rows : rows.toReversed())));
  expect(await readPathStatistics(db.sql, 0, 1000)).toHaveLength(500);
});

test("numbers nobody can have are cut, not refused", async () => {
  await writePathStatistics(db.sql, [
    row({ attempts: 1e12, rejected: 1e12, deferred: 1e12, refused: -5, latencyMs: 0.4 }),
  ]);
  expect(await readPathStatistics(db.sql, 0, 10)).toMatchObject([
    { attempts: 2_147_483_647, refused: 0, latencyMs: 0 },
  ]);
  expect(await pathErrors(db.sql, ALL)).toHaveLength(1);
});

test("what names in SQL, quotes and braces do: nothing", async () => {
  const evil = `mx'; drop table delivery; -- {"a",\\b} NULL`;
  await writePathStatistics(db.sql, [row({ site: evil, lastReply: evil }), row({ site: "NULL", lastReply: "" })]);
  expect((await pathErrors(db.sql, { ...ALL, site: evil })).map(({ lastReply }) => lastReply)).toEqual([evil]);
});

test("the report: sites by errors, paths inside, the last reply of the newest period", async () => {
  await writePathStatistics(db.sql, [
    row(),
    row({ period: NOON + PERIOD, lastReply: "550 newest", mx: "mx.a.example" }),
    row({ publicId: 2, lastReply: "", rejected: 500 }),
    row({ site: "mx.b.example", mx: "mx.b.example", deferred: 10_000 }),
  ]);
  const found = await pathErrors(db.sql, ALL);
  expect(found.map(({ site, publicId, errors }) => [site, publicId, errors])).toEqual([
    ["mx.b.example", 1, 10_010],
    ["mx.a.example", 2, 512],
    ["mx.a.example", 1, 32],
  ]);
  expect(found[2]).toMatchObject({
    attempts: 200,
    bytes: 10_000_000_000,
    lastReply: "550 newest",
    lastAt: NOON + PERIOD,
  });
  expect(found[1]).toMatchObject({ lastReply: "" });
});

test.each([
  [{ minConnections: 14 }, 0],
  [{ minConnections: 13 }, 1],
  [{ minErrors: 17 }, 0],
  [{ minErrors: 16 }, 1],
  [{ minMessages: 101 }, 0],
  [{ minMessages: 100 }, 1],
  [{ since: NOON + 1 }, 0],
  [{ until: NOON - 1 }, 0],
  [{ site: "mx.b.example" }, 0],
])("threshold %j: %i sites", async (query, sites) => {
  await writePathStatistics(db.sql, [row()]);
  expect(await pathErrors(db.sql, { ...ALL, ...query })).toHaveLength(sites);
});

test("periods of a site, all paths together", async () => {
  await writePathStatistics(db.sql, [
    row(),
    row({ ip: "192.0.2.2" }),
    row({ period: NOON + PERIOD }),
    row({ site: "x" }),
  ]);
  expect(await sitePeriods(db.sql, "mx.a.example", NOON)).toMatchObject([
    { period: NOON, attempts: 200, connects: 20 },
    { period: NOON + PERIOD, attempts: 100, connects: 10 },
  ]);
});

test("old rows go in pieces", async () => {
  await writePathStatistics(
    db.sql,
    Array.from({ length: 25 }, (_, i) => row({ period: NOON - i * PERIOD })),
  );
  expect(await forgetPathStatistics(db.sql, NOON, 20)).toBe(20);
  expect(await forgetPathStatistics(db.sql, NOON, 20)).toBe(4);
  expect(await forgetPathStatistics(db.sql, NOON, 20)).toBe(0);
  expect(await readPathStatistics(db.sql, 0, 10)).toHaveLength(1);
});
