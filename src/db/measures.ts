/**
 * The history of what the statistics server did by itself: back-offs, the circuit breaker, pauses of a warm-up. A row is written when a
 * measure begins, its reason is replaced when it goes on for longer, and its end is set once. Times are epoch ms of the server.
 */
import type { Sql } from "./sql.ts";

export interface RecordedMeasure {
  readonly kind: string;
  /** '' for all. */
  readonly site: string;
  /** null: all. */
  readonly publicId: number | null;
  readonly by: string;
  readonly reason: string;
  readonly since: number;
  /** When it ended; 0: it is in force, or the server that knew of it is gone. */
  readonly endedAt: number;
}

interface Row {
  kind: string;
  site: string;
  public_id: number | null;
  by_what: string;
  reason: string;
  began_at: Date;
  ended_at: Date | null;
}

/** Writes down that a measure began or says something new (`endedAt` 0), or that it ended. Told twice, it is written once. */
export async function recordMeasure(sql: Sql, measure: RecordedMeasure): Promise<void> {
  const { kind, site, publicId, by, reason, since, endedAt } = measure;
  const began = new Date(since);
  const ended = endedAt > 0 ? new Date(endedAt) : null;
  await sql`
    with known as (
      update measure set reason = ${reason}, ended_at = coalesce(ended_at, ${ended}::timestamptz)
      where site = ${site} and began_at = ${began} and kind = ${kind} and by_what = ${by} and public_id is not distinct from ${publicId}
      returning id
    )
    insert into measure (kind, site, public_id, by_what, reason, began_at, ended_at)
    select ${kind}, ${site}, ${publicId}::int, ${by}, ${reason}, ${began}, ${ended}
    where not exists (select from known)`;
}

/** The newest first; `site` '' for all sites. Those of all sites (site '') are part of every site's history. */
export async function listMeasures(
  sql: Sql,
  filter: { readonly site: string; readonly since: number; readonly limit: number },
): Promise<RecordedMeasure[]> {
  const rows = await sql<Row[]>`
    select kind, site, public_id, by_what, reason, began_at, ended_at from measure
    where (${filter.site} = '' or site in (${filter.site}, '')) and began_at >= ${new Date(filter.since)}
    order by began_at desc, id desc limit ${filter.limit}`;
  return rows.map((row) => ({
    kind: row.kind,
    site: row.site,
    publicId: row.public_id,
    by: row.by_what,
    reason: row.reason,
    since: row.began_at.getTime(),
    endedAt: row.ended_at?.getTime() ?? 0,
  }));
}
