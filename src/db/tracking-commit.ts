/**
 * Counting a batch: one statement puts down its rows, changes every sum they change, applies what was unsubscribed, sets damaged records
 * aside and moves the cursor of the log. Either all of it is committed or nothing. It is refused when the fence is not as it was when the
 * batch was made (another leads by now, or the batch before is not the one that was known), or when the cursor is elsewhere: then the
 * same octets were counted before, by a commit whose answer was lost or by somebody else.
 *
 * Arrays side by side are rows (a shorter one ends in nulls). The large ones are expanded in the select list, where they are handed on row by row; in
 * the from clause each would be put down whole first, which costs half as much again.
 */
import type { AnySql, Sql } from "./sql.ts";
import { DELIVERY_SUMS, type PackedBatch } from "./tracking-batch.ts";
import type { Fence } from "./tracking-sources.ts";

/** The fence when the batch is committed: moved on in any case, so that nothing can be committed twice. */
export function fenceBehind({ epoch, nextId }: Fence, { hits }: Pick<PackedBatch, "hits">): Fence {
  return { epoch, nextId: nextId + Math.max(1, hits) };
}

const time = (ms: number): string | null => (ms > 0 ? new Date(ms).toISOString() : null);

/** False when it was refused; then nothing was changed but, perhaps, the number in the fence. */
export async function commitBatch(sql: Sql, fence: Fence, batch: PackedBatch): Promise<boolean> {
  const { advance, corrections } = batch;
  const log = advance?.log ?? "";
  const [first, last] = batch.corrected;
  const [told] = await sql<{ committed: boolean }[]>`
    with fence as (
      update tracking_fence set next_id = ${fenceBehind(fence, batch).nextId}::bigint
      where id = 1 and epoch = ${fence.epoch}::bigint and next_id = ${fence.nextId}::bigint returning epoch
    ), source as (
      update tracking_source s set position = ${advance?.to ?? 0}::bigint, pulled_at = now(),
        newest_at = greatest(s.newest_at, ${time(batch.newest)}::timestamptz), records = s.records + ${advance?.records ?? 0}::bigint,
        damaged = s.damaged + ${batch.damagedRecords}::bigint, missing = s.missing + ${batch.missingOctets}::bigint,
        lost = s.lost + case when i.lost >= s.lost_told then i.lost - s.lost_told else i.lost end, lost_told = i.lost
      from fence cross join (select ${advance?.lost ?? 0}::bigint as lost) i
      where s.log = ${log} and s.position = ${advance?.from ?? 0}::bigint returning s.log
    ), go as materialized (
      select from fence where ${log} = '' or exists (select from source)
    ), hits as (${insertRows(sql, batch)}),
    new_reactions as (${insertReactions(sql, batch)}),
    reactions as (${updateReactions(sql, batch)}),
    links as (${addLinks(sql, batch)}),
    deliveries as (${addDeliveries(sql, batch)}),
    visitors as (${upsertVisitors(sql, batch)}),
    corrected as (
      update tracking t set class = c.class, rule = c.rule
      from unnest(${corrections.id}::bigint[], ${corrections.class}::smallint[], ${corrections.rule}::text[]) as c (id, class, rule)
      where t.id = c.id and exists (select from go)
        and t.at between ${time(first)}::timestamptz - interval '1 s' and ${time(last)}::timestamptz + interval '1 s'
    ), suppressed as (${suppress(sql, batch)}),
    aside as (${setAside(sql, log, batch)})
    select exists (select from go) as committed`;
  return told!.committed;
}

type Fragment = ReturnType<AnySql>;

function insertRows(sql: Sql, { rows: r }: PackedBatch): Fragment {
  return sql`
    insert into tracking (id, at, message_id, delivery_id, user_agent, link, kind, class, rule, uncounted, hint, ip, visitor, web)
    select id, to_timestamp(at::float8 / 1000), message_id, delivery_id, user_agent, link, kind, class, rule, coalesce(uncounted, ''),
      coalesce(hint, ''), ip, coalesce(visitor, ''), web::jsonb
    from (select unnest(${r.id}::bigint[]) as id, unnest(${r.at}::bigint[]) as at, unnest(${r.messageId}::bigint[]) as message_id,
      unnest(${r.deliveryId}::bigint[]) as delivery_id, unnest(${r.userAgent}::int[]) as user_agent, unnest(${r.link}::int[]) as link,
      unnest(${r.kind}::smallint[]) as kind, unnest(${r.class}::smallint[]) as class, unnest(${r.rule}::text[]) as rule,
      unnest(${r.uncounted}::text[]) as uncounted, unnest(${r.hint}::text[]) as hint, unnest(${r.ip}::text[]) as ip,
      unnest(${r.visitor}::text[]) as visitor, unnest(${r.web}::text[]) as web) r
    where exists (select from go)`;
}

const REACTION = `message_id, delivery_id, sent_at, opened_at, machine_opened_at, flags, hits, clicks, person_hits, person_clicks`;

function reactionRows(sql: Sql, r: PackedBatch["reactions"]): Fragment {
  return sql`(
    select unnest(${r.messageId}::bigint[]) as message_id, unnest(${r.deliveryId}::bigint[]) as delivery_id,
      unnest(${r.sentAt}::bigint[]) as sent_at, unnest(${r.openedAt}::bigint[]) as opened_at,
      unnest(${r.machineOpenedAt}::bigint[]) as machine_opened_at, unnest(${r.flags}::smallint[]) as flags,
      unnest(${r.hits}::int[]) as hits, unnest(${r.clicks}::int[]) as clicks, unnest(${r.personHits}::int[]) as person_hits,
      unnest(${r.personClicks}::int[]) as person_clicks) r`;
}

/** Nobody else writes this table (fence), so what is new is known, and need not be looked for while it is put in. */
function insertReactions(sql: Sql, { newReactions }: PackedBatch): Fragment {
  return sql`
    insert into reaction (${sql.unsafe(REACTION)})
    select ${sql.unsafe(REACTION)} from ${reactionRows(sql, newReactions)} where exists (select from go)`;
}

function updateReactions(sql: Sql, { reactions }: PackedBatch): Fragment {
  return sql`
    update reaction x set delivery_id = r.delivery_id, sent_at = r.sent_at, opened_at = r.opened_at, machine_opened_at = r.machine_opened_at,
      flags = r.flags, hits = r.hits, clicks = r.clicks, person_hits = r.person_hits, person_clicks = r.person_clicks
    from ${reactionRows(sql, reactions)} where x.message_id = r.message_id and exists (select from go)`;
}

function addLinks(sql: Sql, { links: l }: PackedBatch): Fragment {
  return sql`
    insert into link_statistics as s (delivery_id, link, kind, bucket, person, machine)
    select delivery_id, link, kind, to_timestamp(period::float8 / 1000), person, machine
    from unnest(${l.deliveryId}::bigint[], ${l.link}::int[], ${l.kind}::smallint[], ${l.period}::bigint[],
      ${l.person}::int[], ${l.machine}::int[]) as i (delivery_id, link, kind, period, person, machine)
    where exists (select from go)
    on conflict (delivery_id, link, kind, bucket) do update
      set person = s.person + excluded.person, machine = s.machine + excluded.machine`;
}

function addDeliveries(sql: Sql, { deliveries: d }: PackedBatch): Fragment {
  const names = DELIVERY_SUMS.join(", ");
  const added = DELIVERY_SUMS.map((name) => `${name} = s.${name} + excluded.${name}`).join(", ");
  return sql`
    insert into delivery_reactions as s (delivery_id, who, ${sql.unsafe(names)})
    select delivery_id, who, ${sql.unsafe(names)}
    from unnest(${d.deliveryId}::bigint[], ${d.who}::smallint[], ${d.recipient_open}::bigint[], ${d.opens}::bigint[],
      ${d.recipient_click}::bigint[], ${d.person_click}::bigint[], ${d.clicks}::bigint[], ${d.opt_outs}::bigint[],
      ${d.mirror_pages}::bigint[], ${d.web_pages}::bigint[], ${d.transactions}::bigint[], ${d.amount}::numeric[],
      ${d.articles}::bigint[]) as i (delivery_id, who, ${sql.unsafe(names)})
    where exists (select from go)
    on conflict (delivery_id, who) do update set ${sql.unsafe(added)}`;
}

function upsertVisitors(sql: Sql, { visitors: v }: PackedBatch): Fragment {
  return sql`
    insert into visitor_click (delivery_id, visitor, clicks, person_clicks)
    select * from unnest(${v.deliveryId}::bigint[], ${v.visitor}::text[], ${v.clicks}::int[], ${v.personClicks}::int[])
      as v (delivery_id, visitor, clicks, person_clicks)
    where exists (select from go)
    on conflict (delivery_id, visitor) do update set clicks = excluded.clicks, person_clicks = excluded.person_clicks`;
}

/** One that would have ended by itself now stays; any other is left as it was put there. */
function suppress(sql: Sql, { optOuts: o }: PackedBatch): Fragment {
  return sql`
    insert into suppression as s (address, reason, source, note)
    select distinct on (lower(o.address collate "C")) lower(o.address collate "C"), 'unsubscribed', o.source, o.note
    from unnest(${o.address}::text[], ${o.source}::text[], ${o.note}::text[]) with ordinality as o (address, source, note, n)
    where exists (select from go) order by lower(o.address collate "C"), o.n
    on conflict (address) do update set reason = excluded.reason, source = excluded.source, note = excluded.note, expires_at = null
    where s.expires_at is not null`;
}

function setAside(sql: Sql, log: string, { damage: d }: PackedBatch): Fragment {
  return sql`
    insert into tracking_damaged (log, position, octets, records, reason, content)
    select ${log}, position, octets, records, reason, decode(content, 'hex')
    from unnest(${d.position}::bigint[], ${d.octets}::bigint[], ${d.records}::int[], ${d.reason}::text[], ${d.content}::text[])
      as d (position, octets, records, reason, content)
    where exists (select from go)
    on conflict (log, position) do nothing`;
}
