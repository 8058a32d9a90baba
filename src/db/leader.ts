/**
 * Who leads, where one process of many does something: one row, one lease. All times are the database's, so the clocks of the machines do
 * not matter. Each new leader has a higher epoch, and whoever writes in the name of an older one is refused.
 */
import type { Sql } from "./sql.ts";

/** One of statistics servers (0003-stat.sql), one of workflows (0005-tracking.sql). */
export type LeaderTable = "stat_leader" | "tracking_leader";

export interface LeaderState {
  /** True when the lease is the asker's. */
  readonly ours: boolean;
  readonly server: string;
  readonly epoch: number;
  /** The database's clock, epoch ms. */
  readonly now: number;
  /** Until the lease ends, ms; below 0 when it has. */
  readonly leftMs: number;
}

interface Row {
  server: string;
  epoch: number;
  now: number;
  left_ms: number;
}

/**
 * Takes the lead when it is free: nobody has it, its lease has ended, or it is of the epoch `own`, which the asker knows to be its own and
 * no longer used (-1: none). What stands in the row then.
 */
export async function takeLead(
  sql: Sql,
  table: LeaderTable,
  server: string,
  leaseMs: number,
  own: number,
): Promise<LeaderState> {
  // clock_timestamp, not now(): a transaction that waited for the row must not reckon with the time at which it began to wait.
  const [taken] = await sql<Row[]>`
    insert into ${sql(table)} as l (id, server, epoch, until)
    values (1, ${server}, 1, clock_timestamp() + ${leaseMs} * interval '1 ms')
    on conflict (id) do update set server = excluded.server, epoch = l.epoch + 1,
      until = clock_timestamp() + ${leaseMs} * interval '1 ms'
    where l.until < clock_timestamp() or l.epoch = ${own}::bigint
    returning l.server, l.epoch, ${sql.unsafe(TIMES)}`;
  if (taken !== undefined) return stateOf(taken, true);
  const [held] = await sql<Row[]>`select server, epoch, ${sql.unsafe(TIMES)} from ${sql(table)} l where id = 1`;
  if (held === undefined) return takeLead(sql, table, server, leaseMs, own);
  return stateOf(held, false);
}

/** Prolongs the lease of `epoch`; null when it has ended or is another's. */
export async function renewLead(
  sql: Sql,
  table: LeaderTable,
  epoch: number,
  leaseMs: number,
): Promise<LeaderState | null> {
  const [row] = await sql<Row[]>`
    update ${sql(table)} l set until = clock_timestamp() + ${leaseMs} * interval '1 ms'
    where id = 1 and epoch = ${epoch}::bigint and until > clock_timestamp()
    returning server, epoch, ${sql.unsafe(TIMES)}`;
  return row === undefined ? null : stateOf(row, true);
}

/** Ends the lease of `epoch` now, if it is still the one, and tells those who stand by. */
export async function releaseLead(sql: Sql, table: LeaderTable, epoch: number, channel: string): Promise<void> {
  const ended = await sql`
    update ${sql(table)} set until = clock_timestamp() - interval '1 ms'
    where id = 1 and epoch = ${epoch}::bigint and until > clock_timestamp()`;
  if (ended.count > 0) await sql`select pg_notify(${channel}, 'leader')`;
}

/** What stands in the row, for whoever only looks; null: nobody has ever led. */
export async function readLead(sql: Sql, table: LeaderTable): Promise<LeaderState | null> {
  const [row] = await sql<Row[]>`select server, epoch, ${sql.unsafe(TIMES)} from ${sql(table)} l where id = 1`;
  return row === undefined ? null : stateOf(row, false);
}

const TIMES = `(extract(epoch from clock_timestamp()) * 1000)::float8 as now,
  (extract(epoch from l.until - clock_timestamp()) * 1000)::float8 as left_ms`;

function stateOf(row: Row, ours: boolean): LeaderState {
  return { ours, server: row.server, epoch: row.epoch, now: row.now, leftMs: row.left_ms };
}
