/**
 * An mta is told to stop while PostgreSQL is away: it ends all the same, and what the ledger lacks is in the journal. The next process of
 * that name records it, and sends nothing twice.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSql } from "../../src/db/sql.ts";
import { putCluster } from "../support/cluster.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta, type TestMta } from "../support/mta.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openOwnPostgres } from "../support/own-postgres.ts";
import { openTaking, people } from "../support/taking.ts";
import { until } from "../support/until.ts";

test("what was sent and not recorded is in the journal, and no other is in doubt", async () => {
  const postgres = await openOwnPostgres(putCluster);
  onTestFinished(() => postgres.close());
  const host = await openTaking({ manners: { latencyMs: 12 } });
  onTestFinished(() => host.close());
  const folder = mkdtempSync(join(tmpdir(), "postilion-drain-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { id } = await putDelivery(postgres.sql, { addresses: people(1200, 2), partSize: 50, inDoubt: "hold" });
  const settings = { window: 600, partSize: 50 };
  const start = (): Promise<TestMta> => {
    // Each a pool of its own, as each process has.
    const sql = openSql(postgres.url, { poolSize: 4, name: "mta" });
    onTestFinished(() => sql.end({ timeout: 1 }));
    const rules = [{ mx: "*", connections: 4 }];
    return openTestMta({ sql, port: host.port, folder, settings, rules, recordMs: 1000 });
  };
  const first = await start();
  await until(() => host.order.length > 100, { what: "some to arrive" });
  await postgres.stop();
  const then = host.order.length;
  await until(() => host.order.length > then + 50, { what: "some more to arrive, of which the ledger does not know" });
  await first.close();
  const sent = host.order.length;
  expect(sent).toBeLessThan(1200);

  await postgres.start();
  const second = await start();
  onTestFinished(() => second.close());
  await until(async () => (await stateOf(postgres.sql, id)) === "finished", { what: "the rest", timeoutMs: 20_000 });
  const verdict = await judge(postgres.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 1200, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
  expect(verdict.doubted.size).toBe(0);
});
