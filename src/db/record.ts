/**
 * Recording outcomes: one statement a batch changes the message rows, the counters of their parts and the progress of their deliveries and
 * appends the events, so nothing can be half recorded. Fenced: only rows of parts that this owner still holds under the same epoch
 * change, and only from the status they were loaded with; so recording twice adds nothing.
 */
import type { Sql } from "./sql.ts";

/** One settled message, as rows and arrays want it. */
export interface OutcomeRecord {
  readonly id: number;
  readonly partId: number;
  readonly epoch: number;
  readonly deliveryId: number;
  /** Status numbers (model MESSAGE_STATUSES). */
  readonly from: number;
  readonly to: number;
  /** Attempts with this one, and those it was loaded with: a record that comes twice finds another number. */
  readonly attempts: number;
  readonly tried: number;
  /** Epoch ms of the next try, 0 for none. */
  readonly dueAt: number;
  readonly reason: string;
  /** Number of the event type (model EVENT_TYPES). */
  readonly event: number;
  /** Epoch ms. */
  readonly at: number;
  readonly code: number;
  readonly publicId: number;
  readonly latencyMs: number;
  readonly enhanced: string;
  readonly stage: string;
  readonly reply: string;
  readonly mx: string;
  readonly remoteIp: string;
  readonly tls: string;
  readonly transcript: string;
}

/**
 * Records a batch of one volume. Returns the parts of the batch that are still the owner's: a record of any other part was refused. (A row
 * of a part that is held but did not change had been recorded before: a commit whose answer was lost, or a journal read again.)
 */
export async function recordOutcomes(
  sql: Sql,
  owner: string,
  volume: number,
  records: readonly OutcomeRecord[],
): Promise<Set<number>> {
  const rows = await sql<{ id: number; epoch: number }[]>`
      with input as materialized (
        select * from unnest(
          ${records.map((r) => r.id)}::bigint[], ${records.map((r) => r.partId)}::bigint[], ${records.map((r) => r.epoch)}::int[],
          ${records.map((r) => r.deliveryId)}::bigint[], ${records.map((r) => r.from)}::int[], ${records.map((r) => r.to)}::int[],
          ${records.map((r) => r.attempts)}::int[], ${records.map((r) => r.tried)}::int[], ${records.map((r) => r.dueAt)}::bigint[],
          ${records.map((r) => r.reason)}::text[], ${records.map((r) => r.event)}::int[], ${records.map((r) => r.at)}::bigint[],
          ${records.map((r) => r.code)}::int[], ${records.map((r) => r.publicId)}::int[], ${records.map((r) => r.latencyMs)}::int[],
          ${records.map((r) => r.enhanced)}::text[], ${records.map((r) => r.stage)}::text[], ${records.map((r) => r.reply)}::text[],
          ${records.map((r) => r.mx)}::text[], ${records.map((r) => r.remoteIp)}::text[], ${records.map((r) => r.tls)}::text[],
          ${records.map((r) => r.transcript)}::text[]
        ) as t (id, part, epoch, delivery_id, was, status, attempts, tried, due_at, reason, event, at, code, public_id, latency_ms,
                enhanced, stage, reply, mx, remote_ip, tls, transcript)
      ), fence as materialized (
        select p.id, p.epoch from part p
        where p.owner = ${owner} and p.id in (select part from input)
          and exists (select 1 from input i where i.part = p.id and i.epoch = p.epoch)
        order by p.id for update
      ), changed as (
        update ${sql(`message_${volume}`)} m
        set status = i.status, attempts = i.attempts, due_at = to_timestamp(nullif(i.due_at, 0) / 1000.0), reason = nullif(i.reason, '')
        from input i join fence f on f.id = i.part and f.epoch = i.epoch
        where m.id = i.id and m.status = i.was and m.attempts = i.tried
        returning m.id, i.part, i.delivery_id, i.was, i.status, i.at
      ), counted as (
        update part p set
          pending = p.pending + c.pending, deferred = p.deferred + c.deferred, sent = p.sent + c.sent,
          failed = p.failed + c.failed, excluded = p.excluded + c.excluded, in_doubt = p.in_doubt + c.in_doubt
        from (
          select part,
            (count(*) filter (where status = 0) - count(*) filter (where was = 0))::int as pending,
            (count(*) filter (where status = 1) - count(*) filter (where was = 1))::int as deferred,
            (count(*) filter (where status = 2))::int as sent,
            (count(*) filter (where status = 3))::int as failed,
            (count(*) filter (where status = 5))::int as excluded,
            (count(*) filter (where status = 7))::int as in_doubt
          from changed group by part
        ) c where p.id = c.part
      ), noted as (
        insert into ${sql(`event_${volume}`)}
          (message_id, at, type, attempt, code, public_id, latency_ms, enhanced, stage, reason, reply, mx, remote_ip, tls, transcript)
        select i.id, to_timestamp(i.at / 1000.0), i.event, i.attempts, i.code, i.public_id, i.latency_ms, i.enhanced, i.stage, i.reason, i.reply, i.mx,
          i.remote_ip, i.tls, i.transcript
        from input i join changed c on c.id = i.id
      ), moved as (
        insert into progress as g (delivery_id, bucket, owner, settled, deferred)
        select delivery_id, at / 10000, ${owner},
          (count(*) filter (where status not in (0, 1)))::int, (count(*) filter (where status = 1))::int
        from changed group by 1, 2
        on conflict (delivery_id, bucket, owner) do update
          set settled = g.settled + excluded.settled, deferred = g.deferred + excluded.deferred
      )
      select id, epoch from fence`;
  const held = new Map(rows.map((row) => [row.id, row.epoch]));
  return new Set(records.filter((r) => held.get(r.partId) === r.epoch).map((r) => r.partId));
}
