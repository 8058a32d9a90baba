import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CHANNELS } from "../../src/db/sql.ts";
import { releaseLead, renewLead, takeLead } from "../../src/db/leader.ts";
import { loadSnapshot, saveSnapshot } from "../../src/db/stat-snapshot.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate stat_leader, tracking_leader, stat_snapshot`;
});

const LEASE = 60_000;
describe.each(["stat_leader", "tracking_leader"] as const)("the lead in %s", (table) => {
  const expire = (): Promise<unknown> =>
    db.sql`update ${db.sql(table)} set until = clock_timestamp() - interval '1 ms'`;

  test("of many that want it at once one has it", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => takeLead(db.sql, table, `s${i}:1`, LEASE, -1)));
    const [winner, ...others] = all.filter(({ ours }) => ours);
    expect(others).toEqual([]);
    expect(winner?.epoch).toBe(1);
    expect(new Set(all.map(({ server }) => server))).toEqual(new Set([winner?.server]));
    for (const { leftMs } of all) expect(leftMs).toBeGreaterThan(LEASE - 30_000);
  });

  test("goes to another when the lease has ended, with a higher epoch; one of many again", async () => {
    await takeLead(db.sql, table, "a:1", LEASE, -1);
    await expire();
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => takeLead(db.sql, table, `s${i}:1`, LEASE, -1)));
    expect(all.filter(({ ours }) => ours).map(({ epoch }) => epoch)).toEqual([2]);
  });

  test("is prolonged by its epoch and by no other", async () => {
    await takeLead(db.sql, table, "a:1", 1000, -1);
    expect((await renewLead(db.sql, table, 1, LEASE))?.leftMs).toBeGreaterThan(LEASE - 30_000);
    expect(await renewLead(db.sql, table, 2, LEASE)).toBeNull();
    expect(await renewLead(db.sql, table, 0, LEASE)).toBeNull();
  });

  test("is not prolonged once it has ended, though nobody took it", async () => {
    await takeLead(db.sql, table, "a:1", LEASE, -1);
    await expire();
    expect(await renewLead(db.sql, table, 1, LEASE)).toBeNull();
  });

  test("of the same address but another process has to be waited for", async () => {
    await takeLead(db.sql, table, "a:1", LEASE, -1);
    expect((await takeLead(db.sql, table, "a:1", LEASE, -1)).ours).toBe(false);
  });

  test("may be taken again at once by who knows that the epoch was its own", async () => {
    await takeLead(db.sql, table, "a:1", LEASE, -1);
    expect(await takeLead(db.sql, table, "a:1", LEASE, 1)).toMatchObject({ ours: true, epoch: 2 });
    expect((await takeLead(db.sql, table, "b:1", LEASE, 1)).ours).toBe(false);
  });

  test("given back it is free, and those who stand by are told; a stranger gives back nothing", async () => {
    const told: string[] = [];
    const listening = await db.sql.listen(CHANNELS.traffic, (payload) => void told.push(payload));
    await takeLead(db.sql, table, "a:1", LEASE, -1);
    await releaseLead(db.sql, table, 7, CHANNELS.traffic);
    expect((await takeLead(db.sql, table, "b:1", LEASE, -1)).ours).toBe(false);
    await releaseLead(db.sql, table, 1, CHANNELS.traffic);
    expect(await takeLead(db.sql, table, "b:1", LEASE, -1)).toMatchObject({ ours: true, epoch: 2 });
    await until(() => told.length > 0);
    expect(told).toEqual(["leader"]);
    await listening.unlisten();
  });

  test("times are the database's", async () => {
    const [row] = await db.sql<{ now: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`;
    const { now } = await takeLead(db.sql, table, "a:1", LEASE, -1);
    expect(Math.abs(now - (row?.now ?? 0))).toBeLessThan(10_000);
  });
});

describe("the snapshot", () => {
  test("is saved by the leader, and read as it was", async () => {
    expect(await loadSnapshot(db.sql)).toBeNull();
    await takeLead(db.sql, "stat_leader", "a:1", LEASE, -1);
    const body = { members: ["ü/0"], engine: { n: 1.5, deep: [[{}]] } };
    expect(await saveSnapshot(db.sql, 1, JSON.stringify(body))).toBe(true);
    expect(await loadSnapshot(db.sql)).toEqual({ epoch: 1, body });
    expect(await saveSnapshot(db.sql, 1, "[]")).toBe(true);
    expect(await loadSnapshot(db.sql)).toEqual({ epoch: 1, body: [] });
  });

  test("of a leader of yesterday is refused", async () => {
    await takeLead(db.sql, "stat_leader", "a:1", LEASE, -1);
    await saveSnapshot(db.sql, 1, '"first"');
    await db.sql`update stat_leader set until = clock_timestamp() - interval '1 ms'`;
    await takeLead(db.sql, "stat_leader", "b:1", LEASE, -1);
    expect(await saveSnapshot(db.sql, 1, '"late"')).toBe(false);
    expect(await loadSnapshot(db.sql)).toEqual({ epoch: 1, body: "first" });
    expect(await saveSnapshot(db.sql, 2, '"second"')).toBe(true);
  });

  test("is in the database before another can lead, or not at all", async () => {
    await takeLead(db.sql, "stat_leader", "a:1", LEASE, -1);
    // A save that is in the middle of its transaction: the lead cannot go to another until it is over.
    const { promise: goOn, resolve: end } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const saving = db.sql.begin(async (tx) => {
      await saveSnapshot(tx, 1, '"last"');
      begin();
      await goOn;
    });
    await begun;
    let taken = false;
    const taking = takeLead(db.sql, "stat_leader", "b:1", LEASE, 1).then((state) => {
      taken = true;
      return state;
    });
    await until(async () => {
      const [row] = await db.sql<{ waiting: number }[]>`
        select count(*)::int as waiting from pg_locks where not granted`;
      return (row?.waiting ?? 0) > 0;
    });
    expect(taken).toBe(false);
    end();
    await saving;
    expect((await taking).ours).toBe(true);
    expect(await loadSnapshot(db.sql)).toEqual({ epoch: 1, body: "last" });
  });
});
