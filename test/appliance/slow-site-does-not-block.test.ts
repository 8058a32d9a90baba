/**
 * Most of a delivery goes to a site that is very slow, the rest elsewhere. The rest arrives while the slow one is still at its first, memory
 * keeps its bound, and waiting is not an attempt. Once with the parts mixed, as a long tail shares them, and once with a domain's own.
 */
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { loopbackResolver, openTestMta } from "../support/mta.ts";
import { EXACT, judge } from "../support/oracle.ts";
import { openTaking } from "../support/taking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeEach(async () => {
  db = await openTestDatabase();
});
afterEach(() => db.close());

const COUNT = 3000;
const WINDOW = 600;
/** Of five recipients, three are at the slow site: 60 %. */
const isSlow = (i: number): boolean => i % 5 < 3;

const MIXED = Array.from({ length: COUNT }, (_, i) =>
  isSlow(i) ? `p${i}@slow.example` : `p${i}@quick${i % 7}.example`,
);
/** As an upload lays them out: a domain's recipients together, the slow one's first, so that it has every chance to fill the window. */
const SORTED = MIXED.toSorted((a, b) => Number(b.endsWith("@slow.example")) - Number(a.endsWith("@slow.example")));

test.each([
  ["mixed parts", MIXED],
  ["parts of their own", SORTED],
])("%s: the others do not wait for it", async (kind, addresses) => {
  const slow = await openTaking({ manners: { latencyMs: 500 } });
  onTestFinished(() => slow.close());
  let most = 0;
  const quick = await openTaking({
    address: "127.0.0.2",
    port: slow.port,
    accept: () => (most = Math.max(most, mta.mta.held)),
  });
  onTestFinished(() => quick.close());
  const { id } = await putDelivery(db.sql, { addresses, partSize: 50, state: "paused" });
  if (kind !== "mixed parts")
    await db.sql`
      update part p set domain = 'slow.example' where delivery_id = ${id}
        and not exists (select 1 from message m where m.id between p.first_id and p.last_id and m.address not like '%@slow.example')`;
  await db.sql`update delivery set state = 'sending' where id = ${id}`;
  const mta = await openTestMta({
    sql: db.sql,
    port: slow.port,
    settings: { window: WINDOW, partSize: 50 },
    rules: [{ mx: "mx.slow.example", connections: 2 }],
    deps: {
      resolver: {
        ...loopbackResolver,
        addresses: (name) => Promise.resolve([name === "mx.slow.example" ? "127.0.0.1" : "127.0.0.2"]),
      },
    },
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (!closed) await mta.close();
    closed = true;
  };
  onTestFinished(close);

  const others = addresses.filter((address) => !address.endsWith("@slow.example"));
  await until(() => quick.taken.size === others.length, { what: "all others to arrive", timeoutMs: 25_000 }).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}: ${quick.taken.size} of ${others.length}, slow ${slow.taken.size}`, {
        cause: error,
      });
    },
  );
  // Two sessions of half a second a round trip: it has hardly begun.
  expect(slow.taken.size).toBeLessThan(300);
  expect(most).toBeLessThanOrEqual(WINDOW * 1.25);
  await db.sql`update delivery set state = 'stopped' where id = ${id}`;
  await close();
  const verdict = await judge(db.sql, id, new Map([...quick.taken, ...slow.taken]));
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict.attempts).toBe(1);
  expect(verdict.rows[1]).toBe(0);
  const [tried] = await db.sql<{ n: number }[]>`
    select count(*)::int as n from message where delivery_id = ${id} and status = 0 and attempts > 0`;
  expect(tried!.n).toBe(0);
});
