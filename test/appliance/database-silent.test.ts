/**
 * The connections to PostgreSQL fall silent in the middle of a delivery: no answer, no end, no error, as a firewall that forgot them leaves
 * them. New ones would work. The mta gives the dead ones up by itself and goes on; what was under way when they died is told apart.
 */
import { expect, onTestFinished, test } from "vitest";
import { openSql } from "../../src/db/sql.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { openTaking, people } from "../support/taking.ts";
import { until } from "../support/until.ts";

test("the mta gives up connections that do not answer, and goes on with new ones", async () => {
  const db = await openTestDatabase();
  onTestFinished(() => db.close());
  const host = await openTaking({ manners: { latencyMs: 4 } });
  onTestFinished(() => host.close());
  const url = new URL(db.url);
  const proxy = await openSilentProxy(Number(url.port));
  onTestFinished(() => proxy.close());
  url.port = String(proxy.port);
  const sql = openSql(url.href, { poolSize: 4, name: "mta", answerMs: 1000 });
  onTestFinished(() => sql.end({ timeout: 1 }));
  const { id } = await putDelivery(db.sql, { addresses: people(1500, 3), partSize: 50, retry: [1] });
  const mta = await openTestMta({ sql, port: host.port, settings: { window: 400, partSize: 50, leaseMs: 2000 } });
  onTestFinished(() => mta.close());
  await until(() => host.order.length > 300, { what: "some to arrive" });
  proxy.silence();
  await until(async () => (await stateOf(db.sql, id)) === "finished", {
    what: "the delivery to end",
    timeoutMs: 20_000,
  });
  const verdict = await judge(db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 1500, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
});
