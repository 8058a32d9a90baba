/**
 * Counting a batch: one statement puts down its rows, changes every sum they change, applies what was unsubscribed, sets damaged records
 * aside and moves the cursor of the log. Either all of it is committed or nothing. It is refused when the fence is not as it was when the
 * batch was made (another leads by now, or the batch before is not the one that was known), or when the cursor is elsewhere: then the
 * same octets were counted before, by a commit whose answer was lost or by somebody else.
 */
import type { AnySql, Sql } from "./sql.ts";
import type { Fence } from "./tracking-sources.ts";
import { OPTED_OUT, type Reaction, TRAPPED, type VisitorClicks } from "./tracking-state.ts";

/** A row of table `tracking`. */
export interface HitRow {
  readonly id: number;
  /** Epoch ms. */
  readonly at: number;
  readonly messageId: number;
  readonly deliveryId: number;
  readonly kind: number;
  readonly link: number;
  readonly class: number;
  readonly rule: string;
  readonly uncounted: string;
  readonly hint: string;
  readonly ip: string;
  readonly userAgent: number;
  readonly visitor: string;
  /** JSON, '' for none. */
  readonly web: string;
}

/** A hit that was counted as a person's and is not. */
export interface Correction {
  readonly id: number;
  /** Epoch ms. */
  readonly at: number;
  readonly class: number;
  readonly rule: string;
}

/** What is added to the hits of a link in five minutes; may be below 0. */
export interface LinkSum {
  readonly deliveryId: number;
  readonly link: number;
  readonly kind: number;
  /** Epoch ms, a multiple of five minutes. */
  readonly period: number;
  person: number;
  machine: number;
}

const DELIVERY_SUMS = [
  "recipient_open",
  "opens",
  "recipient_click",
  "person_click",
  "clicks",
  "opt_outs",
  "mirror_pages",
  "web_pages",
  "transactions",
  "amount",
  "articles",
] as const;
export type DeliverySum = (typeof DELIVERY_SUMS)[number];

/** What is added to the sums of a delivery. */
export interface DeliverySums extends Record<DeliverySum, number> {
  readonly deliveryId: number;
  /** 0: all hits; 1: people's. */
  readonly who: 0 | 1;
}

export interface OptOut {
  readonly address: string;
  readonly source: string;
  readonly note: string;
}

export interface Damage {
  readonly position: number;
  readonly octets: number;
  /** 0: a gap. */
  readonly records: number;
  readonly reason: string;
  readonly content: Uint8Array;
}

/** How far a log was read for the batch. */
export interface Advance {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly records: number;
  /** As the server says. */
  readonly lost: number;
}

export interface Batch {
  /** With the ids from the fence on. */
  readonly rows: readonly HitRow[];
  readonly reactions: readonly Reaction[];
  readonly links: readonly LinkSum[];
  readonly deliveries: readonly DeliverySums[];
  readonly visitors: readonly VisitorClicks[];
  readonly corrections: readonly Correction[];
  readonly optOuts: readonly OptOut[];
  readonly damage: readonly Damage[];
  /** null: no log was read for it. */
  readonly advance: Advance | null;
}

/** The fence when the batch is committed: moved on in any case, so that nothing can be committed twice. */
export function fenceBehind({ epoch, nextId }: Fence, { rows }: Pick<Batch, "rows">): Fence {
  return { epoch, nextId: nextId + Math.max(1, rows.length) };
}

const time = (ms: number): string | null => (ms > 0 ? new Date(ms).toISOString() : null);

/** False when it was refused; then nothing was changed but, perhaps, the number in the fence. */
export async function commitBatch(sql: Sql, fence: Fence, batch: Batch): Promise<boolean> {
  const { rows, corrections, advance } = batch;
  const newest = rows.reduce((most, { at }) => Math.max(most, at), 0);
  const log = advance?.log ?? "";
  // So that the leaves of other months are not looked at.
  const first = corrections.reduce((least, { at }) => Math.min(least, at), corrections[0]?.at ?? 1);
  const last = corrections.reduce((most, { at }) => Math.max(most, at), 1);
  const [told] = await sql<{ committed: boolean }[]>`
    with fence as (
      update tracking_fence set next_id = ${fenceBehind(fence, batch).nextId}::bigint
      where id = 1 and epoch = ${fence.epoch}::bigint and next_id = ${fence.nextId}::bigint returning epoch
    ), source as (
      update tracking_source s set position = ${advance?.to ?? 0}::bigint, pulled_at = now(),
        newest_at = greatest(s.newest_at, ${time(newest)}::timestamptz), records = s.records + ${advance?.records ?? 0}::bigint,
        damaged = s.damaged + ${sum(batch.damage.map((d) => d.records))}::bigint,
        missing = s.missing + ${sum(batch.damage.map((d) => (d.records === 0 ? d.octets : 0)))}::bigint,
        lost = s.lost + case when i.lost >= s.lost_told then i.lost - s.lost_told else i.lost end, lost_told = i.lost
      from fence cross join (select ${advance?.lost ?? 0}::bigint as lost) i
      where s.log = ${log} and s.position = ${advance?.from ?? 0}::bigint returning s.log
    ), go as materialized (
      select from fence where ${log} = '' or exists (select from source)
    ), hits as (${insertRows(sql, rows)}),
    new_reactions as (${insertReactions(sql, reactions(batch, true))}),
    reactions as (${updateReactions(sql, reactions(batch, false))}),
    links as (${addLinks(sql, batch.links)}),
    deliveries as (${addDeliveries(sql, batch.deliveries)}),
    visitors as (${upsertVisitors(sql, batch.visitors)}),
    corrected as (
      update tracking t set class = c.class, rule = c.rule
      from unnest(${corrections.map((c) => c.id)}::bigint[], ${corrections.map((c) => c.class)}::smallint[], ${corrections.map((c) => c.rule)}::text[])
        as c (id, class, rule)
      where t.id = c.id and exists (select from go)
        and t.at between ${time(first)}::timestamptz - interval '1 s' and ${time(last)}::timestamptz + interval '1 s'
    ), suppressed as (${suppress(sql, batch.optOuts)}),
    aside as (${setAside(sql, log, batch.damage)})
    select exists (select from go) as committed`;
  return told!.committed;
}

/** Those that were changed, in order: the new ones, or those that are there. */
function reactions({ reactions: all }: Batch, fresh: boolean): Reaction[] {
  return all.filter((one) => one.changed && one.fresh === fresh).sort((a, b) => a.messageId - b.messageId);
}

type Fragment = ReturnType<AnySql>;

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/**
 * Arrays side by side as rows (a shorter one ends in nulls). Expanded in the select list they are handed on row by row; in the from clause each would
 * be put down whole first, which costs half as much again.
 */
function insertRows(sql: Sql, rows: readonly HitRow[]): Fragment {
  // Neighbours in the index by message go in together.
  const sorted = [...rows].sort((a, b) => a.messageId - b.messageId || a.id - b.id);
  return sql`
    insert into tracking (id, at, message_id, delivery_id, user_agent, link, kind, class, rule, uncounted, hint, ip, visitor, web)
    select id, to_timestamp(at::float8 / 1000), message_id, delivery_id, user_agent, link, kind, class, rule, coalesce(uncounted, ''),
      coalesce(hint, ''), ip, coalesce(visitor, ''), web::jsonb
    from (select unnest(${sorted.map((r) => r.id)}::bigint[]) as id, unnest(${sorted.map((r) => r.at)}::bigint[]) as at,
      unnest(${sorted.map((r) => r.messageId)}::bigint[]) as message_id, unnest(${sorted.map((r) => r.deliveryId)}::bigint[]) as delivery_id,
      unnest(${sorted.map((r) => r.userAgent)}::int[]) as user_agent, unnest(${sorted.map((r) => r.link)}::int[]) as link,
      unnest(${sorted.map((r) => r.kind)}::smallint[]) as kind, unnest(${sorted.map((r) => r.class)}::smallint[]) as class,
      unnest(${sorted.map((r) => r.rule)}::text[]) as rule, unnest(${rare(sorted, (r) => r.uncounted)}::text[]) as uncounted,
      unnest(${rare(sorted, (r) => r.hint)}::text[]) as hint, unnest(${sorted.map((r) => r.ip)}::text[]) as ip,
      unnest(${rare(sorted, (r) => r.visitor)}::text[]) as visitor, unnest(${rare(sorted, (r) => r.web)}::text[]) as web) r
    where exists (select from go)`;
}

/** A column that most rows leave empty: nothing is sent when all do, and null stands for the empty ones. */
function rare(rows: readonly HitRow[], of: (row: HitRow) => string): (string | null)[] {
  return rows.some((row) => of(row) !== "") ? rows.map((row) => of(row) || null) : [];
}

const REACTION = `message_id, delivery_id, sent_at, opened_at, machine_opened_at, flags, hits, clicks, person_hits, person_clicks`;

function reactionRows(sql: Sql, all: readonly Reaction[]): Fragment {
  const flags = ({ optedOut, trapped }: Reaction): number => (optedOut ? OPTED_OUT : 0) | (trapped ? TRAPPED : 0);
  return sql`(
    select unnest(${all.map((r) => r.messageId)}::bigint[]) as message_id, unnest(${all.map((r) => r.deliveryId)}::bigint[]) as delivery_id,
      unnest(${all.map((r) => r.sentAt)}::bigint[]) as sent_at, unnest(${all.map((r) => r.openedAt)}::bigint[]) as opened_at,
      unnest(${all.map((r) => r.machineOpenedAt)}::bigint[]) as machine_opened_at, unnest(${all.map(flags)}::smallint[]) as flags,
      unnest(${all.map((r) => r.hits)}::int[]) as hits, unnest(${all.map((r) => r.clicks)}::int[]) as clicks,
      unnest(${all.map((r) => r.personHits)}::int[]) as person_hits, unnest(${all.map((r) => r.personClicks)}::int[]) as person_clicks) r`;
}

/** Nobody else writes this table (fence), so what is new is known, and need not be looked for while it is put in. */
function insertReactions(sql: Sql, all: readonly Reaction[]): Fragment {
  return sql`
    insert into reaction (${sql.unsafe(REACTION)})
    select ${sql.unsafe(REACTION)} from ${reactionRows(sql, all)} where exists (select from go)`;
}

function updateReactions(sql: Sql, all: readonly Reaction[]): Fragment {
  return sql`
    update reaction x set delivery_id = r.delivery_id, sent_at = r.sent_at, opened_at = r.opened_at, machine_opened_at = r.machine_opened_at,
      flags = r.flags, hits = r.hits, clicks = r.clicks, person_hits = r.person_hits, person_clicks = r.person_clicks
    from ${reactionRows(sql, all)} where x.message_id = r.message_id and exists (select from go)`;
}

function addLinks(sql: Sql, sums: readonly LinkSum[]): Fragment {
  return sql`
    insert into link_statistics as s (delivery_id, link, kind, bucket, person, machine)
    select delivery_id, link, kind, to_timestamp(period::float8 / 1000), person, machine
    from unnest(${sums.map((s) => s.deliveryId)}::bigint[], ${sums.map((s) => s.link)}::int[], ${sums.map((s) => s.kind)}::smallint[],
      ${sums.map((s) => s.period)}::bigint[], ${sums.map((s) => s.person)}::int[], ${sums.map((s) => s.machine)}::int[])
      as i (delivery_id, link, kind, period, person, machine)
    where exists (select from go)
    on conflict (delivery_id, link, kind, bucket) do update
      set person = s.person + excluded.person, machine = s.machine + excluded.machine`;
}

function addDeliveries(sql: Sql, sums: readonly DeliverySums[]): Fragment {
  const names = DELIVERY_SUMS.join(", ");
  const added = DELIVERY_SUMS.map((name) => `${name} = s.${name} + excluded.${name}`).join(", ");
  const of = (name: DeliverySum): number[] => sums.map((s) => s[name]);
  return sql`
    insert into delivery_reactions as s (delivery_id, who, ${sql.unsafe(names)})
    select delivery_id, who, ${sql.unsafe(names)}
    from unnest(${sums.map((s) => s.deliveryId)}::bigint[], ${sums.map((s) => s.who)}::smallint[], ${of("recipient_open")}::bigint[],
      ${of("opens")}::bigint[], ${of("recipient_click")}::bigint[], ${of("person_click")}::bigint[], ${of("clicks")}::bigint[],
      ${of("opt_outs")}::bigint[], ${of("mirror_pages")}::bigint[], ${of("web_pages")}::bigint[], ${of("transactions")}::bigint[],
      ${sums.map((s) => s.amount.toFixed(4))}::text[]::numeric[], ${of("articles")}::bigint[]) as i (delivery_id, who, ${sql.unsafe(names)})
    where exists (select from go)
    on conflict (delivery_id, who) do update set ${sql.unsafe(added)}`;
}

function upsertVisitors(sql: Sql, all: readonly VisitorClicks[]): Fragment {
  return sql`
    insert into visitor_click (delivery_id, visitor, clicks, person_clicks)
    select * from unnest(${all.map((v) => v.deliveryId)}::bigint[], ${all.map((v) => v.visitor)}::text[], ${all.map((v) => v.clicks)}::int[],
      ${all.map((v) => v.personClicks)}::int[]) as v (delivery_id, visitor, clicks, person_clicks)
    where exists (select from go)
    on conflict (delivery_id, visitor) do update set clicks = excluded.clicks, person_clicks = excluded.person_clicks`;
}

/** One that would have ended by itself now stays; any other is left as it was put there. */
function suppress(sql: Sql, all: readonly OptOut[]): Fragment {
  return sql`
    insert into suppression as s (address, reason, source, note)
    select distinct on (lower(o.address collate "C")) lower(o.address collate "C"), 'unsubscribed', o.source, o.note
    from unnest(${all.map((o) => o.address)}::text[], ${all.map((o) => o.source)}::text[], ${all.map((o) => o.note)}::text[])
      with ordinality as o (address, source, note, n)
    where exists (select from go) order by lower(o.address collate "C"), o.n
    on conflict (address) do update set reason = excluded.reason, source = excluded.source, note = excluded.note, expires_at = null
    where s.expires_at is not null`;
}

function setAside(sql: Sql, log: string, all: readonly Damage[]): Fragment {
  return sql`
    insert into tracking_damaged (log, position, octets, records, reason, content)
    select ${log}, position, octets, records, reason, decode(content, 'hex')
    from unnest(${all.map((d) => d.position)}::bigint[], ${all.map((d) => d.octets)}::bigint[], ${all.map((d) => d.records)}::int[],
      ${all.map((d) => d.reason)}::text[], ${all.map((d) => Buffer.from(d.content).toString("hex"))}::text[])
      as d (position, octets, records, reason, content)
    where exists (select from go)
    on conflict (log, position) do nothing`;
}
