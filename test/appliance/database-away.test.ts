/**
 * PostgreSQL goes away in the middle of a delivery and comes back on the same port. The mta is not touched: what it had done it records,
 * and goes on by itself.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { openSql, type Sql } from "../../src/db/sql.ts";
import { putCluster } from "../support/cluster.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openOwnPostgres, type OwnPostgres } from "../support/own-postgres.ts";
import { openTaking, people, stillness } from "../support/taking.ts";
import { until } from "../support/until.ts";

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await openOwnPostgres(putCluster);
});
afterAll(() => postgres.close());

let sql: Sql;
beforeEach(() => {
  sql = openSql(postgres.url, { poolSize: 4, name: "mta" });
});
afterEach(() => sql.end({ timeout: 1 }));

const finished = (id: number): Promise<boolean> =>
  until(async () => (await stateOf(postgres.sql, id)) === "finished", {
    what: "the delivery to end",
    timeoutMs: 20_000,
  });

test.each(["stop", "kill"] as const)("%s for a moment: nothing is lost, nothing comes twice", async (how) => {
  const host = await openTaking({ manners: { latencyMs: 3 } });
  onTestFinished(() => host.close());
  const { id } = await putDelivery(postgres.sql, { addresses: people(2500, 9, how), partSize: 50, retry: [1] });
  const mta = await openTestMta({ sql, port: host.port, settings: { window: 600, partSize: 50, leaseMs: 6000 } });
  onTestFinished(() => mta.close());
  await until(() => host.order.length > 400, { what: "some to arrive" });
  await postgres[how]();
  // What was claimed goes on meanwhile; then it waits for the ledger.
  const without = await stillness(() => host.order.length, "the sending");
  expect(without).toBeLessThan(2500);
  expect(mta.mta.held).toBeLessThanOrEqual(600 * 1.25);
  await postgres.start();
  await finished(id);
  const verdict = await judge(postgres.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 2500, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
  expect(verdict.doubted.size).toBe(0);
});

test("longer than the lease: nothing leaves once it is uncertain, then everything goes on", async () => {
  const host = await openTaking({ manners: { latencyMs: 10 } });
  onTestFinished(() => host.close());
  const { id } = await putDelivery(postgres.sql, { addresses: people(800, 1, "lease"), partSize: 50, retry: [1] });
  // Two sessions at 20 ms a message: what is in memory would last for many times the lease.
  const settings = { window: 600, partSize: 50, leaseMs: 2000 };
  const mta = await openTestMta({ sql, port: host.port, settings, rules: [{ mx: "*", connections: 2 }] });
  onTestFinished(() => mta.close());
  await until(() => host.order.length > 50, { what: "some to arrive" });
  await postgres.stop();
  const { connections } = host.counts;
  const sent = await stillness(() => host.order.length, "the sending");
  // Of the 600 in memory many are left: it is not for want of work that it stands still.
  expect(sent).toBeLessThan(550);
  const calls = host.counts.connections - connections;
  await stillness(() => 0, "time");
  expect(host.order.length).toBe(sent);
  // Nor is the site called again and again for nothing.
  expect(calls).toBeLessThan(20);
  await postgres.start();
  await finished(id);
  const verdict = await judge(postgres.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 800, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
});
