/**
 * For tests of the tracking workflow: hits and the pieces of a log they make, a ledger for them, and the sums as they must be by the raw rows
 * alone, reckoned anew.
 */
import type { Sql } from "../../src/db/sql.ts";
import { raiseFence } from "../../src/db/tracking-sources.ts";
import { volumeOfId } from "../../src/db/volumes.ts";
import { encodeRecord, type TrackingRecord } from "../../src/model/tracking.ts";
import { type ConsolidatorDeps, openConsolidator } from "../../src/workflow/consolidate.ts";
import type { Taken } from "../../src/workflow/pipeline.ts";
import type { Piece } from "../../src/workflow/piece.ts";
import { silentLog } from "../../src/base/log.ts";
import { handClock, type HandClock } from "./clock.ts";
import { putDelivery, type TestDelivery } from "./ledger.ts";

/** Long after everything in these tests was sent. */
export const NOW = Date.UTC(2026, 4, 3, 10);
export const CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36";
export const APPLE = "Mozilla/5.0";
export const GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";

export function hit(over: Partial<TrackingRecord> = {}): TrackingRecord {
  return {
    at: NOW,
    kind: "click",
    message: 0,
    delivery: 0,
    link: over.kind === undefined || over.kind === "click" ? 1 : 0,
    method: "GET",
    hint: "",
    ip: "203.0.113.0",
    userAgent: CHROME,
    visitor: "",
    web: null,
    ...over,
  };
}

export function linesOf(hits: readonly TrackingRecord[]): Buffer {
  return Buffer.from(hits.map(encodeRecord).join(""));
}

/** A delivery whose messages were sent an hour before NOW, unless told otherwise (null: never). */
export async function sentDelivery(
  sql: Sql,
  count: number,
  { sentAt = NOW - 3_600_000, prefix = "r" }: { sentAt?: number | null; prefix?: string } = {},
): Promise<TestDelivery> {
  const addresses = Array.from({ length: count }, (_, i) => `${prefix}${i}@Example.com`);
  const delivery = await putDelivery(sql, { addresses, state: "finished" });
  if (sentAt !== null) await markSent(sql, delivery.firstId, count, sentAt);
  return delivery;
}

export async function markSent(sql: Sql, firstId: number, count: number, at: number): Promise<void> {
  await sql`
    insert into ${sql(`event_${volumeOfId(firstId)}`)} (message_id, at, type)
    select id, ${new Date(at)}, 2 from generate_series(${firstId}::bigint, ${firstId + count - 1}::bigint) id`;
}

export interface Counter {
  readonly clock: HandClock;
  /** Position in the log. */
  readonly end: number;
  /** Counts hits as the next piece of the log. */
  take(hits: readonly TrackingRecord[] | Buffer): Promise<Taken>;
  piece(body: Buffer): Piece;
  readonly consolidator: ReturnType<typeof openConsolidator>;
}

/** A consolidator that leads, and a log for it. */
export async function openCounter(sql: Sql, epoch: number, over: Partial<ConsolidatorDeps> = {}): Promise<Counter> {
  const clock = handClock(NOW);
  const fence = await raiseFence(sql, epoch);
  if (fence === null) throw new Error("somebody else leads");
  const consolidator = openConsolidator({ sql, log: silentLog, clock, fence, counted: () => {}, ...over });
  const log = `log${epoch}`;
  await sql`insert into tracking_source (log, address) values (${log}, 'http://r') on conflict do nothing`;
  const [row] = await sql<{ position: number }[]>`select position from tracking_source where log = ${log}`;
  let end = row!.position;
  const piece = (body: Buffer): Piece => ({ log, from: end, to: end + body.length, body, lost: 0 });
  return {
    clock,
    get end() {
      return end;
    },
    piece,
    consolidator,
    async take(hits) {
      const body = Buffer.isBuffer(hits) ? hits : linesOf(hits);
      const taken = await consolidator.take(piece(body));
      if (taken === "counted") end += body.length;
      return taken;
    },
  };
}

export interface Sums {
  readonly deliveries: readonly object[];
  readonly links: readonly object[];
  readonly reactions: readonly object[];
}

/** As the workflow kept them; rows of zeros left out. */
export async function keptSums(sql: Sql): Promise<Sums> {
  return {
    deliveries: await sql`
      select delivery_id, who, recipient_open, opens, recipient_click, person_click, clicks, opt_outs, mirror_pages, web_pages, transactions,
        amount::float8, articles
      from delivery_reactions where greatest(recipient_open, opens, clicks, opt_outs, mirror_pages, web_pages, transactions) <> 0 order by 1, 2`,
    links: await sql`
      select delivery_id, link, kind, bucket, person, machine from link_statistics where person <> 0 or machine <> 0 order by 1, 2, 3, 4`,
    reactions: await sql`
      select message_id, hits, clicks, person_hits, person_clicks from reaction where hits > 0 order by 1`,
  };
}

/** As they must be, by the raw rows. */
export async function reckonedSums(sql: Sql): Promise<Sums> {
  const counted = sql`(
    select *, class in (0, 1) as person, case when visitor = '' then 'row ' || id else visitor end as clicker
    from tracking where uncounted = '' and delivery_id <> 0) t`;
  return {
    deliveries: await sql`
      select delivery_id, who, count(distinct message_id) filter (where message_id <> 0) as recipient_open,
        count(*) filter (where kind = 0) as opens,
        count(distinct message_id) filter (where message_id <> 0 and kind = 1) as recipient_click,
        count(distinct clicker) filter (where kind = 1) as person_click,
        count(*) filter (where kind = 1) as clicks, count(*) filter (where kind = 2) as opt_outs, count(*) filter (where kind = 3) as mirror_pages,
        count(*) filter (where kind = 4) as web_pages, count(*) filter (where kind = 5) as transactions,
        coalesce(sum((web ->> 'amount')::numeric) filter (where kind = 5), 0)::float8 as amount,
        coalesce(sum((web ->> 'articles')::numeric) filter (where kind = 5), 0)::bigint as articles
      from ${counted} join (values (0), (1)) w (who) on who = 0 or person group by 1, 2 order by 1, 2`,
    links: await sql`
      select delivery_id, link, kind, to_timestamp(floor(extract(epoch from at) / 300) * 300) as bucket,
        (count(*) filter (where person))::int as person, (count(*) filter (where not person))::int as machine
      from ${counted} group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    reactions: await sql`
      select message_id, count(*)::int as hits, (count(*) filter (where kind = 1))::int as clicks,
        (count(*) filter (where person))::int as person_hits, (count(*) filter (where person and kind = 1))::int as person_clicks
      from ${counted} where message_id <> 0 group by 1 order by 1`,
  };
}
