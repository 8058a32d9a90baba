/**
 * Deliveries: made, started, stopped, looked at. Counters are the sum over the parts, never kept anywhere else. The open messages of a
 * stopped delivery are cancelled in every answer, and no row is rewritten for it: stopping ten million recipients is one row.
 */
import type { Counters, DeliverySettings, DeliveryState } from "../model/delivery.ts";
import { IN_DOUBT_POLICIES, PRIORITIES } from "../model/delivery.ts";
import type { AnySql, Sql } from "./sql.ts";

export interface NewDelivery extends DeliverySettings {
  readonly name: string;
  /** SHA-256 of contentBody. */
  readonly contentHash: Uint8Array;
  /** Content as JSON. */
  readonly contentBody: string;
  /** JSON of model ContentLink[]; absent or null: the content is not tracked. Kept with the content when that is new. */
  readonly contentLinks?: string | null;
  readonly fromAddress: string;
}

export interface DeliveryRecord extends DeliverySettings {
  readonly id: number;
  readonly name: string;
  readonly from: string;
  readonly state: DeliveryState;
  readonly stateReason: string;
  /** Who gave the last command (start, pause, resume, stop), '' when nobody did, and when. */
  readonly commandedBy: string;
  readonly commandedAt: Date | null;
  readonly uploading: boolean;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly deadline: Date | null;
  readonly counters: Counters;
  /** Messages settled a second, over the last minute. */
  readonly rate: number;
}

/** Makes a draft; its id. The content is kept once however often it is used. */
export async function createDelivery(sql: AnySql, d: NewDelivery): Promise<number> {
  const [row] = await sql<{ id: number }[]>`
    with kept as (
      insert into content (hash, body, links) values (${d.contentHash}, ${d.contentBody}, ${d.contentLinks ?? null}::text::jsonb)
      on conflict do nothing
    )
    insert into delivery (name, content_hash, from_address, priority, weight, affinity, in_doubt, retry, validity, not_before, not_after)
    values (${d.name}, ${d.contentHash}, ${d.fromAddress}, ${PRIORITIES.indexOf(d.priority)}, ${d.weight}, ${d.affinity}, ${d.inDoubt},
      ${d.retrySchedule as number[]}::int[], ${d.validity}, ${date(d.notBefore)}, ${date(d.notAfter)})
    returning id`;
  return row!.id;
}

function date(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

interface Row {
  id: number;
  name: string;
  from_address: string;
  state: DeliveryState;
  state_reason: string;
  commanded_by: string;
  commanded_at: Date | null;
  priority: number;
  weight: number;
  affinity: string;
  in_doubt: string;
  retry: number[];
  validity: number;
  not_before: Date | null;
  not_after: Date | null;
  deadline: Date | null;
  uploading: boolean;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  counters: Counters;
  rate: number;
}

/** Columns and sums of every delivery that `which` leaves; `which` is a piece of SQL over delivery d. */
async function select(sql: AnySql, which: ReturnType<Sql>): Promise<DeliveryRecord[]> {
  const rows = await sql<Row[]>`
    select d.id, d.name, d.from_address, d.state, d.state_reason, d.commanded_by, d.commanded_at, d.priority, d.weight, d.affinity, d.in_doubt, d.retry, d.validity,
      d.not_before, d.not_after, d.deadline, d.created_at, d.started_at, d.finished_at,
      exists (select 1 from upload u where u.delivery_id = d.id and u.alive_until > now()) as uploading,
      json_build_object('accepted', pending + deferred + sent + failed + bounced + excluded + cancelled + c.in_doubt,
        'pending', case when d.state = 'stopped' then 0 else pending end,
        'claimed', case when d.state = 'stopped' then 0 else claimed end,
        'deferred', case when d.state = 'stopped' then 0 else deferred end,
        'sent', sent, 'failed', failed, 'bounced', bounced, 'excluded', excluded,
        'cancelled', cancelled + case when d.state = 'stopped' then pending + deferred else 0 end,
        'inDoubt', c.in_doubt) as counters,
      (case when d.state in ('sending', 'paused') then coalesce(g.settled, 0) else 0 end
        / greatest(10, least(60, extract(epoch from now() - coalesce(d.started_at, now())))))::float8 as rate
    from (${which}) d
    cross join lateral (
      select coalesce(sum(p.pending), 0) as pending, coalesce(sum(p.deferred), 0) as deferred, coalesce(sum(p.sent), 0) as sent,
        coalesce(sum(p.failed), 0) as failed, coalesce(sum(p.bounced), 0) as bounced, coalesce(sum(p.excluded), 0) as excluded,
        coalesce(sum(p.cancelled), 0) as cancelled, coalesce(sum(p.in_doubt), 0) as in_doubt,
        coalesce(sum(p.pending + p.deferred) filter (where p.owner <> '' and p.lease_until > now()), 0) as claimed
      from part p where p.delivery_id = d.id
    ) c
    left join lateral (
      -- The bucket of now is still filling: it counts, and so does its time.
      select sum(g.settled) as settled from progress g
      where g.delivery_id = d.id and g.bucket > (extract(epoch from now()) / 10)::bigint - 6
    ) g on true
    order by d.id desc`;
  return rows.map(record);
}

function record(row: Row): DeliveryRecord {
  return {
    id: row.id,
    name: row.name,
    from: row.from_address,
    state: row.state,
    stateReason: row.state_reason,
    commandedBy: row.commanded_by,
    commandedAt: row.commanded_at,
    priority: PRIORITIES[row.priority]!,
    weight: row.weight,
    affinity: row.affinity,
    inDoubt: IN_DOUBT_POLICIES.find((policy) => policy === row.in_doubt) ?? "retry",
    retrySchedule: row.retry,
    validity: row.validity,
    notBefore: row.not_before?.getTime() ?? null,
    notAfter: row.not_after?.getTime() ?? null,
    deadline: row.deadline,
    uploading: row.uploading,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    counters: row.counters,
    rate: row.rate,
  };
}

export async function findDelivery(sql: AnySql, id: number): Promise<DeliveryRecord | null> {
  const [found] = await select(sql, sql`select * from delivery where id = ${id}`);
  return found ?? null;
}

/** Newest first, those before id `before` (0: from the newest), of one state or all (''). */
export async function listDeliveries(
  sql: Sql,
  page: { before: number; state: string; limit: number },
): Promise<DeliveryRecord[]> {
  return select(
    sql,
    sql`select * from delivery where (${page.before}::bigint = 0 or id < ${page.before}) and (${page.state} = '' or state = ${page.state})
        order by id desc limit ${page.limit}`,
  );
}

/** The content of a delivery as JSON of model Content. null: there is no such delivery. */
export async function contentOfDelivery(sql: Sql, id: number): Promise<string | null> {
  const [row] = await sql<{ body: string }[]>`
    select c.body from delivery d join content c on c.hash = d.content_hash where d.id = ${id}`;
  return row?.body ?? null;
}
