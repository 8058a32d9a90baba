/** Statistics of paths: live numbers by hand-turned time, rows in a real database, floods and a database that goes away. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import {
  forgetPathStatistics,
  type PathPeriod,
  readPathStatistics,
  writePathStatistics,
} from "../../src/db/path-statistics.ts";
import { NO_COUNTS } from "../../src/quota/answers.ts";
import type { PathReport, ReplySample } from "../../src/quota/messages.ts";
import { openStatistics, type Statistics, type StatisticsDeps } from "../../src/stat/statistics.ts";
import { openOutbox } from "../../src/stat/statistics/outbox.ts";
import { handClock } from "../support/clock.ts";
import { openTestDatabase } from "../support/database.ts";

const db = await openTestDatabase();
afterAll(() => db.close());

const NOON = Date.UTC(2026, 4, 1, 12);
const MINUTE = 60_000;
let clock = handClock(NOON);
const open: Statistics[] = [];
beforeEach(async () => {
  clock = handClock(NOON);
  await db.sql`delete from path_statistics`;
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const inDatabase: Pick<StatisticsDeps, "writeRows" | "readRows" | "forgetRows"> = {
  writeRows: (rows) => writePathStatistics(db.sql, rows),
  readRows: (since, limit) => readPathStatistics(db.sql, since, limit),
  forgetRows: (before, limit) => forgetPathStatistics(db.sql, before, limit),
};

async function start(deps: Partial<StatisticsDeps> = {}): Promise<Statistics> {
  const statistics = await openStatistics({ clock, log: silentLog, ...inDatabase, ...deps });
  open.push(statistics);
  return statistics;
}

const report = (parts: Partial<PathReport> = {}): PathReport => ({
  ...NO_COUNTS,
  site: "mx.a.example",
  mx: "mx.a.example",
  ip: "192.0.2.1",
  publicId: 1,
  attempts: 10,
  accepted: 9,
  deferred: 1,
  ...parts,
});

const reply = (text: string, parts: Partial<ReplySample> = {}): ReplySample => ({
  site: "mx.a.example",
  mx: "mx.a.example",
  ip: "192.0.2.1",
  publicId: 1,
  stage: "rcpt",
  code: 450,
  enhanced: "4.2.1",
  text,
  count: 1,
  ...parts,
});

const rows = (): Promise<PathPeriod[]> => readPathStatistics(db.sql, 0, 1000);

describe("live", () => {
  test("the last minute and the last hour pass", async () => {
    const s = await start();
    s.observe([report()], [reply("slow down")], clock.now());
    expect(s.paths("mx.a.example", clock.now())).toMatchObject([
      { minute: { attempts: 10 }, hour: { attempts: 10 }, lastReply: "450 4.2.1 slow down", lastReplyAt: NOON },
    ]);
    await clock.advance(2 * MINUTE);
    s.observe([report({ attempts: 3 })], [], clock.now());
    expect(s.paths("mx.a.example", clock.now())).toMatchObject([{ minute: { attempts: 3 }, hour: { attempts: 13 } }]);
    await clock.advance(57 * MINUTE);
    expect(s.paths("mx.a.example", clock.now())).toMatchObject([{ minute: { attempts: 0 }, hour: { attempts: 13 } }]);
    await clock.advance(4 * MINUTE);
    await s.write();
    expect([...s.sites()]).toEqual([]);
  });

  test("twelve periods, the running one last", async () => {
    const s = await start();
    for (let i = 0; i < 13; i++) {
      s.observe([report({ attempts: i + 1 }), report({ ip: "192.0.2.2", attempts: 100 })], [], clock.now());
      await clock.advance(5 * MINUTE);
    }
    const slots = s.slots("mx.a.example", clock.now());
    expect(slots.map(({ counts }) => counts.attempts)).toEqual(
      [103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 0].slice(0, 12),
    );
    expect(slots.at(-1)?.at).toBe(clock.now());
    expect(slots[0]?.at).toBe(clock.now() - 55 * MINUTE);
  });

  test("after the clock was put back, by less or by more than an hour, what is told now is seen", async () => {
    const s = await start();
    for (const at of [NOON, NOON - 7 * MINUTE, NOON - 60 * MINUTE, NOON - 600 * MINUTE]) {
      s.observe([report()], [], at);
      expect(s.paths("mx.a.example", at)).toMatchObject([{ minute: { attempts: 10 }, hour: { attempts: 10 } }]);
    }
    await s.write();
    expect((await rows()).map(({ attempts }) => attempts)).toEqual([10, 10, 10, 10]);
  });

  test("a site with the mark of its TLS policy is the plain site", async () => {
    const s = await start();
    s.observe([report({ site: "mx.a.example#sts" }), report()], [], NOON);
    expect([...s.sites()]).toEqual(["mx.a.example"]);
    expect(s.paths("mx.a.example#dane", NOON)).toHaveLength(1);
  });
});

test("this machine's clock is put forward: nothing that is new is forgotten", async () => {
  const asked: number[] = [];
  const s = await start({ writeRows: async () => {}, forgetRows: async (before) => asked.push(before) });
  s.observe([report()], [], NOON);
  clock.jump(90 * 24 * 60 * MINUTE);
  await clock.advance(31 * MINUTE);
  expect(s.paths("mx.a.example", NOON + 31 * MINUTE)).toMatchObject([{ hour: { attempts: 10 } }]);
  expect(asked).toHaveLength(1);
  expect(NOON - asked[0]!).toBeGreaterThan(29 * 24 * 60 * MINUTE);
});

describe("hostile reports", () => {
  test("numbers that are none are not added", async () => {
    const s = await start();
    const bad = { attempts: Number.POSITIVE_INFINITY, accepted: -5, bytes: Number.NaN, publicId: 2 ** 40, deferred: 1 };
    s.observe([report(bad)], [], NOON);
    expect(s.paths("mx.a.example", NOON)[0]).toMatchObject({
      publicId: 0,
      hour: { attempts: 0, accepted: 0, bytes: 0, deferred: 1 },
    });
    await s.write();
    expect(await rows()).toHaveLength(1);
  });

  test("names and replies that want to be something else are one harmless line, and the database takes them", async () => {
    const s = await start();
    const evil = `a\u0000b\u001b[2J\r\n${"x".repeat(6000)}`;
    s.observe([report({ site: evil, mx: evil, ip: evil })], [reply(evil, { site: evil, mx: evil, ip: evil })], NOON);
    await s.write();
    const [row] = await rows();
    expect(row?.site.length).toBeLessThanOrEqual(600);
    expect(row?.lastReply).toMatch(/^450 4\.2\.1 a b \[2J x+…$/);
  });

  test("a flood of sites does not grow it, and the busy site stays", async () => {
    const s = await start({ mostPaths: 100 });
    for (let i = 0; i < 5000; i++) {
      if (i % 50 === 0) s.observe([report()], [], clock.now());
      s.observe([report({ site: `flood${i}.example`, ip: "198.51.100.1" })], [], clock.now());
    }
    expect(s.size).toBe(100);
    expect(s.paths("mx.a.example", clock.now())[0]?.hour.attempts).toBe(1000);
    await s.write();
    const [count] = await db.sql<
      { n: number }[]
    >`select count(*)::int as n, sum(attempts)::int as all from path_statistics`;
    expect(count).toEqual({ n: 5001, all: 51_000 });
  });
});

describe("rows", () => {
  test("are written by themselves within a minute, and again with more", async () => {
    const written: number[] = [];
    await start({
      writeRows: async (all) => void written.push(...all.map((row) => row.attempts)),
    }).then((s) => s.observe([report()], [], clock.now()));
    await clock.advance(MINUTE);
    open[0]!.observe([report()], [], clock.now());
    await clock.advance(2 * MINUTE);
    expect(written).toEqual([10, 20]);
  });

  test("a new leader goes on with the period of the old one, and nothing is counted twice", async () => {
    const first = await start();
    first.observe([report()], [reply("slow down")], clock.now());
    await clock.advance(10_000);
    await first.write();
    const second = await start();
    expect(second.paths("mx.a.example", clock.now())).toMatchObject([
      { hour: { attempts: 10 }, minute: { attempts: 0 }, lastReply: "450 4.2.1 slow down" },
    ]);
    second.observe([report()], [], clock.now());
    await second.write();
    await second.write();
    // What the old one still writes takes nothing away.
    first.observe([report({ attempts: 1 })], [], clock.now());
    await first.write();
    expect(await rows()).toMatchObject([
      { period: NOON, attempts: 20, accepted: 18, lastReply: "450 4.2.1 slow down" },
    ]);
  });

  test("a database that cannot be read at the start: it begins with nothing and goes on", async () => {
    const s = await start({ readRows: () => Promise.reject(new Error("away")) });
    s.observe([report()], [], clock.now());
    await s.write();
    expect(await rows()).toHaveLength(1);
  });

  test("what is left is written at the end", async () => {
    const s = await openStatistics({ clock, log: silentLog, ...inDatabase });
    s.observe([report()], [], clock.now());
    await s.close();
    expect(await rows()).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test("old rows go by themselves", async () => {
    const asked: number[] = [];
    await start({ forgetRows: async (before) => asked.push(before) });
    await clock.advance(61 * MINUTE);
    expect(asked).toHaveLength(1);
    expect(NOON - asked[0]!).toBeGreaterThan(29 * 24 * 60 * MINUTE);
  });
});

describe("the database is away", () => {
  const row = (period: number, attempts = 1): PathPeriod => ({ ...report({ attempts }), period, lastReply: "" });
  const away = (): Promise<never> => Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));

  test("rows are kept and written when it is back, each once with its newest numbers", async () => {
    let back = false;
    const written: PathPeriod[] = [];
    const outbox = openOutbox({
      clock,
      log: silentLog,
      write: (all) => (back ? Promise.resolve(void written.push(...all)) : away()),
    });
    outbox.put(row(NOON));
    await outbox.flush();
    outbox.put(row(NOON, 2));
    outbox.put(row(NOON + 5 * MINUTE));
    expect(outbox.waiting).toBe(2);
    back = true;
    await clock.advance(60_000);
    expect(written.map(({ attempts }) => attempts)).toEqual([2, 1]);
    expect(outbox.waiting).toBe(0);
    await outbox.close();
  });

  test("beyond the bound the oldest go, and the log says so", async () => {
    const errors: object[] = [];
    const log = { ...silentLog, error: (fields: object) => void errors.push(fields) };
    const outbox = openOutbox({ clock, log, most: 10, write: away });
    for (let i = 0; i < 25; i++) outbox.put(row(NOON + i * 5 * MINUTE));
    await outbox.flush();
    expect(outbox).toMatchObject({ waiting: 10, dropped: 15 });
    expect(errors).toEqual([{ rows: 15, most: 10 }]);
    await outbox.close();
    expect(outbox).toMatchObject({ waiting: 0, dropped: 25 });
    expect(errors).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  test("one row the database refuses does not keep the others", async () => {
    const written: number[] = [];
    const outbox = openOutbox({
      clock,
      log: silentLog,
      async write(all) {
        if (all.some(({ attempts }) => attempts === 666)) throw Object.assign(new Error("bad"), { code: "22003" });
        written.push(...all.map(({ attempts }) => attempts));
      },
    });
    for (const attempts of [1, 666, 3]) outbox.put(row(NOON + attempts * 5 * MINUTE, attempts));
    await outbox.flush();
    expect(written).toEqual([1, 3]);
    expect(outbox).toMatchObject({ waiting: 0, dropped: 1 });
    await outbox.close();
  });
});

test("totals of everything that was observed, forgotten paths too", async () => {
  const s = await start({ mostPaths: 3 });
  for (let i = 0; i < 10; i++) s.observe([report({ site: `s${i}.example` })], [], clock.now());
  expect(s.totals).toMatchObject({ attempts: 100, accepted: 90, deferred: 10 });
});
