/** Suspensions of operators: in force until resumed or until their time, never forgotten, told to whoever listens. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { CHANNELS } from "../../src/db/sql.ts";
import { activeSuspensions, addSuspension, endSuspension, suspensionHistory } from "../../src/db/traffic-holds.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate suspension restart identity`;
});

const wanted = { site: "*.Example.COM", publicId: 3, reason: "they asked us to", by: "alice", until: null };

test("a suspension is in force until somebody resumes it, once", async () => {
  const added = await addSuspension(db.sql, wanted);
  expect(added).toMatchObject({
    site: "*.example.com",
    publicId: 3,
    reason: "they asked us to",
    by: "alice",
    until: 0,
  });
  expect(added.since).toBeGreaterThan(Date.UTC(2020, 0, 1));
  expect(await activeSuspensions(db.sql)).toEqual([added]);

  expect(await endSuspension(db.sql, added.id, "bob")).toEqual(added);
  expect(await activeSuspensions(db.sql)).toEqual([]);
  expect(await endSuspension(db.sql, added.id, "carol"), "a second time").toBeNull();
  expect(await endSuspension(db.sql, 4711, "carol"), "one that never was").toBeNull();

  const [past] = await suspensionHistory(db.sql, { before: 0, limit: 10 });
  expect(past).toMatchObject({ id: added.id, endedBy: "bob", by: "alice", reason: "they asked us to" });
  expect(past!.endedAt).toBeGreaterThanOrEqual(added.since);
});

test("everything, for everybody: no site and no public id", async () => {
  const all = await addSuspension(db.sql, { ...wanted, site: "", publicId: null });
  expect(all).toMatchObject({ site: "", publicId: null });
  expect(await activeSuspensions(db.sql)).toEqual([all]);
});

test("its time ends it: no longer in force, cannot be resumed, and the history says when", async () => {
  const past = new Date(Date.now() - 3_600_000);
  const over = await addSuspension(db.sql, { ...wanted, until: past });
  const later = await addSuspension(db.sql, { ...wanted, until: new Date(Date.now() + 3_600_000) });
  expect(await activeSuspensions(db.sql)).toEqual([later]);
  expect(later.until).toBeGreaterThan(Date.now());
  expect(await endSuspension(db.sql, over.id, "bob")).toBeNull();
  const [newest, oldest] = await suspensionHistory(db.sql, { before: 0, limit: 10 });
  expect(newest).toMatchObject({ id: later.id, endedAt: 0, endedBy: "" });
  expect(oldest).toMatchObject({ id: over.id, endedAt: past.getTime(), endedBy: "" });
});

test("the history comes in pages, the newest first", async () => {
  for (let i = 0; i < 5; i++) await addSuspension(db.sql, { ...wanted, reason: `reason ${i}` });
  const first = await suspensionHistory(db.sql, { before: 0, limit: 2 });
  const second = await suspensionHistory(db.sql, { before: first[1]!.id, limit: 2 });
  expect([...first, ...second].map(({ reason }) => reason)).toEqual(["reason 4", "reason 3", "reason 2", "reason 1"]);
});

test("who listens is told of each change, with the id", async () => {
  const told: string[] = [];
  const listening = await db.sql.listen(CHANNELS.traffic, (payload) => void told.push(payload));
  const { id } = await addSuspension(db.sql, wanted);
  await endSuspension(db.sql, id, "bob");
  await endSuspension(db.sql, id, "nobody is told of nothing");
  await until(() => told.length === 2);
  expect(told).toEqual([String(id), String(id)]);
  await listening.unlisten();
});

test("hostile text is kept as it was typed and does nothing", async () => {
  const reason = "'; drop table suspension; -- \u202e\r\n$1";
  const { id } = await addSuspension(db.sql, { ...wanted, reason, by: "o'brien" });
  expect(await activeSuspensions(db.sql)).toMatchObject([{ id, reason, by: "o'brien" }]);
});
