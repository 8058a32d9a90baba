/**
 * Error statistics by path and period of five minutes (spec modules.md §16.8, 18.3), as the leading statistics server counts them. A row
 * holds the whole period so far and numbers only grow, so writing it again, late or twice changes nothing, and of two servers that
 * take turns in one period neither takes away what the other wrote.
 */
import type { AnySql, Sql } from "./sql.ts";

/** The numbers of a path; `latencyMs` is the sum over the attempts. */
export interface PathNumbers {
  readonly connects: number;
  readonly refused: number;
  readonly timedOut: number;
  readonly aborted: number;
  readonly attempts: number;
  readonly accepted: number;
  readonly deferred: number;
  readonly rejected: number;
  readonly bytes: number;
  readonly latencyMs: number;
}

export interface PathPeriod extends PathNumbers {
  /** Epoch ms, a multiple of five minutes. */
  readonly period: number;
  readonly publicId: number;
  readonly site: string;
  readonly mx: string;
  readonly ip: string;
  readonly lastReply: string;
}

/** The columns are int4; a number a client lied about must not fail the batch it is in. */
const MOST = 2_147_483_647;

/** Writes rows of any periods, each (period, public id, site, ip) at most once in `rows`. A few thousand at a time. */
export async function writePathStatistics(sql: AnySql, rows: readonly PathPeriod[]): Promise<void> {
  if (rows.length === 0) return;
  const whole = (name: keyof PathNumbers, most: number = MOST): number[] =>
    rows.map((row) => Math.max(0, Math.min(most, Math.round(row[name]))));
  await sql`
    insert into path_statistics as s (period, public_id, site, mx, ip, connects, refused, timed_out, aborted, attempts, accepted, deferred,
      rejected, bytes, latency_ms, last_reply)
    select to_timestamp(period / 1000.0), public_id, site, mx, ip, connects, refused, timed_out, aborted, attempts, accepted, deferred, rejected,
      bytes, latency_ms, last_reply
    from unnest(${rows.map((r) => r.period)}::bigint[], ${rows.map((r) => r.publicId)}::int[], ${rows.map((r) => r.site)}::text[],
      ${rows.map((r) => r.mx)}::text[], ${rows.map((r) => r.ip)}::text[], ${whole("connects")}::int[], ${whole("refused")}::int[],
      ${whole("timedOut")}::int[], ${whole("aborted")}::int[], ${whole("attempts")}::int[], ${whole("accepted")}::int[],
      ${whole("deferred")}::int[], ${whole("rejected")}::int[], ${whole("bytes", Number.MAX_SAFE_INTEGER)}::bigint[],
      ${whole("latencyMs", Number.MAX_SAFE_INTEGER)}::bigint[], ${rows.map((r) => r.lastReply)}::text[])
      as r (period, public_id, site, mx, ip, connects, refused, timed_out, aborted, attempts, accepted, deferred, rejected, bytes, latency_ms,
        last_reply)
    order by period, public_id, site, ip
    on conflict (period, public_id, site, ip) do update set
      mx = excluded.mx,
      connects = greatest(s.connects, excluded.connects), refused = greatest(s.refused, excluded.refused),
      timed_out = greatest(s.timed_out, excluded.timed_out), aborted = greatest(s.aborted, excluded.aborted),
      attempts = greatest(s.attempts, excluded.attempts), accepted = greatest(s.accepted, excluded.accepted),
      deferred = greatest(s.deferred, excluded.deferred), rejected = greatest(s.rejected, excluded.rejected),
      bytes = greatest(s.bytes, excluded.bytes), latency_ms = greatest(s.latency_ms, excluded.latency_ms),
      last_reply = case when excluded.last_reply = '' then s.last_reply else excluded.last_reply end`;
}

/** The rows of a period and later, the busiest first: what a new leader goes on with. */
export async function readPathStatistics(sql: AnySql, since: number, limit: number): Promise<PathPeriod[]> {
  return sql<PathPeriod[]>`
    select (extract(epoch from period) * 1000)::bigint as period, public_id as "publicId", site, mx, ip, connects, refused,
      timed_out as "timedOut", aborted, attempts, accepted, deferred, rejected, bytes, latency_ms as "latencyMs", last_reply as "lastReply"
    from path_statistics where period >= to_timestamp(${since}::bigint / 1000.0)
    order by attempts::bigint + connects desc, period desc, site, public_id, ip limit ${limit}`;
}

/** Deletes what is older, at most `limit` rows; how many that were. */
export async function forgetPathStatistics(sql: AnySql, before: number, limit: number): Promise<number> {
  const gone = await sql`
    delete from path_statistics where ctid = any(array(
      select ctid from path_statistics where period < to_timestamp(${before}::bigint / 1000.0) limit ${limit}))`;
  return gone.count;
}

export interface ErrorQuery {
  /** Epoch ms. */
  readonly since: number;
  readonly until: number;
  /** '' for all. */
  readonly site: string;
  /** A site is shown with at least that many of each; 0 or 1 shows nearly all. */
  readonly minConnections: number;
  readonly minErrors: number;
  readonly minMessages: number;
  readonly limit: number;
}

/** A path in a time; `errors` is everything that was neither connected nor accepted. */
export interface PathErrors extends PathNumbers {
  readonly site: string;
  readonly publicId: number;
  readonly mx: string;
  readonly ip: string;
  readonly errors: number;
  readonly lastReply: string;
  /** Of the last period with numbers, epoch ms. */
  readonly lastAt: number;
}

/** Paths of one site of an answer: a site with hundreds of addresses must not fill it. */
const PATHS = 200;

/** The paths of the sites that pass the thresholds, those of the sites with most errors first. `limit` is for sites. */
export async function pathErrors(sql: Sql, query: ErrorQuery): Promise<PathErrors[]> {
  return sql<PathErrors[]>`
    with paths as materialized (
      select site, public_id, ip, max(mx) as mx, sum(connects) as connects, sum(refused) as refused, sum(timed_out) as timed_out,
        sum(aborted) as aborted, sum(attempts) as attempts, sum(accepted) as accepted, sum(deferred) as deferred, sum(rejected) as rejected,
        sum(bytes) as bytes, sum(latency_ms) as latency_ms, sum(refused::bigint + timed_out + aborted + deferred + rejected) as errors,
        coalesce((array_agg(last_reply order by period desc) filter (where last_reply <> ''))[1], '') as last_reply, max(period) as last_at
      from path_statistics
      where period >= to_timestamp(${query.since}::bigint / 1000.0) and period <= to_timestamp(${query.until}::bigint / 1000.0)
        and (${query.site} = '' or site = ${query.site})
      group by site, public_id, ip
    ), sites as (
      select site, sum(errors) as errors from paths group by site
      having sum(connects + refused + timed_out) >= ${query.minConnections}::bigint and sum(errors) >= ${query.minErrors}::bigint
        and sum(attempts) >= ${query.minMessages}::bigint
      order by 2 desc, 1 limit ${query.limit}
    )
    select p.site, public_id as "publicId", mx, ip, connects::bigint, refused::bigint, timed_out::bigint as "timedOut", aborted::bigint,
      attempts::bigint, accepted::bigint, deferred::bigint, rejected::bigint, p.bytes::bigint, latency_ms::bigint as "latencyMs",
      p.errors::bigint, last_reply as "lastReply", (extract(epoch from last_at) * 1000)::bigint as "lastAt"
    from sites s join lateral (
      select * from paths p where p.site = s.site order by p.errors desc, p.public_id, p.ip limit ${PATHS}
    ) p on true
    order by s.errors desc, p.site, p.errors desc, public_id, ip`;
}

/** Periods of a site from `since` on, all its paths together, the oldest first. */
export async function sitePeriods(
  sql: AnySql,
  site: string,
  since: number,
): Promise<(PathNumbers & { readonly period: number })[]> {
  return sql<(PathNumbers & { period: number })[]>`
    select (extract(epoch from period) * 1000)::bigint as period, sum(connects)::bigint as connects, sum(refused)::bigint as refused,
      sum(timed_out)::bigint as "timedOut", sum(aborted)::bigint as aborted, sum(attempts)::bigint as attempts, sum(accepted)::bigint as accepted,
      sum(deferred)::bigint as deferred, sum(rejected)::bigint as rejected, sum(bytes)::bigint as bytes, sum(latency_ms)::bigint as "latencyMs"
    from path_statistics where site = ${site} and period >= to_timestamp(${since}::bigint / 1000.0)
    group by 1 order by 1`;
}
