/**
 * What operators say of the links of a delivery after it was sent: stopped, expiring, leading elsewhere (table link_stop). One row a link, and one for the
 * delivery as a whole; redirection servers are given all of them, so their number is bounded.
 */
import type { ContentLink } from "../model/delivery.ts";
import type { LinkStop, StopsList } from "../model/stops.ts";
import type { AnySql, Sql } from "./sql.ts";

export interface KeptStop extends LinkStop {
  /** Who said so last, and when (epoch ms). */
  readonly by: string;
  readonly changedAt: number;
}

/** A list of so many has 6 MB; redirection servers take no more than 32 MB. */
export const MOST_STOPS = 100_000;

interface Row {
  delivery_id: number;
  link: number;
  disabled: boolean;
  expires_at: Date | null;
  url: string;
  by_whom: string;
  changed_at: Date;
}

function kept(row: Row): KeptStop {
  return {
    delivery: row.delivery_id,
    link: row.link,
    disabled: row.disabled,
    expiresAt: row.expires_at?.getTime() ?? 0,
    url: row.url,
    by: row.by_whom,
    changedAt: row.changed_at.getTime(),
  };
}

/** All that holds, and the time of the database at which it does: lists of several web machines can be told apart by it. */
export async function allStops(sql: Sql): Promise<StopsList> {
  // Twice the bound: those who put at the same time may go over it by a few, and none of them is to be missing.
  const rows = await sql<{ at: number; stop: Omit<LinkStop, "delivery"> & { delivery: number | null } }[]>`
    select floor(extract(epoch from statement_timestamp()) * 1000)::float8 as at,
      json_build_object('delivery', s.delivery_id, 'link', s.link, 'disabled', s.disabled,
        'expiresAt', coalesce(floor(extract(epoch from s.expires_at) * 1000)::bigint, 0), 'url', s.url) as stop
    from (select 1) one left join link_stop s on true
    order by s.delivery_id, s.link limit ${MOST_STOPS * 2}`;
  const stops = rows.map(({ stop }) => stop).filter((stop): stop is LinkStop => stop.delivery !== null);
  return { at: rows[0]!.at, stops };
}

/** Those of a delivery, the one of the whole first. */
export async function stopsOf(sql: AnySql, deliveryId: number): Promise<KeptStop[]> {
  const rows = await sql<Row[]>`select * from link_stop where delivery_id = ${deliveryId} order by link`;
  return rows.map(kept);
}

/** Adds or replaces; null: there are too many. */
export async function putStop(sql: AnySql, stop: LinkStop, by: string): Promise<KeptStop | null> {
  const expiresAt = stop.expiresAt === 0 ? null : new Date(stop.expiresAt);
  const rows = await sql<Row[]>`
    insert into link_stop (delivery_id, link, disabled, expires_at, url, by_whom)
    select ${stop.delivery}::bigint, ${stop.link}::int, ${stop.disabled}::boolean, ${expiresAt}::timestamptz, ${stop.url}::text, ${by}::text
    where (select count(*) from link_stop) < ${MOST_STOPS}
      or exists (select from link_stop where delivery_id = ${stop.delivery} and link = ${stop.link})
    on conflict (delivery_id, link) do update set disabled = excluded.disabled, expires_at = excluded.expires_at, url = excluded.url,
      by_whom = excluded.by_whom, changed_at = now()
    returning *`;
  return rows[0] === undefined ? null : kept(rows[0]);
}

/** What was said, or null when nothing was. */
export async function deleteStop(sql: AnySql, deliveryId: number, link: number): Promise<KeptStop | null> {
  const [row] = await sql<Row[]>`
    delete from link_stop where delivery_id = ${deliveryId} and link = ${link} returning *`;
  return row === undefined ? null : kept(row);
}

/**
 * The links of a delivery's content as they were kept with it; else the content, as JSON, for whoever can find them there. null: there is no
 * such delivery.
 */
export async function linksOrContent(
  sql: AnySql,
  deliveryId: number,
): Promise<{ readonly links: ContentLink[] } | { readonly content: string } | null> {
  const [row] = await sql<{ links: ContentLink[] | null; content: string | null }[]>`
    select c.links, case when c.links is null then c.body end as content
    from delivery d join content c on c.hash = d.content_hash where d.id = ${deliveryId}`;
  if (row === undefined) return null;
  return row.links === null ? { content: row.content ?? "" } : { links: row.links };
}

/** The links of a delivery's content, [] when it is not tracked. null: there is no such delivery. */
export async function linksOf(sql: AnySql, deliveryId: number): Promise<readonly ContentLink[] | null> {
  const [row] = await sql<{ links: readonly ContentLink[] | null }[]>`
    select c.links from delivery d join content c on c.hash = d.content_hash where d.id = ${deliveryId}`;
  return row === undefined ? null : (row.links ?? []);
}

/** Can links of a delivery be stopped? `single`: they name no delivery, so that a redirection server cannot know whose they are. */
export async function canStop(sql: AnySql, deliveryId: number): Promise<"yes" | "absent" | "untracked" | "single"> {
  const [row] = await sql<{ tracking: { readonly single?: boolean } | null }[]>`
    select c.body::json -> 'tracking' as tracking from delivery d join content c on c.hash = d.content_hash where d.id = ${deliveryId}`;
  if (row === undefined) return "absent";
  if (row.tracking === null) return "untracked";
  return row.tracking.single === true ? "single" : "yes";
}
