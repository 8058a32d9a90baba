/** Reading again: rules and settings from real files, two real servers on one real database, and the notices between them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { loadSettings } from "../../src/config/load.ts";
import {
  type CountersAnswer,
  type ExplainAnswer,
  type MeasuresAnswer,
  NO_COUNTS,
  type ReloadAnswer,
  type SiteAnswer,
} from "../../src/quota/answers.ts";
import { askStat } from "../../src/quota/link/ask.ts";
import type { QueryName } from "../../src/quota/messages.ts";
import { type RunningStat, start } from "../../src/stat/start.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { acquire, greet, openRawClient, type RawClient } from "../support/stat-client.ts";
import { until } from "../support/until.ts";

const SECRET = "a secret of more than thirty-two characters";

interface Server {
  readonly running: RunningStat;
  readonly errors: string[];
}

let db: TestDatabase;
let folder: string;
const servers: Server[] = [];
const clients: RawClient[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate stat_leader, stat_snapshot, suspension`;
  folder = mkdtempSync(join(tmpdir(), "postilion-reload-"));
  writeFileSync(join(folder, "secret"), SECRET, { mode: 0o600 });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const { running } of servers.splice(0)) await running.drain();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string): string => join(folder, `${name}.yaml`);

/** Writes a settings file. Two servers are two names in `stat.addresses`: nobody connects there. */
function settings(name: string, stat: object, more: object = {}): void {
  const own = { port: 0, leaderMs: 2000, snapshotMs: 100, secretFile: join(folder, "secret") };
  writeFileSync(file(name), JSON.stringify({ dataDir: folder, stat: { ...own, ...stat }, ...more }));
}

const BOTH = { addresses: ["one:1", "two:1"] };
const rule = (connections: number): object => ({ rules: [{ id: "test", mx: "*.test", scope: "rule", connections }] });

async function open(name: string): Promise<Server> {
  const errors: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (fields, text) => void errors.push(`${text} ${String((fields as { err?: Error }).err?.message)}`),
  };
  const readSettings = (): ReturnType<typeof loadSettings> => loadSettings(file(name), {});
  const running = await start({ settings: readSettings(), readSettings, log, sql: db.sql, clock: systemClock });
  const server = { running, errors };
  servers.push(server);
  return server;
}

async function leading(name: string): Promise<Server> {
  const server = await open(name);
  await until(() => server.running.server.parts !== null);
  return server;
}

async function stop(server: Server): Promise<void> {
  servers.splice(servers.indexOf(server), 1);
  await server.running.drain();
}

function ask<T>({ running: { port } }: Server, what: QueryName, args: Record<string, unknown> = {}): Promise<T> {
  const options = {
    addresses: [`127.0.0.1:${port}`],
    secret: Buffer.from(SECRET),
    tls: null,
    clock: systemClock,
    name: "test",
  };
  return askStat(options, what, args, 8000) as Promise<T>;
}

async function member({ running: { port } }: Server, name = "m1/0"): Promise<RawClient> {
  const client = await openRawClient(port);
  clients.push(client);
  await greet(client, Buffer.from(SECRET), { member: name });
  await client.hears("welcome");
  client.say({ t: "used", counters: [], last: true });
  return client;
}

const grants = (client: RawClient): number[] => client.heard.flatMap((each) => (each.t === "grant" ? [each.id] : []));

/** What the rule for mx.test allows where this server's is asked. */
async function connectionsOf(server: Server): Promise<number> {
  const { limit } = await ask<ExplainAnswer>(server, "explain", { mx: "mx.test", publicId: 1 });
  return limit.ruleLimits.connections;
}

const path = (parts: object): object => ({
  ...NO_COUNTS,
  mx: "mx.test",
  ip: "127.0.0.1",
  site: "mx.test",
  publicId: 1,
  ...parts,
});

describe("one server", () => {
  test("rules of the settings are taken over, and nothing that is counted is lost", async () => {
    settings("one", rule(2));
    const one = await leading("one");
    const a = await member(one);
    for (const id of [1, 2, 3, 4]) a.say(acquire(id));
    await until(() => grants(a).length === 2);
    settings("one", rule(3));
    expect(await ask<ReloadAnswer>(one, "reload")).toMatchObject({ warmUps: 0, restart: [], others: [], silent: 0 });
    await until(() => grants(a).length === 3);
    // The fourth waits: the three that are held are still counted.
    a.say({ t: "ping", id: 1 });
    await a.hears("pong");
    expect(grants(a)).toHaveLength(3);
  });

  test("another file of rules may be named", async () => {
    settings("one", rule(1));
    const one = await leading("one");
    writeFileSync(join(folder, "other.yaml"), JSON.stringify(rule(4)));
    settings("one", { rulesFile: join(folder, "other.yaml") });
    await one.running.reload();
    expect(await connectionsOf(one)).toBe(4);
  });

  test("a warm-up begins, goes on where it was under a new plan, and ends", async () => {
    settings("one", rule(50));
    const one = await leading("one");
    const plans = async (): Promise<MeasuresAnswer["measures"]> => (await ask<MeasuresAnswer>(one, "warm-up")).measures;
    expect(await plans()).toEqual([]);
    settings("one", { ...rule(50), warmUp: [{ publicId: 1, plan: [60, 60] }] });
    expect(await ask<ReloadAnswer>(one, "reload")).toMatchObject({ warmUps: 1 });
    const a = await member(one);
    // A sixth of the day in an hour.
    for (let id = 1; id <= 10; id++) a.say(acquire(id, { messages: 1 }));
    await until(() => grants(a).length === 10);
    for (const id of [11, 12]) a.say(acquire(id, { messages: 1 }));
    await until(() => a.heard.filter((each) => each.t === "wait" && each.hold.kind === "warm-up").length === 2);
    settings("one", { ...rule(50), warmUp: [{ publicId: 1, plan: [66, 60] }] });
    await ask(one, "reload");
    await until(() => grants(a).length === 11);
    expect((await plans())[0]?.reason).toContain("11 of 66");
    settings("one", rule(50));
    await ask(one, "reload");
    await until(() => grants(a).length === 12);
    expect(await plans()).toEqual([]);
  });

  test("the circuit breaker goes by the new settings, and by what was counted before", async () => {
    settings("one", rule(5));
    const one = await leading("one");
    const a = await member(one);
    const site = (): Promise<SiteAnswer> => ask<SiteAnswer>(one, "site", { site: "mx.test" });
    a.say({ t: "report", paths: [path({ attempts: 20, rejected: 20 })], replies: [] });
    await until(async () => (await site()).summary?.hour.rejected === 20);
    expect((await site()).measures).toEqual([]);
    // Over another time too: what was counted in slots of the old one counts in those of the new one.
    settings("one", { ...rule(5), breaker: { errors: 0.5, messages: 21, windowMs: 7_200_000 } });
    await ask(one, "reload");
    a.say({ t: "report", paths: [path({ attempts: 1, rejected: 1 })], replies: [] });
    await until(async () => (await site()).measures[0]?.kind === "breaker");
    expect((await site()).measures[0]?.reason).toContain("21 of 21 attempts");
  });

  test("a mistake in either file changes nothing in both, and is told with its line", async () => {
    settings("one", rule(2));
    const one = await leading("one");
    settings("one", { ...rule(3), braker: {} });
    const refused = await ask<{ error: string }>(one, "reload");
    expect(refused.error).toMatch(/one\.yaml:1: stat\.braker: no such setting; did you mean breaker\?/);
    await expect(one.running.reload()).rejects.toMatchObject({ code: "SETTINGS_INVALID" });
    expect(one.errors[0]).toMatch(/stay as they were: what was read is not valid .*stat\.braker/);
    rmSync(file("one"));
    await expect(one.running.reload()).rejects.toMatchObject({ code: "SETTINGS_UNREADABLE" });
    // Good settings over bad rules on replies.
    const replies = join(folder, "replies.yaml");
    writeFileSync(replies, "rules:\n  - id: mine\n");
    settings("one", { ...rule(3), repliesFile: replies });
    await expect(one.running.reload()).rejects.toThrow(/replies\.yaml:2: rule mine: has no action/);
    settings("one", { ...rule(3), warmUp: [{ publicId: 1, mx: "@test" }] });
    await expect(one.running.reload()).rejects.toThrow(/warmUp\[0\]\.mx: "@test" holds "@"/);
    expect(await connectionsOf(one)).toBe(2);
    settings("one", rule(3));
    await one.running.reload();
    expect(await connectionsOf(one)).toBe(3);
  });

  test("settings that take a restart are named, not their values", async () => {
    settings("one", rule(2));
    const one = await leading("one");
    settings("one", { ...rule(2), horizonMs: 1 }, { mta: { relay: { password: "hunter2" } }, dataDir: "/elsewhere" });
    const answer = await one.running.reload();
    expect([...answer.restart].sort()).toEqual(["dataDir", "mta.relay.password", "stat.horizonMs", "tokenKeyFile"]);
    expect(JSON.stringify(answer)).not.toContain("hunter2");
  });

  test("a connection to the database that was lost may have cost a notice: it reads when it listens again", async () => {
    settings("one", rule(2));
    const one = await leading("one");
    settings("one", rule(3));
    expect(await connectionsOf(one)).toBe(2);
    await db.sql`select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()`;
    await until(async () => (await connectionsOf(one)) === 3);
  });
});

describe("two servers", () => {
  test("one order reaches both; whoever takes over has the new rules and all that was counted", async () => {
    settings("one", { ...rule(2), ...BOTH });
    const one = await leading("one");
    const two = await open("one");
    const a = await member(one);
    for (const id of [1, 2]) a.say(acquire(id));
    await until(() => grants(a).length === 2);
    settings("one", { ...rule(3), ...BOTH });
    const answer = await ask<ReloadAnswer>(one, "reload");
    expect(answer.others).toEqual([{ server: `127.0.0.1:${two.running.port}`, problem: "", same: true }]);
    expect(answer.silent).toBe(0);
    await stop(one);
    await until(() => two.running.server.parts !== null);
    expect(await connectionsOf(two)).toBe(3);
    const { counters } = await ask<CountersAnswer>(two, "counters", { rule: "test" });
    expect(counters).toMatchObject([{ connections: 2, connectionLimit: 3, spent: 20 }]);
  });

  test("an order at the one that stands by reaches the one that leads", async () => {
    settings("one", { ...rule(2), ...BOTH });
    const one = await leading("one");
    const two = await open("one");
    settings("one", { ...rule(3), ...BOTH });
    expect((await two.running.reload()).others).toMatchObject([
      { server: `127.0.0.1:${one.running.port}`, same: true },
    ]);
    expect(await connectionsOf(one)).toBe(3);
  });

  test("files that differ, and files that are wrong, are told of each server; the wrong ones keep what was in force", async () => {
    settings("one", { ...rule(2), ...BOTH });
    settings("two", { ...rule(2), ...BOTH });
    const one = await leading("one");
    const two = await open("two");
    settings("one", { ...rule(3), ...BOTH });
    expect((await one.running.reload()).others).toMatchObject([{ problem: "", same: false }]);
    settings("two", { ...rule(0), ...BOTH });
    const [other] = (await one.running.reload()).others;
    expect(other).toMatchObject({ same: false, problem: expect.stringMatching(/two\.yaml:1: stat\.rules\[0\]\./) });
    expect(two.errors.at(-1)).toContain("stay as they were");
    await stop(one);
    await until(() => two.running.server.parts !== null);
    expect(await connectionsOf(two)).toBe(2);
  });

  test("a mistake where the order is given stops it there", async () => {
    settings("one", { ...rule(2), ...BOTH });
    settings("two", { ...rule(2), ...BOTH });
    const one = await leading("one");
    const two = await open("two");
    settings("one", { ...rule(0), ...BOTH });
    settings("two", { ...rule(3), ...BOTH });
    await expect(two.running.reload()).resolves.toMatchObject({ others: [{ same: false }] });
    settings("two", { ...rule(4), ...BOTH });
    await expect(one.running.reload()).rejects.toMatchObject({ code: "SETTINGS_INVALID" });
    expect(await connectionsOf(one)).toBe(2);
  });

  test("what was changed and told to nobody is read by whoever takes the lead", async () => {
    settings("one", { ...rule(2), ...BOTH });
    const one = await leading("one");
    const two = await open("one");
    settings("one", { ...rule(3), ...BOTH });
    expect(await connectionsOf(one)).toBe(2);
    await stop(one);
    await until(() => two.running.server.parts !== null);
    expect(await connectionsOf(two)).toBe(3);
  });
});
