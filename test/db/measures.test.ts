/** The history of measures: written when one begins, once for each however often it is told, ended once. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type RecordedMeasure, listMeasures, recordMeasure } from "../../src/db/measures.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate measure`;
});

const T0 = Date.UTC(2026, 0, 1);
const measure: RecordedMeasure = {
  kind: "back-off",
  site: "mx.example.com",
  publicId: 3,
  by: "google.rate",
  reason: "3 such replies",
  since: T0,
  endedAt: 0,
};
const all = (): Promise<RecordedMeasure[]> => listMeasures(db.sql, { site: "", since: 0, limit: 100 });

test("a measure that goes on for longer is one row with the last reason; its end is set once", async () => {
  await recordMeasure(db.sql, measure);
  await recordMeasure(db.sql, measure);
  await recordMeasure(db.sql, { ...measure, reason: "bad again" });
  expect(await all()).toEqual([{ ...measure, reason: "bad again" }]);
  await recordMeasure(db.sql, { ...measure, reason: "bad again", endedAt: T0 + 5000 });
  await recordMeasure(db.sql, { ...measure, reason: "bad again", endedAt: T0 + 9000 });
  expect(await all()).toEqual([{ ...measure, reason: "bad again", endedAt: T0 + 5000 }]);
});

test("an end whose beginning nobody wrote down is a whole measure", async () => {
  await recordMeasure(db.sql, { ...measure, publicId: null, endedAt: T0 + 1000 });
  expect(await all()).toEqual([{ ...measure, publicId: null, endedAt: T0 + 1000 }]);
});

test("of a site: its own and those of all sites, the newest first, since a time, cut", async () => {
  await recordMeasure(db.sql, measure);
  await recordMeasure(db.sql, { ...measure, since: T0 + 1, publicId: 4 });
  await recordMeasure(db.sql, { ...measure, since: T0 + 2, site: "" });
  await recordMeasure(db.sql, { ...measure, since: T0 + 3, site: "other.example" });
  const of = async (site: string, since: number, limit: number): Promise<number[]> =>
    (await listMeasures(db.sql, { site, since, limit })).map((one) => one.since - T0);
  expect(await of("mx.example.com", 0, 100)).toEqual([2, 1, 0]);
  expect(await of("mx.example.com", T0 + 1, 100)).toEqual([2, 1]);
  expect(await of("", 0, 3)).toEqual([3, 2, 1]);
});
