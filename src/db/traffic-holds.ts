/**
 * What operators have suspended: a site (its name, or a mask over exchanger names), a public id, both, or everything. A suspension is never
 * deleted: it says who stopped what and why, who resumed it and when. Every change is told to the statistics servers (channel `traffic`).
 * Times are epoch ms of the database's clock.
 */
import { CHANNELS, type Sql } from "./sql.ts";

export interface StoredSuspension {
  readonly id: number;
  /** '' for all. */
  readonly site: string;
  /** null: all. */
  readonly publicId: number | null;
  readonly reason: string;
  readonly by: string;
  readonly since: number;
  /** 0: until it is resumed. */
  readonly until: number;
}

export interface PastSuspension extends StoredSuspension {
  /** When it ended, by its time or by hand; 0: it is in force. */
  readonly endedAt: number;
  /** Who resumed it; '' when its time ended it, or nothing did. */
  readonly endedBy: string;
}

interface Row {
  id: number;
  site: string;
  public_id: number | null;
  reason: string;
  by_whom: string;
  since: Date;
  until: Date | null;
  ended_at: Date | null;
  ended_by: string;
}

const COLUMNS = ["id", "site", "public_id", "reason", "by_whom", "since", "until", "ended_at", "ended_by"];

function suspension(row: Row): StoredSuspension {
  return {
    id: row.id,
    site: row.site,
    publicId: row.public_id,
    reason: row.reason,
    by: row.by_whom,
    since: row.since.getTime(),
    until: row.until?.getTime() ?? 0,
  };
}

/** Those in force, the oldest first. */
export async function activeSuspensions(sql: Sql): Promise<StoredSuspension[]> {
  const rows = await sql<Row[]>`
    select ${sql(COLUMNS)} from suspension
    where ended_at is null and (until is null or until > now()) order by id`;
  return rows.map(suspension);
}

/** Suspends. `until`: null for until it is resumed. */
export async function addSuspension(
  sql: Sql,
  input: { site: string; publicId: number | null; reason: string; by: string; until: Date | null },
): Promise<StoredSuspension> {
  const [row] = await sql<Row[]>`
    with added as (
      insert into suspension (site, public_id, reason, by_whom, until)
      values (lower(${input.site}::text), ${input.publicId}, ${input.reason}, ${input.by}, ${input.until})
      returning *
    )
    select ${sql(COLUMNS)}, pg_notify(${CHANNELS.traffic}, id::text) from added`;
  return suspension(row!);
}

/** Resumes one. null: it is not there, or no longer in force. */
export async function endSuspension(sql: Sql, id: number, by: string): Promise<StoredSuspension | null> {
  const [row] = await sql<Row[]>`
    with ended as (
      update suspension set ended_at = now(), ended_by = ${by}
      where id = ${id} and ended_at is null and (until is null or until > now())
      returning *
    )
    select ${sql(COLUMNS)}, pg_notify(${CHANNELS.traffic}, id::text) from ended`;
  return row === undefined ? null : suspension(row);
}

/** All there ever were, the newest first; `before` is the id of the last one of the page before, 0 for the first page. */
export async function suspensionHistory(sql: Sql, page: { before: number; limit: number }): Promise<PastSuspension[]> {
  const rows = await sql<Row[]>`
    select id, site, public_id, reason, by_whom, since, until, ended_by,
      case when ended_at is null and until <= now() then until else ended_at end as ended_at
    from suspension where ${page.before} = 0 or id < ${page.before} order by id desc limit ${page.limit}`;
  return rows.map((row) => ({ ...suspension(row), endedAt: row.ended_at?.getTime() ?? 0, endedBy: row.ended_by }));
}
