/** The tracking workflow under its lease: one of several does it, another goes on where it stopped. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { CHANNELS, openSql } from "../../src/db/sql.ts";
import { trackingSources } from "../../src/db/tracking-reports.ts";
import { raiseFence } from "../../src/db/tracking-sources.ts";
import type { TrackingRecord } from "../../src/model/tracking.ts";
import { openTracking, type Tracking, type TrackingDeps } from "../../src/workflow/tracking.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { type FakeLog, openFakeLog } from "../support/fake-redirector.ts";
import type { TestDelivery } from "../support/ledger.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { hit, NOW, sentDelivery } from "../support/tracking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
let d: TestDelivery;
let log: FakeLog;
let run = 0;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate tracking, reaction, delivery_reactions, link_statistics, tracking_source, tracking_redirector, tracking_leader, tracking_fence`;
  d = await sentDelivery(db.sql, 2000);
  log = openFakeLog(`log-${++run}`);
});
afterEach(async () => {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close();
});

function workflow(name: string, over: Partial<TrackingDeps> = {}): Tracking {
  const opened = openTracking({
    ask: log.ask,
    sql: db.sql,
    redirectors: ["http://r/"],
    server: name,
    leaderMs: 600,
    secret: "s",
    pullRecords: 50,
    pullWaitMs: 100,
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    counted: () => {},
    ...over,
  });
  closing.push(() => opened.close());
  return opened;
}
const clicks = (from: number, to: number): TrackingRecord[] =>
  Array.from({ length: to - from }, (_, i) => hit({ message: d.firstId + from + i, at: NOW + i * 1000, ip: "" }));
const counted = async (): Promise<number[]> =>
  (await db.sql<{ n: number }[]>`select message_id - ${d.firstId} as n from tracking order by id`).map(({ n }) => n);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const isCounted = (n: number): Promise<boolean> =>
  until(async () => (await counted()).length >= n, { what: `${n} hits to be counted` });

describe("of several machines", () => {
  test("one does it", async () => {
    const all = [workflow("a"), workflow("b"), workflow("c")];
    await until(() => all.some(({ leads }) => leads));
    log.append(clicks(0, 300));
    await isCounted(300);
    expect(all.filter(({ leads }) => leads)).toHaveLength(1);
    expect(await counted()).toEqual(upTo(300));
  });

  test("another goes on at once when the one that does it goes", async () => {
    const a = workflow("a", { leaderMs: 60_000 });
    await until(() => a.leads);
    const b = workflow("b", { leaderMs: 60_000 });
    const listening = await db.sql.listen(CHANNELS.workflow, () => b.nudge());
    closing.push(() => listening.unlisten());
    log.append(clicks(0, 500));
    await isCounted(50);
    await a.close();
    await until(() => b.leads);
    log.append(clicks(500, 510));
    await isCounted(510);
    expect(await counted()).toEqual(upTo(510));
  });

  test("another goes on when its lease has ended, and what the frozen one still sends is refused", async () => {
    const url = new URL(db.url);
    const proxy = await openSilentProxy(Number(url.port));
    url.port = String(proxy.port);
    const sql = openSql(url.href, { poolSize: 5, name: "frozen", answerMs: 60_000 });
    closing.push(
      () => proxy.close(),
      () => sql.end({ timeout: 0 }),
    );
    const frozen = openTracking({
      ask: log.ask,
      sql,
      redirectors: ["http://r"],
      server: "frozen",
      leaderMs: 1500,
      secret: "s",
      pullRecords: 50,
      pullWaitMs: 100,
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      counted: () => {},
    });
    // Behind its epoch in the fence.
    await until(() => log.asked.length > 0);
    const other = workflow("other", { leaderMs: 1500 });
    // Its commit is held back in the database, as long as the other takes to lead.
    await db.sql.begin(async (tx) => {
      await tx`select 1 from tracking_fence for share`;
      log.append(clicks(0, 40));
      await until(async () => {
        const rows = await db.sql`
          select 1 from pg_stat_activity where application_name = 'frozen' and wait_event_type = 'Lock' and query like '%tracking_fence set%'`;
        return rows.length > 0;
      });
      // New connections too: nothing it does reaches anybody any more.
      const frost = setInterval(() => proxy.silence(), 2);
      closing.push(() => clearInterval(frost));
      await until(() => other.leads, { what: "the other to lead" });
    });
    await isCounted(40);
    log.append(clicks(40, 60));
    await isCounted(60);
    expect(await counted()).toEqual(upTo(60));
    expect((await raiseFence(db.sql, 1))?.epoch ?? "newer").toBe("newer");
    await proxy.close();
    await frozen.close();
  });

  test("that come and go at random count everything once, in order", { timeout: 60_000 }, async () => {
    const all = new Set([workflow("0", { leaderMs: 300 }), workflow("1", { leaderMs: 300 })]);
    for (let round = 0; round < 10; round++) {
      log.append(clicks(round * 100, round * 100 + 100));
      await until(() => [...all].some(({ leads }) => leads));
      const leader = [...all].find(({ leads }) => leads)!;
      all.delete(leader);
      all.add(workflow(`${round + 2}`, { leaderMs: 300 }));
      await leader.close();
    }
    await isCounted(1000);
    expect(await counted()).toEqual(upTo(1000));
  });
});

test("several redirection servers are pulled side by side; one that is away stops no other", async () => {
  const logs = [openFakeLog("x"), openFakeLog("y"), openFakeLog("z")];
  logs[1]!.instead = async () => ({ kind: "network", text: "away" });
  workflow("a", {
    redirectors: ["http://r0", "http://r1", "http://r2"],
    ask: (request) => logs[Number(new URL(request.url).hostname.slice(1))]!.ask(request),
  });
  logs[0]!.append(clicks(0, 200));
  logs[2]!.append(clicks(200, 400));
  await isCounted(400);
  logs[1]!.instead = null;
  logs[1]!.append(clicks(400, 500));
  await isCounted(500);
  expect((await counted()).sort((a, b) => a - b)).toEqual(upTo(500));
  const ids = await db.sql<{ id: number }[]>`select id from tracking order by id`;
  expect(ids.at(-1)!.id - ids[0]!.id).toBe(499);
});

test("a server whose folder is a copy of another's, or that is named twice, is not counted for the other, and that is said", async () => {
  const [first, copy] = [openFakeLog("x"), openFakeLog("x")];
  const logs = [first, first, copy];
  first.append(clicks(0, 100));
  copy.append(clicks(0, 50));
  copy.resume = copy.end;
  workflow("a", {
    redirectors: ["http://r0", "http://r1", "http://r2"],
    ask: (request) => logs[Number(new URL(request.url).hostname.slice(1))]!.ask(request),
  });
  const troubles = async (): Promise<string[]> => (await trackingSources(db.sql)).map(({ trouble }) => trouble).sort();
  await until(async () => (await troubles()).filter((text) => text.startsWith("its log is that of")).length === 2);
  copy.append(clicks(100, 120));
  first.append(clicks(200, 300));
  await until(async () => (await counted()).some((n) => n === 299 || n === 119));
  const seen = await counted();
  expect(new Set(seen).size).toBe(seen.length);
  expect((await troubles())[0]).toBe("");
});
