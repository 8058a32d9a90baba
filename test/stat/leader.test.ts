import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { CHANNELS, openSql } from "../../src/db/sql.ts";
import { takeLead } from "../../src/db/leader.ts";
import { saveSnapshot } from "../../src/db/stat-snapshot.ts";
import type { LinkEvents } from "../../src/quota/link-contract.ts";
import { openTcpLink } from "../../src/quota/link.ts";
import { openServerTime } from "../../src/base/server-time.ts";
import { openStatServer, type StatServer, type StatServerOptions } from "../../src/stat/server.ts";
import { handClock } from "../support/clock.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { noGovernor, type SmallEngine, smallEngine } from "../support/small-engine.ts";
import { acquire, greet, openRawClient } from "../support/stat-client.ts";
import { until } from "../support/until.ts";

const SECRET = Buffer.from("a secret of more than thirty-two characters");
const LEASE_MS = 600;

let db: TestDatabase;
const open: (() => unknown)[] = [];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate stat_leader, stat_snapshot`;
});
afterEach(async () => {
  for (let close = open.pop(); close !== undefined; close = open.pop()) await close();
});

interface Made {
  readonly server: StatServer;
  /** One for each reign. */
  readonly engines: SmallEngine[];
  readonly address: string;
}

async function statServer(options: Partial<StatServerOptions> = {}, began: () => void = () => {}): Promise<Made> {
  const engines: SmallEngine[] = [];
  const server = await openStatServer({
    host: "127.0.0.1",
    port: 0,
    secret: SECRET,
    sql: db.sql,
    leaderMs: LEASE_MS,
    snapshotMs: 100,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    open: () => {
      began();
      const engine = smallEngine(2);
      engines.push(engine);
      return { engine, governor: noGovernor(), queries: () => null };
    },
    ...options,
  });
  open.push(() => server.close());
  return { server, engines, address: `127.0.0.1:${server.port}` };
}

/** A link that keeps what it heard. */
function link(addresses: readonly string[]): { readonly events: string[]; readonly send: (id: number) => void } {
  const events: string[] = [];
  const opened = openTcpLink({
    addresses,
    secret: SECRET,
    member: "m1/0",
    tls: null,
    clock: systemClock,
    log: silentLog,
  });
  const told: LinkEvents = {
    held: () => ({ process: "0123456789abcdef", held: [] }),
    up: () => void events.push("up"),
    message: (message) => void events.push(message.t),
    down: () => void events.push("down"),
  };
  opened.open(told);
  open.push(() => opened.close());
  return { events, send: (id) => opened.send(acquire(id) as never) };
}

const leads = ({ server }: Made): boolean => server.parts !== null;
const saved = (): Promise<{ epoch: number; body: { engine: unknown } }[]> =>
  db.sql<{ epoch: number; body: { engine: unknown } }[]>`select epoch, body from stat_snapshot`;

describe("who leads", () => {
  test("one of two; the other says who", async () => {
    const [a, b] = await Promise.all([statServer(), statServer()]);
    await until(() => leads(a) || leads(b));
    const [leader, other] = leads(a) ? [a, b] : [b, a];
    await until(() => other.server.leader === leader.address);
    const client = await openRawClient(other.server.port);
    open.push(() => client.close());
    await greet(client, SECRET);
    expect((await client.hears("leave")).text).toBe(`the leader is ${leader.address}`);
    expect(leads(other)).toBe(false);
    const c = link([other.address, leader.address]);
    await until(() => c.events.includes("up"));
    expect(leader.engines[0]?.joined).toEqual(["m1/0"]);
  });

  test("a stranger learns from a server that stands by as much as from one that leads", async () => {
    await takeLead(db.sql, "stat_leader", "elsewhere:1", 60_000, -1);
    const { server } = await statServer();
    const client = await openRawClient(server.port);
    open.push(() => client.close());
    await greet(client, Buffer.from("another secret of more than thirty-two chars"));
    await until(() => client.closed);
    expect(client.heard.map(({ t }) => t)).toEqual(["challenge", "error"]);
    expect(client.text).not.toContain("elsewhere");
  });

  test("a leader that is dead is followed when its lease has ended, with what it had saved", async () => {
    await takeLead(db.sql, "stat_leader", "dead:1", 300, -1);
    await saveSnapshot(db.sql, 1, JSON.stringify({ v: 1, at: 1, members: ["m1/0"], engine: "e", governor: "g" }));
    const a = await statServer();
    expect(leads(a)).toBe(false);
    await until(() => leads(a));
    expect(a.engines[0]?.restored).toEqual(["e"]);
    const [row] = await db.sql<{ epoch: number; server: string }[]>`select epoch, server from stat_leader`;
    expect(row).toEqual({ epoch: 2, server: a.address });
  });

  test("one that goes hands over at once: what it knew, and its members", async () => {
    const a = await statServer({ leaderMs: 60_000 });
    await until(() => leads(a));
    const b = await statServer({ leaderMs: 60_000 });
    const listening = await db.sql.listen(CHANNELS.traffic, () => b.server.nudge());
    open.push(() => listening.unlisten());
    await until(() => b.server.leader === a.address);
    const c = link([a.address, b.address]);
    await until(() => c.events.includes("up"));
    c.send(7);
    await until(() => c.events.includes("grant"));
    await a.server.close();
    await until(() => leads(b));
    expect(b.engines[0]?.restored).toEqual([{ open: [{ member: "m1/0", conn: 7 }] }]);
    await until(() => c.events.filter((each) => each === "up").length === 2);
    expect(c.events.slice(0, 4)).toEqual(["up", "grant", "leave", "down"]);
  });

  test("what cannot be taken up is left, and it leads all the same", async () => {
    await takeLead(db.sql, "stat_leader", "dead:1", 1, -1);
    await saveSnapshot(
      db.sql,
      1,
      JSON.stringify({ v: 1, at: 1, members: [], engine: "not to be read", governor: null }),
    );
    const a = await statServer();
    await until(() => leads(a));
    expect(a.engines.map((engine) => engine.restored)).toEqual([["not to be read"], []]);
  });

  test("a snapshot of another kind is left", async () => {
    await takeLead(db.sql, "stat_leader", "dead:1", 1, -1);
    await saveSnapshot(db.sql, 1, "[1]");
    const a = await statServer();
    await until(() => leads(a));
    expect(a.engines.map((engine) => engine.restored)).toEqual([[]]);
  });

  test("what changes is saved, and what waits for it is told", async () => {
    const a = await statServer({ snapshotMs: 60_000 });
    await until(() => leads(a));
    const c = link([a.address]);
    await until(() => c.events.includes("up"));
    a.engines[0]!.wants = true;
    c.send(9);
    await until(() => (a.engines[0]?.saves ?? 0) > 0 && c.events.includes("grant"));
    a.engines[0]!.wants = true;
    c.send(10);
    await until(async () =>
      JSON.stringify((await saved())[0]?.body.engine ?? null).includes('"conn": 10'.replace(" ", "")),
    );
  });

  test("servers that come and go: never two at once, and never long nobody", { timeout: 60_000 }, async () => {
    const all = new Set<Made>();
    let twice = 0;
    const began = (): void => void (twice += [...all].filter(leads).length);
    for (let i = 0; i < 3; i++) all.add(await statServer({ leaderMs: 300 }, began));
    for (let round = 0; round < 6; round++) {
      await until(() => [...all].some(leads));
      const leader = [...all].find(leads)!;
      all.delete(leader);
      await Promise.all([leader.server.close(), statServer({ leaderMs: 300 }, began).then((made) => all.add(made))]);
    }
    expect(twice).toBe(0);
    const [row] = await db.sql<{ epoch: number }[]>`select epoch from stat_leader`;
    expect(row?.epoch).toBeGreaterThanOrEqual(6);
  });
});

describe("a leader that cannot prolong its lease", () => {
  /** A server whose way to the database can fall silent. */
  async function apart(poolSize: number): Promise<Made & { silence(): void }> {
    const url = new URL(db.url);
    const proxy = await openSilentProxy(Number(url.port));
    open.push(() => proxy.close());
    url.port = String(proxy.port);
    const sql = openSql(url.href, { poolSize, name: "test apart", answerMs: 3000 });
    open.push(() => sql.end({ timeout: 0 }));
    return { ...(await statServer({ sql })), silence: () => proxy.silence() };
  }

  test("stops before another begins, sends its members away, and stands by", { timeout: 60_000 }, async () => {
    const a = await apart(1);
    await until(() => leads(a));
    let both = 0;
    const b = await statServer({}, () => void (both += leads(a) ? 1 : 0));
    const c = link([a.address, b.address]);
    await until(() => c.events.includes("up"));
    a.silence();
    await until(() => leads(b));
    expect(both).toBe(0);
    expect(leads(a)).toBe(false);
    await until(() => b.engines[0]?.joined.includes("m1/0") === true);
    expect(c.events).toContain("leave");
  });

  // A machine that stands still for a lease loses the lead, and that is right: then the test says nothing.
  test("over one of its connections, asks over another and leads on", { retry: 2 }, async () => {
    const a = await apart(2);
    await until(() => leads(a));
    const expires = async (): Promise<Date | undefined> =>
      (await db.sql<{ until: Date }[]>`select until from stat_leader`)[0]?.until;
    a.silence();
    const before = await expires();
    await until(async () => ((await expires())?.getTime() ?? 0) > (before?.getTime() ?? 0) + LEASE_MS);
    expect(a.engines.length).toBe(1);
  });

  test("alone, it leads again when the database is back, and remembers what it knew", { timeout: 60_000 }, async () => {
    const a = await apart(1);
    await until(() => leads(a));
    const c = link([a.address]);
    await until(() => c.events.includes("up"));
    c.send(7);
    await until(() => c.events.includes("grant"));
    a.silence();
    await until(() => !leads(a));
    await until(() => leads(a), { timeoutMs: 20_000 });
    expect(a.engines.length).toBe(2);
    expect(a.engines[1]?.restored).toEqual([{ open: [{ member: "m1/0", conn: 7 }] }]);
    await until(() => a.engines[1]?.joined.includes("m1/0") === true);
  });

  test("one that was frozen grants nothing when it wakes, though its timers have not fired", async () => {
    let frozenMs = 0;
    const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + frozenMs };
    const a = await statServer({ clock, leaderMs: 60_000 });
    await until(() => leads(a));
    const c = await openRawClient(a.server.port);
    open.push(() => c.close());
    await greet(c, SECRET);
    await c.hears("welcome");
    frozenMs = 70_000;
    c.say(acquire(1));
    await c.hears("leave");
    expect(a.engines[0]?.heard).toEqual([]);
    expect(c.heard.some(({ t }) => t === "grant")).toBe(false);
  });

  test("one whose machine slept: the wall clock says so", async () => {
    let sleptMs = 0;
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + sleptMs };
    const a = await statServer({ clock, leaderMs: 60_000 });
    await until(() => leads(a));
    const c = await openRawClient(a.server.port);
    open.push(() => c.close());
    await greet(c, SECRET);
    await c.hears("welcome");
    sleptMs = 70_000;
    c.say(acquire(1));
    await c.hears("leave");
    expect(a.engines[0]?.heard).toEqual([]);
  });
});

describe("the server's time", () => {
  test("is the database's, and passes by itself", async () => {
    const clock = handClock(1000);
    const time = openServerTime(clock, 5_000_000, clock.monotonic());
    expect(time.now()).toBe(5_000_000);
    await clock.advance(250);
    expect(time.now()).toBe(5_000_250);
  });

  test("follows a database whose clock jumps by a hundredth, and never goes back", async () => {
    const clock = handClock(0);
    const time = openServerTime(clock, 1_000_000, 0);
    await clock.advance(10_000);
    expect(time.hear(1_010_000 + 3_600_000, clock.monotonic())).toBe(3_600_000);
    expect(time.now()).toBe(1_010_100);
    await clock.advance(1000);
    time.hear(0, clock.monotonic());
    const before = time.now();
    expect(before).toBeGreaterThanOrEqual(1_011_000);
    await clock.advance(1);
    expect(time.now()).toBeGreaterThanOrEqual(before);
  });

  test("goes on from where an earlier leader stopped", () => {
    const clock = handClock(0);
    const time = openServerTime(clock, 1_000_000, 0);
    time.goOnFrom(1_500_000);
    expect(time.now()).toBe(1_500_000);
    time.goOnFrom(1000);
    expect(time.now()).toBe(1_500_000);
  });
});
