/** Messages read back: pages of a delivery, one with its events, and the writing of a single transactional one. */
import type { EventType, MessageStatus } from "../model/delivery.ts";
import { EVENT_TYPES, PRIORITIES, statusName, statusNumber } from "../model/delivery.ts";
import { harmless } from "../model/harmless.ts";
import type { TrackingKind, VisitorClass } from "../model/tracking.ts";
import { ruleText, type Uncounted } from "../model/visitor.ts";
import type { NewDelivery } from "./deliveries.ts";
import { CHANNELS } from "./sql.ts";
import type { AnySql, Sql } from "./sql.ts";
import { reactionsOfMessage, type TrackingEvent } from "./tracking-events.ts";
import { leafName, volumeOfId } from "./volumes.ts";

export interface MessageRecord {
  readonly id: number;
  readonly deliveryId: number;
  readonly address: string;
  readonly status: MessageStatus;
  readonly reason: string;
  readonly attempts: number;
  /** Of a deferred message. */
  readonly dueAt: Date | null;
  /** JSON object, '' for none. */
  readonly variables: string;
}

interface Row {
  id: number;
  delivery_id: number;
  address: string;
  status: number;
  reason: string | null;
  attempts: number;
  due_at: Date | null;
  variables: string | null;
  stopped: boolean;
}

/** `stopped`: its delivery is, so an open message is a cancelled one. */
function message(row: Row): MessageRecord {
  const kept = statusName(row.status);
  const open = kept === "pending" || kept === "deferred";
  return {
    id: row.id,
    deliveryId: row.delivery_id,
    address: row.address,
    status: open && row.stopped ? "cancelled" : kept,
    reason: row.reason ?? "",
    attempts: row.attempts,
    dueAt: row.stopped ? null : row.due_at,
    variables: row.variables ?? "",
  };
}

const UNDEFINED_TABLE = "42P01";

/** The same query, or nothing when the leaf it reads was dropped with its finished deliveries. */
export async function orGone<T>(rows: Promise<T[]>): Promise<T[]> {
  try {
    return await rows;
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return [];
    throw error;
  }
}

/** Counter column of the part that says whether it holds a message of this status. */
const COUNTER: Readonly<Record<MessageStatus, string>> = {
  pending: "pending",
  deferred: "deferred",
  sent: "sent",
  failed: "failed",
  bounced: "bounced",
  excluded: "excluded",
  cancelled: "cancelled",
  "in-doubt": "in_doubt",
};

export interface MessagePage {
  /** Those with an id above this. */
  readonly after: number;
  /** '' for all. */
  readonly status: MessageStatus | "";
  /** '' for all; else the one with this address, whatever its case. */
  readonly address: string;
  readonly limit: number;
}

/** Messages of a delivery in order of id. Parts without one of the status are not looked into. null: no such delivery. */
export async function listMessages(sql: Sql, deliveryId: number, page: MessagePage): Promise<MessageRecord[] | null> {
  const [delivery] = await sql<{ volume: number | null; stopped: boolean }[]>`
    select volume, state = 'stopped' as stopped from delivery where id = ${deliveryId}`;
  if (delivery === undefined) return null;
  if (delivery.volume === null) return [];
  const leaf = sql(leafName("message", delivery.volume));
  const wanted = statusesFor(page.status, delivery.stopped);
  if (wanted.length === 0) return [];
  const rows =
    page.address === ""
      ? sql<Row[]>`
          select m.*, ${delivery.stopped} as stopped from part p
          cross join lateral (
            select * from ${leaf} m
            where m.id between greatest(p.first_id, ${page.after + 1}::bigint) and p.last_id and m.status = any(${wanted.map(statusNumber)})
            order by m.id limit ${page.limit}
          ) m
          where p.delivery_id = ${deliveryId} and p.last_id > ${page.after}
            and ${wanted.map((status) => sql`p.${sql(COUNTER[status])} > 0`).reduce((a, b) => sql`(${a} or ${b})`)}
          order by p.first_id, m.id limit ${page.limit}`
      : sql<Row[]>`
          select *, ${delivery.stopped} as stopped from ${leaf}
          where delivery_id = ${deliveryId} and lower(address) = lower(${page.address}::text collate "C")
            and id > ${page.after} and status = any(${wanted.map(statusNumber)})`;
  return (await orGone(rows)).map(message);
}

/** The statuses in the rows that are the asked one in the answer. */
function statusesFor(status: MessageStatus | "", stopped: boolean): MessageStatus[] {
  if (status === "") return Object.keys(COUNTER) as MessageStatus[];
  if (!stopped) return [status];
  if (status === "pending" || status === "deferred") return [];
  return status === "cancelled" ? ["cancelled", "pending", "deferred"] : [status];
}

export interface EventRecord {
  readonly type: EventType;
  readonly at: Date;
  readonly attempt: number;
  readonly code: number;
  readonly enhanced: string;
  readonly stage: string;
  readonly reason: string;
  readonly reply: string;
  readonly mx: string;
  readonly remoteIp: string;
  readonly publicId: number;
  readonly tls: string;
  readonly latencyMs: number;
  readonly transcript: string;
  /** Of what readers did (opened, clicked, unsubscribed); '' and 0 for all others. Everything but the class is a stranger's word. */
  readonly class: VisitorClass | "";
  /** Number of the link. */
  readonly link: number;
  readonly ip: string;
  readonly userAgent: string;
  /** Why it is in no sum (model UNCOUNTED), '' when it is. */
  readonly uncounted: Uncounted | "";
}

/** One message and what happened to it, in order; the first event is made from its part. null: there is none, or no more. */
export async function findMessage(
  sql: Sql,
  id: number,
): Promise<{ message: MessageRecord; events: EventRecord[] } | null> {
  const volume = volumeOfId(id);
  if (volume < 1 || volume > 2_097_151) return null;
  const [row] = await orGone(sql<(Row & { accepted_at: Date })[]>`
    select m.*, d.state = 'stopped' as stopped, p.created_at as accepted_at
    from ${sql(leafName("message", volume))} m join delivery d on d.id = m.delivery_id
    join part p on p.delivery_id = m.delivery_id and m.id between p.first_id and p.last_id
    where m.id = ${id}`);
  if (row === undefined) return null;
  const events = await orGone(sql<(Omit<EventRecord, "type" | keyof typeof NO_READER> & { type: number })[]>`
    select type, at, attempt, code, enhanced, stage, reason, reply, mx, remote_ip as "remoteIp", public_id as "publicId", tls,
      latency_ms as "latencyMs", transcript
    from ${sql(leafName("event", volume))} where message_id = ${id} order by id limit 1000`);
  const told = message(row);
  const early: EventRecord[] = [event("accepted", row.accepted_at, "")];
  if (told.status === "excluded" && events.length === 0) early.push(event("excluded", row.accepted_at, told.reason));
  const sent = [...early, ...events.map((e) => ({ ...e, ...NO_READER, type: EVENT_TYPES[e.type]! }))];
  return { message: told, events: inOrder(sent, (await reactionsOfMessage(sql, id)).map(reaction)) };
}

/** Both are in order by themselves, the first whatever the clocks said. */
function inOrder(sent: readonly EventRecord[], read: readonly EventRecord[]): EventRecord[] {
  const later = [...read].sort((a, b) => a.at.getTime() - b.at.getTime());
  const merged: EventRecord[] = [];
  for (const one of sent) {
    while (later[0] !== undefined && later[0].at < one.at && merged.length > 0) merged.push(later.shift()!);
    merged.push(one);
  }
  return [...merged, ...later];
}

const TYPE_OF_KIND: Partial<Record<TrackingKind, EventType>> = {
  open: "opened",
  click: "clicked",
  unsubscribe: "unsubscribed",
};

function reaction(hit: TrackingEvent): EventRecord {
  const { at, kind, link, ip, userAgent, uncounted } = hit;
  return {
    ...event(TYPE_OF_KIND[kind]!, at, kind === "unsubscribe" ? harmless(hit.hint, 20) : ruleText(hit.rule)),
    class: hit.class,
    link,
    ip,
    userAgent,
    uncounted,
  };
}

const NO_READER = { class: "", link: 0, ip: "", userAgent: "", uncounted: "" } as const;

function event(type: EventType, at: Date, reason: string): EventRecord {
  return {
    type,
    at,
    attempt: 0,
    code: 0,
    enhanced: "",
    stage: "",
    reason,
    reply: "",
    mx: "",
    remoteIp: "",
    publicId: 0,
    tls: "",
    latencyMs: 0,
    transcript: "",
    ...NO_READER,
  };
}

export interface SingleMessage extends NewDelivery {
  readonly id: number;
  readonly address: string;
  readonly domain: string;
  /** JSON object, '' for none. */
  readonly variables: string;
}

/** One message with its own delivery, sending at once: one statement, so one round trip and one commit. */
export async function createMessage(
  sql: AnySql,
  m: SingleMessage,
): Promise<{ deliveryId: number; status: MessageStatus; reason: string }> {
  const volume = volumeOfId(m.id);
  const date = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
  const [row] = await sql<{ delivery_id: number; status: number; reason: string | null }[]>`
    with kept as (
      insert into content (hash, body, links) values (${m.contentHash}, ${m.contentBody}, ${m.contentLinks ?? null}::text::jsonb)
      on conflict do nothing
    ), d as (
      insert into delivery (name, content_hash, from_address, volume, state, priority, weight, affinity, in_doubt, retry, validity,
        not_before, not_after, started_at, deadline)
      select ${m.name}, ${m.contentHash}, ${m.fromAddress}, ${volume}, case when t.not_before > now() then 'ready' else 'sending' end,
        ${PRIORITIES.indexOf(m.priority)}, ${m.weight}, ${m.affinity}, ${m.inDoubt}, ${m.retrySchedule as number[]}::int[], ${m.validity},
        t.not_before, t.not_after, now(), least(greatest(now(), t.not_before) + ${m.validity}::int * interval '1 s', t.not_after)
      from (select ${date(m.notBefore)}::timestamptz as not_before, ${date(m.notAfter)}::timestamptz as not_after) t
      returning id, priority, state, not_before
    ), added as (
      insert into ${sql(leafName("message", volume))} (id, delivery_id, status, address, reason, variables)
      select ${m.id}::bigint, d.id, case when s.address is null then 0 else 5 end, ${m.address}, 'suppressed: ' || s.reason,
        nullif(${m.variables}::text, '')
      from d left join suppression s on s.address = lower(${m.address}::text collate "C") and (s.expires_at is null or s.expires_at > now())
      returning delivery_id, status, reason
    ), parts as (
      insert into part (delivery_id, first_id, last_id, domain, priority, due_at, pending, excluded)
      select d.id, ${m.id}::bigint, ${m.id}::bigint, ${m.domain}, d.priority, case when a.status = 0 then greatest(now(), d.not_before) end,
        (a.status = 0)::int, (a.status = 5)::int
      from d cross join added a
    )
    select a.delivery_id, a.status, a.reason, case when d.state = 'sending' then pg_notify(${CHANNELS.work}, d.id::text) end
    from d cross join added a`;
  return { deliveryId: row!.delivery_id, status: statusName(row!.status), reason: row!.reason ?? "" };
}
