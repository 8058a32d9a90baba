/**
 * The moments between the database and the mta's memory: a claim that is committed and of which the mta never learns, and a renewal that
 * is older than a claim. In both the ledger and the mta disagree on what is claimed; nothing may stay behind for ever.
 */
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { CHANNELS, openSql } from "../../src/db/sql.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import type { PlainRule } from "../support/plain-traffic.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openTaking, people, stillness } from "../support/taking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeEach(async () => {
  db = await openTestDatabase();
});
afterEach(() => db.close());

const finished = (id: number): Promise<boolean> =>
  until(async () => (await stateOf(db.sql, id)) === "finished", { what: `delivery ${id} to end`, timeoutMs: 30_000 });

/** Process id of the mta's connection that waits for a lock with a statement like this. */
const blocked = (like: string): Promise<number | undefined> =>
  until(
    async () => {
      const [row] = await db.sql<{ pid: number }[]>`
        select pid from pg_stat_activity where application_name = 'mta' and wait_event_type = 'Lock' and query like ${like}
          and datname = current_database()`;
      return row?.pid;
    },
    { what: `a statement like ${like} to wait` },
  );

/** Does `work` while a lock is held, and lets go of it. */
async function locked(statement: string, work: () => Promise<void>): Promise<void> {
  await db.sql.begin(async (tx) => {
    await tx.unsafe(statement);
    await work();
  });
}

async function mta(port: number, settings: object, rules: readonly PlainRule[] = []): Promise<void> {
  const sql = openSql(db.url, { poolSize: 4, name: "mta" });
  onTestFinished(() => sql.end({ timeout: 1 }));
  const opened = await openTestMta({ sql, port, settings: { ...settings }, rules });
  onTestFinished(() => opened.close());
}

test("the connection breaks between a claim and the loading of its messages: they are sent all the same", async () => {
  const host = await openTaking();
  onTestFinished(() => host.close());
  const { id, firstId } = await putDelivery(db.sql, { addresses: people(200, 1, "claim"), partSize: 50 });
  await locked(`lock table message_${Math.floor(firstId / 2 ** 32)} in access exclusive mode`, async () => {
    await mta(host.port, { leaseMs: 1200 });
    const pid = await blocked("%");
    await db.sql`select pg_terminate_backend(${pid!})`;
  });
  await finished(id);
  const verdict = await judge(db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict.rows[2]).toBe(200);
});

test("messages that take longer to load than several renewals are sent once", async () => {
  const host = await openTaking();
  onTestFinished(() => host.close());
  const { id, firstId } = await putDelivery(db.sql, { addresses: people(200, 1, "slow"), partSize: 50 });
  await locked(`lock table message_${Math.floor(firstId / 2 ** 32)} in access exclusive mode`, async () => {
    await mta(host.port, { leaseMs: 800 });
    await blocked("%");
    await stillness(() => host.order.length, "everything");
  });
  await finished(id);
  const verdict = await judge(db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict.doubles).toEqual([]);
});

test("a renewal that began before a claim says nothing about it", async () => {
  const host = await openTaking({ manners: { latencyMs: 60 } });
  onTestFinished(() => host.close());
  const first = await putDelivery(db.sql, { addresses: people(10, 1, "early") });
  const rules = ["early", "late"].map((name) => ({ mx: `mx.${name}0.example`, connections: 1 }));
  // The second has to begin before the lease is over that the first cannot renew.
  await mta(host.port, { leaseMs: 6000 }, rules);
  await until(() => host.order.length > 0, { what: "the first to arrive" });
  let late = 0;
  await locked(`select id from part where delivery_id = ${first.id} for update`, async () => {
    await blocked("%set lease_until%");
    const second = await putDelivery(db.sql, { addresses: people(30, 1, "late") });
    late = second.id;
    await db.sql.notify(CHANNELS.work, String(late));
    await until(() => host.order.some((address) => address.endsWith("@late0.example")), {
      what: "the second to begin",
    });
  });
  await finished(first.id);
  await finished(late);
  for (const id of [first.id, late]) {
    const addresses = new Map([...host.taken].filter(([address]) => address.includes("@late") === (id === late)));
    const verdict = await judge(db.sql, id, addresses);
    expect(verdict.judgement).toEqual(EXACT);
  }
});
