/** One redirection server being pulled: where it goes on, whatever happens to the server, its log or the database. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { openSql } from "../../src/db/sql.ts";
import { raiseFence } from "../../src/db/tracking-sources.ts";
import { trackingSources } from "../../src/db/tracking-reports.ts";
import type { TrackingRecord } from "../../src/model/tracking.ts";
import { openClaims } from "../../src/workflow/claims.ts";
import { openConsolidator } from "../../src/workflow/consolidate.ts";
import type { Taken } from "../../src/workflow/pipeline.ts";
import type { Piece } from "../../src/workflow/piece.ts";
import { pullSource, type SourceDeps } from "../../src/workflow/source.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import type { TestDelivery } from "../support/ledger.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { hit, linesOf, NOW, sentDelivery } from "../support/tracking.ts";
import { type FakeLog, openFakeLog } from "../support/fake-redirector.ts";
import { until } from "../support/until.ts";

const ADDRESS = "http://r.example";
let db: TestDatabase;
let d: TestDelivery;
let log: FakeLog;
let epoch = 0;
let run = 0;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate tracking, reaction, delivery_reactions, link_statistics, tracking_damaged, tracking_source, tracking_redirector`;
  d = await sentDelivery(db.sql, 500);
  log = openFakeLog(`log-${++run}`);
});
afterEach(async () => {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close();
});

const clicks = (from: number, to: number): TrackingRecord[] =>
  Array.from({ length: to - from }, (_, i) => hit({ message: d.firstId + from + i, at: NOW + i * 1000, ip: "" }));
const counted = async (): Promise<number[]> =>
  (await db.sql<{ n: number }[]>`select message_id - ${d.firstId} as n from tracking order by id`).map(({ n }) => n);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const isCounted = (n: number): Promise<boolean> =>
  until(async () => (await counted()).length >= n, { what: `${n} hits to be counted`, timeoutMs: 90_000 });

/** Pulls the log until the test ends. */
async function pulling(over: Partial<SourceDeps> & { said?: string[] } = {}): Promise<AbortController> {
  const sql = over.sql ?? db.sql;
  const fence = await raiseFence(db.sql, ++epoch);
  const said = over.said ?? [];
  const speak = (_: object, text: string): void => void said.push(text);
  const spoken: Log = { debug() {}, info: speak, warn: speak, error: speak, child: () => spoken };
  const stop = new AbortController();
  const done = pullSource(
    {
      ask: log.ask,
      sql,
      consolidator: openConsolidator({
        sql,
        log: silentLog,
        clock: systemClock,
        fence: fence!,
        counted: () => {},
        batch: 20,
      }),
      claims: openClaims(systemClock),
      secret: "s",
      pullRecords: 50,
      pullWaitMs: 200,
      clock: systemClock,
      log: spoken,
      random: () => 0,
      ...over,
    },
    ADDRESS,
    stop.signal,
  );
  closing.push(async () => {
    stop.abort();
    await done;
  });
  return stop;
}

describe("a log", () => {
  test("is counted from its beginning to its end, and on as it grows", async () => {
    log.append(clicks(0, 120));
    await pulling();
    await isCounted(120);
    log.append(clicks(120, 130));
    await isCounted(130);
    expect(await counted()).toEqual(upTo(130));
  });

  test("is acknowledged only as far as it is committed", async () => {
    log.append(clicks(0, 120));
    await pulling();
    await isCounted(120);
    await until(() => log.asked.at(-1)?.pulled === log.end);
    for (const { after, pulled } of log.asked) expect(pulled).toBeLessThanOrEqual(after);
    const first = log.asked.findIndex(({ after }) => after > 0);
    expect(log.asked[first]?.pulled).toBe(0);
  });

  test("is gone on with where the one before stopped, whoever that was", async () => {
    log.append(clicks(0, 60));
    (await pulling()).abort();
    await pulling();
    await isCounted(60);
    (await pulling()).abort();
    log.append(clicks(60, 90));
    await pulling();
    await isCounted(90);
    expect(await counted()).toEqual(upTo(90));
  });

  test("that was born anew is counted from its beginning, and its forerunner is not counted again", async () => {
    log.append(clicks(0, 60));
    await pulling();
    await isCounted(60);
    log.wipe("born-anew");
    log.append(clicks(60, 70));
    await isCounted(70);
    log.wipe(`log-${run}`);
    log.append(clicks(0, 60));
    await until(() => log.asked.at(-1)?.after === log.end);
    log.append(clicks(70, 75));
    await isCounted(75);
    expect((await counted()).sort((a, b) => a - b)).toEqual(upTo(75));
  });

  test("that is at another address by now is gone on with there", async () => {
    log.append(clicks(0, 60));
    await db.sql`insert into tracking_source (log, address, position) values (${`log-${run}`}, 'http://old', ${linesOf(clicks(0, 40)).length})`;
    await pulling();
    await isCounted(20);
    expect(await counted()).toEqual(upTo(60).slice(40));
  });

  test("whose beginning was dropped before anybody pulled it: the rest counts, the gap is written down", async () => {
    log.append(clicks(0, 60));
    const gone = linesOf(clicks(0, 10)).length;
    log.drop(gone);
    await pulling();
    await isCounted(50);
    const [row] = await db.sql`select position, octets, records, reason from tracking_damaged`;
    expect(row).toEqual({ position: 0, octets: gone, records: 0, reason: "missing" });
    expect((await trackingSources(db.sql))[0]).toMatchObject({ missing: gone, records: 50, damaged: 0 });
  });

  test("that ends before what was pulled from it is left alone, and that is said", async () => {
    log.append(clicks(0, 10));
    await db.sql`insert into tracking_source (log, address, position) values (${`log-${run}`}, ${ADDRESS}, 100000000)`;
    await db.sql`insert into tracking_redirector (address, log) values (${ADDRESS}, ${`log-${run}`})`;
    const said: string[] = [];
    await pulling({ said });
    await until(async () => (await trackingSources(db.sql))[0]?.trouble.includes("old copy"));
    expect(await counted()).toEqual([]);
  });

  test("whose folder was put back from an older copy: what has come since is counted, what was in the copy is not counted again", async () => {
    log.append(clicks(0, 30));
    await pulling();
    await isCounted(30);
    log.wipe(`log-${run}`);
    log.append(clicks(0, 20));
    log.resume = log.end;
    log.append(clicks(30, 35));
    await isCounted(35);
    expect(await counted()).toEqual(upTo(35));
    log.append(clicks(35, 60));
    await isCounted(60);
    expect(await counted()).toEqual(upTo(60));
  });

  test("that two servers behind one address have is not counted again and again", async () => {
    const other = openFakeLog(`log-${run}`);
    log.append(clicks(0, 40));
    other.append(clicks(0, 10));
    other.resume = other.end;
    let turn = 0;
    const ask: SourceDeps["ask"] = (request) => (turn++ % 2 === 0 ? log : other).ask(request);
    await pulling({ ask });
    await until(async () => (await trackingSources(db.sql))[0]?.trouble.includes("several servers"));
    const { length } = await counted();
    expect(length).toBeLessThanOrEqual(40 + 30);
    const asked = turn;
    await until(() => turn > asked + 6);
    expect(await counted()).toHaveLength(length);
  });

  test("that is born anew while the one before is being counted is acknowledged as far as it is counted itself", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const fence = await raiseFence(db.sql, epoch + 1);
    const consolidator = openConsolidator({
      sql: db.sql,
      log: silentLog,
      clock: systemClock,
      counted: () => {},
      fence: fence!,
    });
    const take = async (piece: Piece): Promise<Taken> => {
      await gates[gates.push(Promise.withResolvers<void>()) - 1]!.promise;
      return consolidator.take(piece);
    };
    log.append(clicks(0, 20));
    await pulling({ consolidator: { ...consolidator, take } });
    closing.push(() => gates.forEach((gate) => gate.resolve()));
    await until(() => gates.length === 1);
    log.wipe(`log-${run}-again`);
    log.append(clicks(20, 22));
    await until(() => gates.length === 2);
    gates[0]!.resolve();
    await isCounted(20);
    log.append(clicks(22, 24));
    await until(() => log.asked.at(-1)!.after === log.end);
    expect(log.asked.at(-1)!.pulled).toBe(0);
    gates[1]!.resolve();
    await until(() => gates.length === 3);
    gates[2]!.resolve();
    await isCounted(24);
  });
});

describe("a redirection server", () => {
  test("that is away is said to be once, and is pulled again when it is back", async () => {
    const said: string[] = [];
    let asked = 0;
    log.instead = async () => {
      asked++;
      return { kind: "network", text: "connect ECONNREFUSED\u001b[2J" };
    };
    await pulling({ said });
    await until(() => asked > 4);
    expect(said).toEqual(["the redirection server cannot be pulled; it is asked again"]);
    expect((await trackingSources(db.sql))[0]).toMatchObject({
      trouble: "connect ECONNREFUSED [2J",
      log: "",
      answeredAt: null,
    });
    log.append(clicks(0, 5));
    log.instead = null;
    await isCounted(5);
    expect((await trackingSources(db.sql))[0]).toMatchObject({ trouble: "", log: `log-${run}`, host: "fake" });
    expect(said.slice(1)).toEqual(["the redirection server answers again"]);
  });

  test.each([
    ["that refuses the secret", { status: 401, headers: {} }, "refuses the secret"],
    ["that fails", { status: 500, headers: { "x-log": "a" } }, "status 500"],
    ["that is none", { status: 200, headers: {} }, "no redirection server"],
    ["that has a strange name for its log", { status: 200, headers: { "x-log": "a b" } }, "no redirection server"],
    ["that goes back", { status: 200, headers: { "x-log": "a", "x-next": "-1" } }, "where to go on"],
    ["that does not say where to go on", { status: 200, headers: { "x-log": "a" } }, "where to go on"],
    ["that goes on within its own octets", { status: 200, headers: { "x-log": "a", "x-next": "2" } }, "where to go on"],
    [
      "that goes on beyond all numbers",
      { status: 200, headers: { "x-log": "a", "x-next": "9".repeat(16) } },
      "where to go on",
    ],
  ])("%s moves no cursor", async (_, { status, headers }, trouble) => {
    log.instead = async () => ({ kind: "answer", status, headers, body: linesOf(clicks(0, 3)) });
    await pulling();
    await until(async () => (await trackingSources(db.sql))[0]?.trouble.includes(trouble));
    expect(await counted()).toEqual([]);
    expect(await db.sql`select 1 from tracking_source where position > 0`).toHaveLength(0);
  });

  test("that has more to say than fits is asked for less", async () => {
    log.append(clicks(0, 60));
    log.instead = async (request) => {
      if (Number(new URL(request.url).searchParams.get("limit")) > 7) return { kind: "large", text: "too much" };
      log.instead = null;
      return log.ask(request);
    };
    await pulling();
    await isCounted(60);
    expect(log.asked[0]?.limit).toBe(7);
  });

  test("whose hits were lost says so, and it is kept", async () => {
    await pulling();
    // Its count begins anew with its process.
    for (const [i, lost] of [12, 12, 15, 2].entries()) {
      log.lost = lost;
      log.append(clicks(i, i + 1));
      await isCounted(i + 1);
    }
    expect((await trackingSources(db.sql))[0]).toMatchObject({ lost: 17 });
  });
});

describe("the database", () => {
  /** A pool whose way to the database can fall silent or be cut. */
  async function proxied(): Promise<{
    sql: ReturnType<typeof openSql>;
    proxy: Awaited<ReturnType<typeof openSilentProxy>>;
  }> {
    const url = new URL(db.url);
    const proxy = await openSilentProxy(Number(url.port));
    url.port = String(proxy.port);
    const sql = openSql(url.href, { poolSize: 4, name: "proxied", answerMs: 500 });
    closing.push(
      () => proxy.close(),
      () => sql.end({ timeout: 0 }),
    );
    return { sql, proxy };
  }
  const commitWaits = (): Promise<unknown> =>
    until(async () => {
      const rows = await db.sql`
        select pid from pg_stat_activity
        where wait_event_type = 'Lock' and query like '%tracking_fence set next_id%' and datname = current_database()`;
      return rows.length > 0;
    });

  test("takes a commit whose answer never comes: what it counted is not counted again", async () => {
    const { sql, proxy } = await proxied();
    log.append(clicks(0, 60));
    const said: string[] = [];
    await db.sql.begin(async (tx) => {
      await pulling({ sql, said });
      // Only now: the epoch had to be put into it.
      await tx`select 1 from tracking_fence for share`;
      await commitWaits();
      proxy.silence();
      await until(() => said.length > 0, { what: "the commit to be given up" });
    });
    await isCounted(60);
    log.append(clicks(60, 70));
    await isCounted(70);
    expect(await counted()).toEqual(upTo(70));
    expect(said[0]).toBe("hits cannot be counted at the moment");
    expect(said).toContain("hits are counted again");
  });

  test("that cuts every connection again and again counts each hit once", { timeout: 240_000 }, async () => {
    const { sql } = await proxied();
    log.append(clicks(0, 500));
    await pulling({ sql, pullRecords: 30 });
    for (let i = 0; i < 12; i++) {
      const before = (await counted()).length;
      // A cut at the wrong moment leaves a question without an answer: it is given up after a minute (db/sql.ts).
      await until(async () => (await counted()).length > before || before === 500, {
        what: "more to be counted",
        timeoutMs: 90_000,
      });
      await db.sql`
        select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'proxied' and datname = current_database()`;
    }
    await isCounted(500);
    expect(await counted()).toEqual(upTo(500));
  });
});

test("a click of one who unsubscribes is an address without mail at once", async () => {
  await pulling({ pullWaitMs: 20_000 });
  await until(() => log.asked.length > 0);
  log.append([hit({ kind: "unsubscribe", message: d.firstId + 7, method: "POST", hint: "one-click" })]);
  const row = await until(async () => (await db.sql`select address, reason from suppression`)[0]);
  expect(row).toEqual({ address: "r7@example.com", reason: "unsubscribed" });
});
