/**
 * A machine is suspended in the middle of its work (SIGSTOP) for longer than its lease. Another one takes its parts over by each delivery's
 * own policy, once stat has missed it and what it held is surely closed. When it wakes up it is a zombie: it holds open sessions in the middle of transactions, answers nobody read, and parts that are
 * not its own any more.
 */
import { expect, test, type TestContext } from "vitest";
import type { Sql } from "../../src/db/sql.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { type MtaProcess, openMtaProcess } from "../support/mta-process.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openTaking, people, type TakingHost } from "../support/taking.ts";
import { until } from "../support/until.ts";

const POLICIES = ["hold", "retry"] as const;
const EACH = 500;

interface Scene {
  readonly sql: Sql;
  readonly host: TakingHost;
  /** Of the deliveries, in the order of POLICIES. */
  readonly ids: readonly number[];
  readonly zombie: MtaProcess;
  readonly heir: MtaProcess;
}

/** A delivery of each policy, one mta frozen in the middle of both, another one that has just started. */
async function freeze({ onTestFinished }: TestContext): Promise<Scene> {
  const db = await openTestDatabase();
  onTestFinished(() => db.close());
  const host = await openTaking({ manners: { latencyMs: 12 } });
  onTestFinished(() => host.close());
  const ids: number[] = [];
  for (const inDoubt of POLICIES) {
    const addresses = people(EACH, 2, inDoubt);
    ids.push((await putDelivery(db.sql, { addresses, partSize: 50, inDoubt, retry: [1] })).id);
  }
  const start = async (machine: string): Promise<MtaProcess> => {
    const mta = { leaseMs: 1500, window: 400, partSize: 50 };
    const opened = await openMtaProcess({ machine, databaseUrl: db.url, relayPort: host.port, mta });
    onTestFinished(() => opened.close());
    return opened;
  };
  const zombie = await start("zombie");
  await until(() => host.order.length > 150, { what: "the first to be in the middle of it" });
  zombie.signal("SIGSTOP");
  return { sql: db.sql, host, ids, zombie, heir: await start("heir") };
}

async function allFinished({ sql, ids }: Scene): Promise<void> {
  for (const id of ids)
    await until(async () => (await stateOf(sql, id)) === "finished", { what: "all to be done", timeoutMs: 70_000 });
}

async function expectExact({ sql, host, ids }: Scene): Promise<void> {
  for (const [i, policy] of POLICIES.entries()) {
    const taken = new Map([...host.taken].filter(([address]) => address.includes(`@${policy}`)));
    const { judgement, doubles, doubted, rows } = await judge(sql, ids[i]!, taken);
    expect(judgement).toEqual(EXACT);
    expect(doubted.size).toBeGreaterThan(0);
    if (policy === "retry") expect(rows[2]).toBe(EACH);
    else {
      expect(doubles).toEqual([]);
      expect(rows[2]! + rows[7]!).toBe(EACH);
    }
  }
  const [left] = await sql<{ n: number }[]>`select count(*)::int as n from part where owner <> ''`;
  expect(left!.n).toBe(0);
}

const ledger = ({ sql, ids }: Scene): Promise<unknown[]> =>
  sql`
    select m.id, m.status, m.attempts, m.reason, (select count(*)::int from event e where e.message_id = m.id) as events
    from message m where m.delivery_id = any(${ids as number[]}::bigint[]) order by m.id`.then((rows) => [...rows]);

test.concurrent("another finishes its work; the zombie writes no dot any more and its late records are refused", async (context) => {
  const scene = await freeze(context);
  const { host, zombie, heir } = scene;
  await allFinished(scene);
  const before = await ledger(scene);
  const arrived = host.order.length;

  zombie.signal("SIGCONT");
  await until(() => zombie.log.includes("the lease holds again"), { what: "the zombie to see the time" });
  expect(await zombie.stop()).toBe(0);
  expect(zombie.log).toContain("outcomes were refused");
  expect(host.order.length).toBe(arrived);
  expect(await ledger(scene)).toEqual(before);
  expect(await heir.stop()).toBe(0);
  await expectExact(scene);
}, 90_000);

test.concurrent("it wakes up while another is at work on its parts: both go on, and nothing is done twice but in doubt", async (context) => {
  const scene = await freeze(context);
  const { sql, zombie, heir } = scene;
  const owned = async (machine: string): Promise<number> =>
    (await sql`select 1 from part where owner = ${machine}`).length;
  await until(async () => (await owned("zombie/0")) === 0, { what: "its parts to be taken over" });
  zombie.signal("SIGCONT");
  await allFinished(scene);
  expect(await zombie.stop()).toBe(0);
  expect(await heir.stop()).toBe(0);
  await expectExact(scene);
}, 90_000);
