/**
 * What is known before a batch of hits is counted: what was counted of their messages, whose they are and when they were sent, earlier hits close
 * to theirs, visitors, user agents. Read outside of any transaction: the fence sees to it that nothing has changed when the
 * batch is committed.
 */
import { EVENT_TYPES } from "../model/delivery.ts";
import { TRACKING_KINDS } from "../model/tracking.ts";
import type { AnySql, Sql } from "./sql.ts";
import { leafName, volumeOfId } from "./volumes.ts";

/** What was counted of a message's hits. Times are epoch ms, 0 for none. */
export interface Reaction {
  readonly messageId: number;
  /** 0: the message is not kept any more, and no hit has named its delivery yet. */
  deliveryId: number;
  /** When its server accepted the message; 0: not in the ledger yet; NEVER_KNOWN, NOT_ASKED. */
  sentAt: number;
  openedAt: number;
  machineOpenedAt: number;
  optedOut: boolean;
  /** The trap of the message was followed. */
  trapped: boolean;
  hits: number;
  clicks: number;
  personHits: number;
  personClicks: number;
  /** Without a row yet. */
  fresh: boolean;
  /** Otherwise than its row. */
  changed: boolean;
}

/** It will not be in the ledger any more. */
export const NEVER_KNOWN = -1;
/** Nobody had to ask: all hits so far came after the delivery had ended. */
export const NOT_ASKED = -2;
/** Bits of column `reaction.flags`. */
export const OPTED_OUT = 1;
export const TRAPPED = 2;

/** Puts those that have a row into `found`, by id. */
export async function readReactions(sql: Sql, ids: readonly number[], found: Map<number, Reaction>): Promise<void> {
  if (ids.length === 0) return;
  const rows = await sql`
    select message_id, delivery_id, sent_at, opened_at, machine_opened_at, flags, hits, clicks, person_hits, person_clicks
    from reaction where message_id = any(${ids as number[]}::bigint[])`.values();
  for (const row of rows as unknown as number[][]) found.set(row[0]!, reaction(row));
}

function reaction(row: readonly number[]): Reaction {
  return {
    messageId: row[0]!,
    deliveryId: row[1]!,
    sentAt: row[2]!,
    openedAt: row[3]!,
    machineOpenedAt: row[4]!,
    optedOut: (row[5]! & OPTED_OUT) !== 0,
    trapped: (row[5]! & TRAPPED) !== 0,
    hits: row[6]!,
    clicks: row[7]!,
    personHits: row[8]!,
    personClicks: row[9]!,
    fresh: false,
    changed: false,
  };
}

export interface KnownMessage {
  readonly id: number;
  readonly deliveryId: number;
  readonly address: string;
}

/** The messages that are still in the ledger, by id. */
export async function readMessages(sql: Sql, ids: readonly number[]): Promise<Map<number, KnownMessage>> {
  const rows = await byVolume(
    ids,
    (volume, some) => sql<KnownMessage[]>`
      select id, delivery_id as "deliveryId", address from ${sql(leafName("message", volume))}
      where id = any(${some as number[]}::bigint[])`,
  );
  return new Map(rows.map((message) => [message.id, message]));
}

/** The dialogue ended with the final dot: from here on the reader may have it. */
const SENT = [EVENT_TYPES.indexOf("sent"), EVENT_TYPES.indexOf("in-doubt")];

/** When messages were sent, epoch ms, of those of which it is known. */
export async function readSent(sql: Sql, ids: readonly number[]): Promise<Map<number, number>> {
  const rows = await byVolume(
    ids,
    (volume, some) => sql<{ id: number; at: number }[]>`
      select message_id as id, round(extract(epoch from min(at)) * 1000)::float8 as at from ${sql(leafName("event", volume))}
      where message_id = any(${some as number[]}::bigint[]) and type = any(${SENT}::smallint[]) group by 1`,
  );
  return new Map(rows.map(({ id, at }) => [id, at]));
}

/** When deliveries ended, epoch ms, of those that have. */
export async function readEnded(sql: Sql, ids: readonly number[]): Promise<Map<number, number>> {
  if (ids.length === 0) return new Map();
  const rows = await sql<{ id: number; at: number }[]>`
    select id, round(extract(epoch from finished_at) * 1000)::float8 as at from delivery
    where id = any(${ids as number[]}::bigint[]) and finished_at is not null`;
  return new Map(rows.map(({ id, at }) => [id, at]));
}

const UNDEFINED_TABLE = "42P01";

/** A question to the leaf of each volume; one that was dropped has nothing to say. */
async function byVolume<T>(
  ids: readonly number[],
  ask: (volume: number, ids: readonly number[]) => Promise<T[]>,
): Promise<T[]> {
  const found: T[] = [];
  for (const [volume, some] of Map.groupBy(ids, volumeOfId)) {
    if (volume < 1 || volume > 2_097_151) continue;
    try {
      for (const row of await ask(volume, some)) found.push(row);
    } catch (error) {
      if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error;
    }
  }
  return found;
}

/** A hit that was counted before and may turn out to be a machine's. */
export interface EarlierHit {
  readonly id: number;
  readonly messageId: number;
  readonly deliveryId: number;
  /** Epoch ms. */
  readonly at: number;
  /** Number in TRACKING_KINDS, in VISITOR_CLASSES. */
  readonly kind: number;
  readonly class: number;
  readonly link: number;
  readonly uncounted: string;
  readonly ip: string;
  readonly userAgent: number;
  readonly visitor: string;
}

/** Of one message: beyond so many hits close together nothing depends on the rest. */
const MOST_EARLIER = 200;
const LOOKED_AT = (["open", "click", "mirror"] as const).map((kind) => TRACKING_KINDS.indexOf(kind));

/** Opens, clicks and mirror pages of these messages between two times (epoch ms), the newest 200 of each message. */
export async function readEarlier(sql: Sql, ids: readonly number[], from: number, to: number): Promise<EarlierHit[]> {
  if (ids.length === 0) return [];
  return sql<EarlierHit[]>`
    select t.* from unnest(${ids as number[]}::bigint[]) m (id) cross join lateral (
      select id, message_id as "messageId", delivery_id as "deliveryId", round(extract(epoch from at) * 1000)::float8 as at, kind, class, link,
        uncounted, ip, user_agent as "userAgent", visitor
      from tracking
      where message_id = m.id and message_id <> 0 and kind = any(${LOOKED_AT}::smallint[])
        and at between to_timestamp(${from}::float8 / 1000) and to_timestamp(${to}::float8 / 1000)
      order by id desc limit ${MOST_EARLIER}
    ) t`;
}

/** Of a visitor with a cookie: clicks in a delivery. */
export interface VisitorClicks {
  readonly deliveryId: number;
  readonly visitor: string;
  clicks: number;
  personClicks: number;
}

/** Those who have clicked before. */
export async function readVisitors(
  sql: Sql,
  wanted: readonly { readonly deliveryId: number; readonly visitor: string }[],
): Promise<VisitorClicks[]> {
  if (wanted.length === 0) return [];
  return sql<VisitorClicks[]>`
    select v.delivery_id as "deliveryId", v.visitor, v.clicks, v.person_clicks as "personClicks"
    from unnest(${wanted.map((w) => w.deliveryId)}::bigint[], ${wanted.map((w) => w.visitor)}::text[]) w (delivery_id, visitor)
    join visitor_click v on v.delivery_id = w.delivery_id and v.visitor = w.visitor`;
}

/** The numbers of user agents; those that have none get one, at once and for good. */
export async function numberAgents(sql: AnySql, texts: readonly string[]): Promise<Map<string, number>> {
  if (texts.length === 0) return new Map();
  const given = texts as string[];
  await sql`
    insert into user_agent (text) select t from unnest(${given}::text[]) t
    where not exists (select 1 from user_agent u where u.text = t) order by t on conflict (text) do nothing`;
  const rows = await sql<{ id: number; text: string }[]>`
    select id, text from user_agent where text = any(${given}::text[])`;
  return new Map(rows.map(({ id, text }) => [text, id]));
}

/** Messages of which it is not known yet when they were sent, behind an id, in order. */
export async function unsentReactions(sql: Sql, after: number, limit: number): Promise<number[]> {
  const rows = await sql<{ id: number }[]>`
    select message_id as id from reaction where sent_at = 0 and message_id > ${after}::bigint order by message_id limit ${limit}`;
  return rows.map(({ id }) => id);
}
