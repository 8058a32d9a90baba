/** What the leading statistics server remembers, saved every few seconds: one row, written by the leader of the day and nobody else. */
import type { AnySql, Sql } from "./sql.ts";

export interface SavedSnapshot {
  readonly epoch: number;
  readonly body: unknown;
}

/**
 * Saves `json` in the name of the leader of `epoch`; false when another leads by now. The row of the leader is locked for the length of the
 * statement: a server that takes the lead meanwhile reads what was saved, or this is refused.
 */
export async function saveSnapshot(sql: AnySql, epoch: number, json: string): Promise<boolean> {
  const saved = await sql`
    with holder as materialized (select epoch from stat_leader where id = 1 and epoch = ${epoch}::bigint for share)
    insert into stat_snapshot (id, epoch, taken_at, body)
    select 1, epoch, clock_timestamp(), ${json}::text::jsonb from holder
    on conflict (id) do update set epoch = excluded.epoch, taken_at = excluded.taken_at, body = excluded.body`;
  return saved.count > 0;
}

/** The last one saved, or null. */
export async function loadSnapshot(sql: Sql): Promise<SavedSnapshot | null> {
  const [row] = await sql<{ epoch: number; body: unknown }[]>`select epoch, body from stat_snapshot where id = 1`;
  return row ?? null;
}
