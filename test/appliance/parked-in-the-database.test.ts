/**
 * A site that is held keeps nothing in memory: its messages wait in the database, those of parts that many domains share too, and go on the
 * moment the hold ends, long before their own time. Nothing of it is an attempt.
 */
import { expect, onTestFinished, test } from "vitest";
import { openTestDatabase } from "../support/database.ts";
import { countBothWays, putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge } from "../support/oracle.ts";
import { openTaking, people } from "../support/taking.ts";
import { until } from "../support/until.ts";

const HELD = "mx.mixed1.example";
const COUNT = 3000;

test("a held site's messages are in the database, everything else is sent, and its end calls them back", async () => {
  const db = await openTestDatabase();
  onTestFinished(() => db.close());
  const host = await openTaking();
  onTestFinished(() => host.close());
  // Four domains through each other: no part has a domain of its own.
  const addresses = people(COUNT, 4, "mixed");
  const { id } = await putDelivery(db.sql, { addresses, partSize: 50 });
  const settings = { window: 4000, partSize: 50 };
  const mta = await openTestMta({
    sql: db.sql,
    port: host.port,
    settings,
    rules: [{ mx: "*", connections: 40 }],
    deps: { parkMs: 2000 },
  });
  onTestFinished(() => mta.close());
  mta.traffic.holdSite(HELD, 0, "suspension");
  await until(() => host.order.length === (COUNT * 3) / 4, { what: "the others to arrive", timeoutMs: 20_000 });
  await until(() => mta.mta.held === 0, { what: "memory to be empty", timeoutMs: 20_000 });
  expect(host.order.filter((to) => to.endsWith("@mixed1.example"))).toEqual([]);
  const parts = async (): Promise<unknown> =>
    (
      await db.sql`
        select (select count(*)::int from part where delivery_id = ${id} and owner = '' and pending > 0) as parts,
          (select count(*)::int from part where delivery_id = ${id} and due_at > now()) as late,
          (select count(*)::int from message where delivery_id = ${id} and attempts > 0 and status <> 2) as tried`
    )[0];
  await until(async () => JSON.stringify(await parts()) === JSON.stringify({ parts: 60, late: 60, tried: 0 }), {
    what: "all parts to wait for their time",
    timeoutMs: 20_000,
  }).catch(async () => expect(await parts()).toEqual({ parts: 60, late: 60, tried: 0 }));
  expect(mta.traffic.waiting).toBe(1);
  await until(() => mta.traffic.told.some(({ site, hold }) => site === HELD && hold?.kind === "suspension"), {
    what: "the statistics server to be told why",
    timeoutMs: 20_000,
  });

  // Their own time, ten seconds away, is put where it cannot be what brings them.
  await db.sql`update part set due_at = now() + interval '1 h' where delivery_id = ${id} and owner = ''`;
  mta.traffic.holdSite(HELD, 0, null);
  await until(() => host.order.length === COUNT, { what: "the held ones to come", timeoutMs: 30_000 });
  await until(async () => (await countBothWays(db.sql, id)).rows[2] === COUNT, {
    what: "all to be recorded",
    timeoutMs: 20_000,
  });
  expect((await judge(db.sql, id, host.taken)).judgement).toEqual(EXACT);
});
