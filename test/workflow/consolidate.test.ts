/**
 * Every record once: whatever is sent twice, torn, refused or done by two at the same time. After each test all sums are what the raw
 * rows say.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { openSql } from "../../src/db/sql.ts";
import { raiseFence } from "../../src/db/tracking-sources.ts";
import { trackingEvents } from "../../src/db/tracking-events.ts";
import type { TrackingRecord } from "../../src/model/tracking.ts";
import { openConsolidator } from "../../src/workflow/consolidate.ts";
import type { Taken } from "../../src/workflow/pipeline.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import type { TestDelivery } from "../support/ledger.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import {
  type Counter,
  hit,
  keptSums,
  linesOf,
  NOW,
  openCounter,
  reckonedSums,
  sentDelivery,
} from "../support/tracking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
let d: TestDelivery;
let epoch = 0;
let counter: Counter;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate tracking, reaction, delivery_reactions, link_statistics, visitor_click, tracking_damaged, suppression`;
  d = await sentDelivery(db.sql, 200);
  counter = await openCounter(db.sql, ++epoch, { batch: 7 });
});
// oxlint-disable-next-line vitest/no-standalone-expect -- holds behind every test
afterEach(async () => expect(await keptSums(db.sql)).toEqual(await reckonedSums(db.sql)));

/** One click each on the messages from…to. */
function clicks(from: number, to: number, over: Partial<TrackingRecord> = {}): TrackingRecord[] {
  return Array.from({ length: to - from }, (_, i) =>
    hit({ message: d.firstId + from + i, at: NOW + i * 1000, ip: "", ...over }),
  );
}
async function messages(): Promise<number[]> {
  const rows = await db.sql<{ n: number }[]>`select message_id - ${d.firstId} as n from tracking order by id`;
  return rows.map(({ n }) => n);
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const position = async (log = `log${epoch}`): Promise<number> =>
  (await db.sql<{ position: number }[]>`select position from tracking_source where log = ${log}`)[0]!.position;

describe("each record counts once", () => {
  test("in the order of the log, with ids without a gap", async () => {
    const before = (await trackingEvents(db.sql, { after: 0, delivery: 0, kind: "", limit: 1 }))[0]?.id ?? 0;
    expect(before).toBe(0);
    await counter.take(clicks(0, 50));
    await counter.take(clicks(50, 100));
    expect(await messages()).toEqual(upTo(100));
    const ids = (await db.sql<{ id: number }[]>`select id from tracking order by id`).map(({ id }) => id);
    expect(ids).toEqual(upTo(100).map((i) => ids[0]! + i));
  });

  test("when the same piece comes again", async () => {
    const piece = counter.piece(linesOf(clicks(0, 50)));
    expect(await counter.consolidator.take(piece)).toBe("counted");
    expect(await counter.consolidator.take(piece)).toBe("refused");
    expect(await messages()).toEqual(upTo(50));
    expect(await position()).toBe(piece.to);
  });

  test("when two take it at the same time", async () => {
    const piece = counter.piece(linesOf(clicks(0, 50)));
    const taken = await Promise.all([counter.consolidator.take(piece), counter.consolidator.take(piece)]);
    expect(taken.sort()).toEqual(["counted", "refused"]);
    expect(await messages()).toEqual(upTo(50));
  });

  test("when a leader of yesterday is still at it: what it has not committed is the next one's", async () => {
    const old = counter.piece(linesOf(clicks(0, 50)));
    const fence = await raiseFence(db.sql, ++epoch);
    expect(fence?.epoch).toBe(epoch);
    expect(await counter.consolidator.take(old)).toBe("refused");
    expect(await counter.consolidator.take(old)).toBe("deposed");
    expect(await messages()).toEqual([]);
    expect(await raiseFence(db.sql, epoch - 1)).toBeNull();
    const next = openConsolidator({
      sql: db.sql,
      log: silentLog,
      clock: counter.clock,
      counted: () => {},
      fence: fence!,
    });
    expect(await next.take(old)).toBe("counted");
    expect(await messages()).toEqual(upTo(50));
  });

  test("when two lead, each of its own opinion, and take turns: one counts, in one order", async () => {
    const hits = linesOf(clicks(0, 60));
    const piece = counter.piece(hits);
    const fence = await raiseFence(db.sql, ++epoch);
    const next = openConsolidator({
      sql: db.sql,
      log: silentLog,
      clock: counter.clock,
      counted: () => {},
      fence: fence!,
      batch: 5,
    });
    const taken = await Promise.all([counter.consolidator.take(piece), next.take(piece)]);
    expect(taken).toEqual(["refused", "counted"]);
    expect(await messages()).toEqual(upTo(60));
  });

  test("when the connection breaks in the middle of a commit", async () => {
    const piece = counter.piece(linesOf(clicks(0, 5)));
    await db.sql.begin(async (tx) => {
      await tx`select 1 from tracking_fence for share`;
      const broken = counter.consolidator.take(piece).catch((error: Error) => error);
      const [pid] = await commits(1);
      await db.sql`select pg_terminate_backend(${pid!})`;
      expect(await broken).toBeInstanceOf(Error);
    });
    expect(await counter.consolidator.take(piece)).toBe("counted");
    expect(await messages()).toEqual(upTo(5));
  });

  test("when a commit goes through whose answer never comes, while another log has hits on the same messages", async () => {
    const url = new URL(db.url);
    const proxy = await openSilentProxy(Number(url.port));
    url.port = String(proxy.port);
    const sql = openSql(url.href, { poolSize: 4, name: "lost", answerMs: 500 });
    onTestFinished(async () => {
      await proxy.close();
      await sql.end({ timeout: 0 });
    });
    const mine = await openCounter(sql, ++epoch);
    await db.sql`insert into tracking_source (log, address) values (${`other${epoch}`}, 'http://r2')`;
    const piece = mine.piece(linesOf(clicks(0, 5)));
    const other = { ...mine.piece(linesOf(clicks(0, 5, { at: NOW + 100_000 }))), log: `other${epoch}`, from: 0 };
    const late = await db.sql.begin(async (tx) => {
      await tx`select 1 from tracking_fence for share`;
      const lost = mine.consolidator.take(piece).catch((error: Error) => error);
      await commits(1);
      proxy.silence();
      expect(await lost).toBeInstanceOf(Error);
      // Made from what was before the first, and behind it in the database. Other connections of the pool have to be found dead before.
      const again = (): Promise<Taken> => mine.consolidator.take(other).catch(again);
      const taking = again();
      await commits(2);
      return { taking };
    });
    expect(await late.taking).toBe("refused");
    expect(await mine.consolidator.take(piece)).toBe("refused");
    expect(await mine.consolidator.take(other)).toBe("counted");
    expect(await messages()).toEqual([...upTo(5), ...upTo(5)]);
  });

  /** Process ids of `n` commits that wait for the fence. */
  function commits(n: number): Promise<number[]> {
    return until(async () => {
      const rows = await db.sql<{ pid: number }[]>`
        select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
          and query like '%tracking_fence set next_id%'`;
      return rows.length >= n && rows.map(({ pid }) => pid);
    }) as Promise<number[]>;
  }
});

describe("what is no record", () => {
  test("is set aside with its place, and what is around it counts", async () => {
    const octets = linesOf(clicks(0, 20));
    const bad = octets.indexOf("[", 500) + 3;
    octets[bad] = octets[bad]! ^ 1;
    await counter.take(octets);
    expect(await messages()).toHaveLength(19);
    const [row] = await db.sql<{ position: number; octets: number; reason: string; content: Buffer }[]>`
      select position, octets, reason, content from tracking_damaged`;
    expect(row?.reason).toBe("wrong checksum");
    expect(octets.subarray(row!.position, row!.position + row!.octets)).toEqual(row?.content);
    expect(await position()).toBe(octets.length);
  });

  test("is a piece of nothing else too, and a gap", async () => {
    await counter.take(Buffer.from("rubbish\n".repeat(100)));
    const piece = counter.piece(linesOf(clicks(0, 3)));
    expect(await counter.consolidator.take({ ...piece, to: piece.to + 1000 })).toBe("counted");
    const [source] =
      await db.sql`select position, records, damaged, missing from tracking_source where log = ${`log${epoch}`}`;
    expect(source).toEqual({ position: piece.to + 1000, records: 3, damaged: 100, missing: 1000 });
  });

  test("with all bits of a piece flipped at random: what can be read counts, the rest has its place", async () => {
    let seed = 42;
    const below = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
    const octets = linesOf(clicks(0, 100));
    for (let i = 0; i < 40; i++) {
      const at = below(octets.length);
      octets[at] = octets[at]! ^ (1 << below(8));
    }
    await counter.take(octets);
    const [aside] = await db.sql<{ n: number }[]>`select sum(records)::int as n from tracking_damaged`;
    const lines = octets.toString("latin1").split("\n").length - 1;
    expect((await messages()).length + aside!.n).toBe(lines);
    expect(new Set(await messages()).size).toBe((await messages()).length);
  });
});

describe("a record that cannot be counted", () => {
  /** One the checks let through and the database does not: here a rule of the table that no code knows of. */
  beforeEach(async () => void (await db.sql`alter table tracking add constraint poison check (link <> 666)`));
  afterEach(async () => void (await db.sql`alter table tracking drop constraint poison`));

  test("is set aside alone, and its neighbours count", async () => {
    const hits = clicks(0, 60);
    hits[23] = { ...hits[23]!, link: 666 };
    hits[24] = { ...hits[24]!, link: 666 };
    expect(await counter.take(hits)).toBe("counted");
    expect(await messages()).toEqual(upTo(60).filter((n) => n !== 23 && n !== 24));
    const rows = await db.sql<
      { reason: string; content: Buffer }[]
    >`select reason, content from tracking_damaged order by position`;
    expect(rows.map(({ reason }) => reason.slice(0, 19))).toEqual(["cannot be counted: ", "cannot be counted: "]);
    expect(JSON.parse(rows[0]!.content.toString())).toMatchObject({ message: d.firstId + 23 });
    expect(await counter.take(clicks(60, 70))).toBe("counted");
  });

  test("does not take a log with it when nothing can be counted: then it is not the records' fault", async () => {
    await expect(counter.take(clicks(0, 100, { link: 666 }))).rejects.toThrow(/poison/);
    const [row] = await db.sql<{ n: number }[]>`select count(*)::int as n from tracking_damaged`;
    expect(row?.n).toBe(20);
  });
});

describe("months", () => {
  test("of hits are made as they come, also those long past and the one to come", async () => {
    await counter.clock.advance(Date.UTC(2026, 4, 31, 12) - NOW);
    const times = [Date.UTC(2021, 1, 28), Date.UTC(2026, 5, 1, 6), Date.UTC(2026, 4, 31, 6)];
    await counter.take(times.map((at, i) => hit({ at, message: d.firstId + i })));
    const leaves = await db.sql<{ leaf: string }[]>`select tableoid::regclass::text as leaf from tracking order by id`;
    expect(leaves.map(({ leaf }) => leaf)).toEqual(["tracking_202102", "tracking_202606", "tracking_202605"]);
  });

  test("that were dropped are made again", async () => {
    await counter.take(clicks(0, 3));
    await db.sql`drop table tracking_202605`;
    await db.sql`truncate reaction, delivery_reactions, link_statistics`;
    expect(await counter.take(clicks(3, 6))).toBe("counted");
    expect(await messages()).toEqual([3, 4, 5]);
    expect(await db.sql`select 1 from tracking_damaged`).toHaveLength(0);
  });
});

test("user agents beyond what is remembered have one number each, whoever writes them down first", async () => {
  const small = await openCounter(db.sql, ++epoch, { agents: 3, batch: 4 });
  await db.sql`insert into user_agent (text) values ('agent 5')`;
  const named = (i: number): TrackingRecord =>
    hit({ message: d.firstId + i, at: NOW + i * 1000, userAgent: `agent ${i % 10}` });
  await small.take(upTo(40).map(named));
  await small.take(upTo(40).map((i) => ({ ...named(39 - i), at: NOW + 500_000 + i * 1000 })));
  const rows = await db.sql<{ text: string; n: number }[]>`
    select u.text, count(*)::int as n from tracking t join user_agent u on u.id = t.user_agent group by 1 order by 1`;
  expect(rows).toEqual(upTo(10).map((i) => ({ text: `agent ${i}`, n: 8 })));
});
