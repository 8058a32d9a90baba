/**
 * Hits read back: what readers did with a message, the stream of all hits behind a cursor, and a delivery's hits with their addresses for a
 * file. Rows get their ids in the order in which they are committed, so whoever goes on behind the highest id it has seen misses none. The
 * class of a row may still change for a while: a burst is known for one when its last click is in.
 */
import {
  TRACKING_KINDS,
  type TrackingKind,
  VISITOR_CLASSES,
  type VisitorClass,
  type WebHit,
} from "../model/tracking.ts";
import type { Uncounted } from "../model/visitor.ts";
import type { AnySql, Sql } from "./sql.ts";

export interface TrackingEvent {
  /** The cursor. */
  readonly id: number;
  readonly at: Date;
  readonly kind: TrackingKind;
  /** 0: anonymous. */
  readonly messageId: number;
  /** 0: the message is not known any more. */
  readonly deliveryId: number;
  /** Number of the link in the delivery, 0 for none. */
  readonly link: number;
  readonly class: VisitorClass;
  /** Id of the rule that made the class (model/visitor.ts ruleText), '' for a person. */
  readonly rule: string;
  /** '' when it counts. */
  readonly uncounted: Uncounted | "";
  /** Of an unsubscription: `one-click`, `page`. */
  readonly hint: string;
  readonly ip: string;
  readonly userAgent: string;
  readonly visitor: string;
  readonly web: WebHit | null;
}

type Row = Omit<TrackingEvent, "kind" | "class"> & { kind: number; class: number };

const COLUMNS = `t.id, t.at, t.kind, t.message_id as "messageId", t.delivery_id as "deliveryId", t.link, t.class, t.rule, t.uncounted, t.hint,
  t.ip, coalesce(u.text, '') as "userAgent", t.visitor, t.web`;
const FROM = "tracking t left join user_agent u on u.id = t.user_agent";

function event(row: Row): TrackingEvent {
  return { ...row, kind: TRACKING_KINDS[row.kind]!, class: VISITOR_CLASSES[row.class]! };
}

export interface EventQuery {
  /** Those with an id above this. */
  readonly after: number;
  /** 0 for all. */
  readonly delivery: number;
  /** '' for all. */
  readonly kind: TrackingKind | "";
  readonly limit: number;
}

/** Kinds that are rare among the hits have an index of their own (tracking_rare). */
const RARE = TRACKING_KINDS.indexOf("unsubscribe");

/** In order of id. */
export async function trackingEvents(sql: AnySql, query: EventQuery): Promise<TrackingEvent[]> {
  const rows = await sql<Row[]>`
    select ${sql.unsafe(COLUMNS)} from ${sql.unsafe(FROM)} where ${wanted(sql, query)} order by t.id limit ${query.limit}`;
  return rows.map(event);
}

/**
 * Where to go on behind what `trackingEvents` gives: the id of the last one when there are `limit` of them, else the highest id of all, so that a
 * reader who wants few of them does not search the others again and again. Right because ids are committed in their order.
 */
export async function endOfEvents(sql: AnySql, query: EventQuery): Promise<number> {
  const [row] = await sql<{ end: number | null }[]>`
    select case when count(*) = ${query.limit}::bigint then max(id) else (select max(id) from tracking) end as end
    from (select t.id from tracking t where ${wanted(sql, query)} order by t.id limit ${query.limit}) page`;
  return Math.max(query.after, row?.end ?? 0);
}

function wanted(sql: AnySql, { after, delivery, kind }: EventQuery): ReturnType<Sql> {
  const number = kind === "" ? -1 : TRACKING_KINDS.indexOf(kind);
  return sql`t.id > ${after}
    ${delivery === 0 ? sql`` : sql`and t.delivery_id = ${delivery}`}
    ${number < 0 ? sql`` : sql`and t.kind = ${number}::smallint`}
    ${number < RARE ? sql`` : sql`and t.kind >= 2`}`;
}

/** What the readers of one message did, in order of id: opens, clicks, unsubscribing; at most a thousand. */
export async function reactionsOfMessage(sql: AnySql, messageId: number): Promise<TrackingEvent[]> {
  if (messageId <= 0) return [];
  const rows = await sql<Row[]>`
    select ${sql.unsafe(COLUMNS)} from ${sql.unsafe(FROM)}
    where t.message_id = ${messageId} and t.message_id <> 0 and t.kind <= 2
    order by t.id limit 1000`;
  return rows.map(event);
}

export interface AddressedEvent extends TrackingEvent {
  /** '' for an anonymous hit, or when the messages are not kept any more. */
  readonly address: string;
}

/** A page of a delivery's hits with the addresses of the recipients, in order of id; page on with the last id until one is empty. */
export async function deliveryEvents(
  sql: Sql,
  deliveryId: number,
  page: { readonly after: number; readonly limit: number },
): Promise<AddressedEvent[]> {
  const events = await trackingEvents(sql, { ...page, delivery: deliveryId, kind: "" });
  const addresses = await addressesOf(sql, deliveryId, [...new Set(events.map(({ messageId }) => messageId))]);
  return events.map((one) => ({ ...one, address: addresses.get(one.messageId) ?? "" }));
}

/** The volume of a delivery may have been dropped: then there are none. */
async function addressesOf(sql: Sql, deliveryId: number, ids: readonly number[]): Promise<Map<number, string>> {
  const [delivery] = await sql<{ leaf: string | null }[]>`
    select to_regclass('message_' || volume)::text as leaf from delivery where id = ${deliveryId} and volume is not null`;
  if (delivery === undefined || delivery.leaf === null || ids.length === 0) return new Map();
  const rows = await sql<{ id: number; address: string }[]>`
    select id, address from ${sql(delivery.leaf)} where id = any(${ids as number[]}::bigint[])`;
  return new Map(rows.map(({ id, address }) => [id, address]));
}
