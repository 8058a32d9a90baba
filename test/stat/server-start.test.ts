import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { loadStatSecret } from "../../src/config/stat-secret.ts";
import { settingsSchema, type Settings } from "../../src/config/settings.ts";
import { addSuspension, endSuspension } from "../../src/db/traffic-holds.ts";
import type { Hold } from "../../src/model/traffic.ts";
import { askStat } from "../../src/quota/link/ask.ts";
import type { QueryName } from "../../src/quota/messages.ts";
import { type RunningStat, start } from "../../src/stat/start.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { acquire, greet, openRawClient, type RawClient } from "../support/stat-client.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
let dataDir: string;
let rulesFile: string;
let settings: Settings;
let running: RunningStat | null = null;
const clients: RawClient[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate stat_leader, stat_snapshot, suspension`;
  dataDir = mkdtempSync(join(tmpdir(), "postilion-stat-"));
  rulesFile = join(dataDir, "mx.yaml");
  rules({ connections: 2, messagesPerHour: 0 });
  settings = settingsSchema.parse({ dataDir, stat: { port: 0, rulesFile, leaderMs: 2000, snapshotMs: 200 } });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await running?.drain();
  running = null;
  rmSync(dataDir, { recursive: true, force: true });
});

const rules = (limits: object): void =>
  writeFileSync(rulesFile, JSON.stringify({ rules: [{ id: "test", mx: "*.test", scope: "rule", ...limits }] }));

const started = (settings: Settings): Promise<RunningStat> =>
  start({ settings, readSettings: () => settings, log: silentLog, sql: db.sql, clock: systemClock });

async function open(): Promise<RunningStat> {
  running = await started(settings);
  await until(() => running?.server.parts !== null);
  return running;
}

async function member(name: string): Promise<RawClient> {
  const client = await openRawClient(running!.port);
  clients.push(client);
  await greet(client, loadStatSecret(settings), { member: name });
  await client.hears("welcome");
  client.say({ t: "used", counters: [], last: true });
  return client;
}

function ask(what: QueryName, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
  const options = { addresses: [`127.0.0.1:${running!.port}`], secret: loadStatSecret(settings), tls: null };
  return askStat({ ...options, clock: systemClock, name: "test" }, what, args, 5000);
}

const grants = (client: RawClient): number[] => client.heard.flatMap((each) => (each.t === "grant" ? [each.id] : []));

const waits = (client: RawClient): Hold[] => client.heard.flatMap((each) => (each.t === "wait" ? [each.hold] : []));

test("grants what the rules allow, and the next when one is given back", async () => {
  await open();
  const a = await member("m1/0");
  for (const id of [1, 2]) a.say(acquire(id));
  await until(() => grants(a).length === 2);
  a.say(acquire(3));
  await until(() => waits(a).some(({ kind, by }) => kind === "connections" && by === "test"));
  a.say({ t: "release", conn: grants(a)[0], back: [] });
  await until(() => grants(a).length === 3);
});

describe("rules", () => {
  test("are read again when asked, and nothing that is counted is lost", async () => {
    await open();
    const a = await member("m1/0");
    for (const id of [1, 2, 3]) a.say(acquire(id));
    await until(() => grants(a).length === 2);
    rules({ connections: 3 });
    expect(await ask("reload")).toMatchObject({
      rules: expect.any(Number) as number,
      warnings: expect.any(Array) as [],
    });
    await until(() => grants(a).length === 3);
    a.say(acquire(4));
    a.say({ t: "ping", id: 1 });
    await a.hears("pong");
    expect(grants(a).length).toBe(3);
  });

  test("that are wrong are refused with their mistake, and those in force stay", async () => {
    const { reload } = await open();
    const a = await member("m1/0");
    rules({ connections: 0 });
    const answer = (await ask("reload")) as { error: string };
    expect(answer.error).toContain("mx.yaml");
    await expect(reload()).rejects.toMatchObject({ code: "RULES_INVALID" });
    process.emit("SIGHUP");
    for (const id of [1, 2]) a.say(acquire(id));
    await until(() => grants(a).length === 2);
  });

  test("are read at SIGHUP", async () => {
    await open();
    const a = await member("m1/0");
    for (const id of [1, 2, 3]) a.say(acquire(id));
    await until(() => grants(a).length === 2);
    rules({ connections: 3 });
    process.emit("SIGHUP");
    await until(() => grants(a).length === 3);
  });

  test("that are wrong at the start are a fault", async () => {
    rules({ connections: -1 });
    await expect(started(settings)).rejects.toMatchObject({ code: "RULES_INVALID" });
  });
});

test("what an operator suspends stops at once, and goes on when it is resumed", async () => {
  await open();
  const a = await member("m1/0");
  a.say(acquire(1));
  await until(() => grants(a).length === 1);
  const { id } = await addSuspension(db.sql, {
    site: "mx.test",
    publicId: null,
    reason: "for a test",
    by: "alice",
    until: null,
  });
  expect((await a.hears("revoke")).hold).toMatchObject({ kind: "suspension" });
  a.say(acquire(2));
  await until(() => waits(a).some(({ kind, by }) => kind === "suspension" && by.includes("alice")));
  await endSuspension(db.sql, id, "alice");
  a.say({ t: "release", conn: 1, back: [] });
  await until(() => grants(a).length === 2);
});

test("what was suspended while nobody led is known to whoever leads next", async () => {
  await open();
  await running?.drain();
  await addSuspension(db.sql, { site: "mx.test", publicId: null, reason: "x", by: "bob", until: null });
  await open();
  const a = await member("m1/0");
  a.say(acquire(1));
  await until(() => waits(a).some(({ kind }) => kind === "suspension"));
  expect(grants(a)).toEqual([]);
});

test("a restart forgets nothing: what was granted in this period stays granted", async () => {
  rules({ connections: 5, messagesPerHour: 1200 });
  await open();
  const a = await member("m1/0");
  a.say(acquire(1, { messages: 1000 }));
  const granted = (): number => a.heard.reduce((sum, each) => sum + (each.t === "grant" ? each.messages : 0), 0);
  await until(() => granted() > 0);
  const before = granted();
  expect(before).toBeLessThanOrEqual(100);
  await running?.drain();
  await open();
  // Another process of another machine: it gets what is left of the period and no more.
  const b = await member("m2/0");
  b.say(acquire(1, { messages: 1000 }));
  b.say({ t: "ping", id: 1 });
  await b.hears("pong");
  const more = b.heard.reduce((sum, each) => sum + (each.t === "grant" ? each.messages : 0), 0);
  expect(before + more).toBeLessThanOrEqual(100);
});

test("a port that is taken is a fault that names it", async () => {
  const { port } = await open();
  const second = { ...settings, stat: { ...settings.stat, port } };
  await expect(started(second)).rejects.toThrow(`127.0.0.1:${port} (stat.port)`);
});
