/** Hits that came before the ledger knew when their message was sent. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { reactionsOf } from "../../src/db/tracking-reports.ts";
import { unsentReactions } from "../../src/db/tracking-state.ts";
import { lookAgain } from "../../src/workflow/second-look.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  type Counter,
  GMAIL,
  hit,
  keptSums,
  markSent,
  NOW,
  openCounter,
  reckonedSums,
  sentDelivery,
} from "../support/tracking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
let counter: Counter;
let epoch = 0;
const stop: (() => Promise<void>)[] = [];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  counter = await openCounter(db.sql, ++epoch);
  const ended = new AbortController();
  const done = lookAgain(
    { sql: db.sql, consolidator: counter.consolidator, clock: counter.clock, log: silentLog },
    ended.signal,
  );
  stop.push(async () => {
    ended.abort();
    await done;
  });
});
afterEach(async () => {
  for (let end = stop.pop(); end !== undefined; end = stop.pop()) await end();
  // oxlint-disable-next-line vitest/no-standalone-expect -- holds behind every test
  expect(await keptSums(db.sql)).toEqual(await reckonedSums(db.sql));
});

/** Looks, and until it has changed something. */
async function look(changed: () => Promise<boolean>): Promise<void> {
  await until(async () => {
    await counter.clock.advance(1000);
    return changed();
  });
}
const classes = async (delivery: number): Promise<string[]> =>
  (await db.sql<{ rule: string }[]>`select rule from tracking where delivery_id = ${delivery} order by at, id`).map(
    ({ rule }) => rule,
  );
const none = async (): Promise<boolean> => (await unsentReactions(db.sql, 0, 10)).length === 0;

test("are looked at again when it does: those before it and at once are machines', the others stay", async () => {
  const d = await sentDelivery(db.sql, 3, { sentAt: null });
  await counter.take([
    hit({ message: d.firstId, at: NOW - 100, visitor: "v" }),
    hit({ message: d.firstId, at: NOW + 50, kind: "open", userAgent: GMAIL }),
    hit({ message: d.firstId, at: NOW + 30_000, visitor: "v", ip: "198.51.100.0" }),
    hit({ message: d.firstId + 1, at: NOW + 20_000 }),
  ]);
  expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
    recipientOpen: 2,
    totalRecipientClick: 3,
    personClick: 2,
  });
  await markSent(db.sql, d.firstId, 1, NOW);
  await markSent(db.sql, d.firstId + 1, 1, NOW + 5000);
  await look(none);
  expect(await classes(d.id)).toEqual(["early", "early-proxy", "", ""]);
  expect((await reactionsOf(db.sql, d.id))?.people).toMatchObject({
    recipientOpen: 2,
    totalRecipientClick: 2,
    totalRecipientOpen: 0,
  });
  // The next ones are judged by it at once.
  await counter.take([hit({ message: d.firstId, at: NOW + 1000, link: 2 })]);
  expect(await classes(d.id)).toContain("early");
});

test("count at once by what is known by then, and their forerunners are still looked at", async () => {
  const d = await sentDelivery(db.sql, 1, { sentAt: null });
  await counter.take([hit({ message: d.firstId, at: NOW - 100 })]);
  await markSent(db.sql, d.firstId, 1, NOW);
  await counter.take([hit({ message: d.firstId, at: NOW + 500, link: 2 })]);
  await look(none);
  expect(await classes(d.id)).toEqual(["early", "early"]);
  expect((await reactionsOf(db.sql, d.id))?.people.recipientOpen).toBe(0);
});

test("are given up an hour after the last of them", async () => {
  const d = await sentDelivery(db.sql, 1, { sentAt: null });
  await counter.take([hit({ message: d.firstId })]);
  for (let i = 0; i < 5; i++) await counter.clock.advance(10_000);
  expect(await none()).toBe(false);
  await counter.clock.advance(3_600_000);
  await look(none);
  expect(await classes(d.id)).toEqual([""]);
});
