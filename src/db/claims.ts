/**
 * Claiming parts: `FOR UPDATE SKIP LOCKED` hands each due part to one mta, with a lease and a fence (`epoch`, +1 a claim). What a
 * claimer writes later counts only while owner and epoch are still its own (db/record.ts), so a dead mta's parts return by
 * themselves and a zombie's late write is refused.
 */
import type { InDoubtPolicy, RetrySchedule } from "../model/delivery.ts";
import type { Sql } from "./sql.ts";
import { volumeOfId } from "./volumes.ts";

export interface ActiveDelivery {
  readonly id: number;
  /** Position in PRIORITIES. */
  readonly priority: number;
  readonly weight: number;
  readonly contentHash: string;
  readonly affinity: string;
  readonly inDoubt: InDoubtPolicy;
  readonly retry: RetrySchedule;
  /** Epoch ms. */
  readonly deadline: number;
  readonly state: string;
}

export interface ClaimedPart {
  readonly id: number;
  readonly deliveryId: number;
  readonly firstId: number;
  readonly lastId: number;
  readonly domain: string;
  readonly epoch: number;
  readonly takenOver: boolean;
}

export interface LoadedMessage {
  readonly id: number;
  readonly partId: number;
  /** Number of the status it has now: pending or deferred. */
  readonly status: number;
  readonly attempts: number;
  readonly address: string;
  /** JSON object or ''. */
  readonly variables: string;
  /** '' or why it is suppressed since it was accepted. */
  readonly suppressed: string;
}

interface DeliveryRow {
  id: number;
  priority: number;
  weight: number;
  hash: string;
  affinity: string;
  in_doubt: InDoubtPolicy;
  retry: number[];
  deadline: Date | null;
  state: string;
}

function active(row: DeliveryRow): ActiveDelivery {
  return {
    id: row.id,
    priority: row.priority,
    weight: row.weight,
    contentHash: row.hash,
    affinity: row.affinity,
    inDoubt: row.in_doubt,
    retry: row.retry,
    deadline: row.deadline?.getTime() ?? Number.MAX_SAFE_INTEGER,
    state: row.state,
  };
}

/** Bulk deliveries that are being sent and have something due and free now; at most `limit` of each class, the oldest first. */
export async function activeDeliveries(sql: Sql, limit: number): Promise<ActiveDelivery[]> {
  const rows = await sql<DeliveryRow[]>`
    select d.* from generate_series(1, 3) as c (priority) cross join lateral (
      select id, priority, weight, encode(content_hash, 'hex') as hash, affinity, in_doubt, retry, deadline, state
      from delivery where state = 'sending' and priority = c.priority and exists (
        select 1 from part p where p.delivery_id = delivery.id and p.owner = '' and p.due_at <= now())
      order by id limit ${limit}
    ) d`;
  return rows.map(active);
}

export async function deliveriesById(sql: Sql, ids: readonly number[]): Promise<ActiveDelivery[]> {
  if (ids.length === 0) return [];
  const rows = await sql<DeliveryRow[]>`
    select id, priority, weight, encode(content_hash, 'hex') as hash, affinity, in_doubt, retry, deadline, state
    from delivery where id = any(${ids as number[]}::bigint[])`;
  return rows.map(active);
}

/** The JSON of a content, or '' when there is none under this hash. */
export async function contentBody(sql: Sql, hash: string): Promise<string> {
  const rows = await sql<{ body: string }[]>`select body from content where hash = decode(${hash}, 'hex')`;
  return rows[0]?.body ?? "";
}

export interface ClaimRequest {
  readonly owner: string;
  readonly leaseMs: number;
  /** How many parts of which delivery; `late`: past its deadline, to be expired and not to be sent. */
  readonly wanted: readonly { readonly deliveryId: number; readonly parts: number; readonly late: boolean }[];
  /** Domains whose lanes have no room: parts of theirs stay where they are, unless they are late. */
  readonly saturated: readonly string[];
}

/** A part as the database gives it. */
export interface PartRow {
  id: number;
  delivery_id: number;
  first_id: number;
  last_id: number;
  domain: string;
  epoch: number;
  taken_over: boolean;
}

export const partOf = (row: PartRow): ClaimedPart => ({
  id: row.id,
  deliveryId: row.delivery_id,
  firstId: row.first_id,
  lastId: row.last_id,
  domain: row.domain,
  epoch: row.epoch,
  takenOver: row.taken_over,
});

/** Claims due parts of the named deliveries. */
export async function claimParts(sql: Sql, request: ClaimRequest): Promise<ClaimedPart[]> {
  if (request.wanted.length === 0) return [];
  const rows = await sql<PartRow[]>`
    with chosen as (
      select p.id
      from unnest(${request.wanted.map((w) => w.deliveryId)}::bigint[], ${request.wanted.map((w) => w.parts)}::int[],
        ${request.wanted.map((w) => String(w.late))}::boolean[]) as w (delivery_id, parts, late)
      cross join lateral (
        select p.id from part p
        where p.delivery_id = w.delivery_id and p.due_at <= now() and p.owner = ''
          and (p.domain = '' or w.late or p.domain <> all (${request.saturated as string[]}::text[]))
        order by p.due_at, p.id limit w.parts
        for update skip locked
      ) p
    )
    update part set owner = ${request.owner}, epoch = epoch + 1, lease_until = now() + ${request.leaseMs} * interval '1 ms'
    from chosen where part.id = chosen.id
    returning part.id, part.delivery_id, part.first_id, part.last_id, part.domain, part.epoch, false as taken_over`;
  return rows.map(partOf);
}

/** Claims due parts of transactional deliveries, the longest due first; not those of domains whose lanes are full of them. */
export async function claimUrgentParts(
  sql: Sql,
  request: Omit<ClaimRequest, "wanted">,
  limit: number,
): Promise<ClaimedPart[]> {
  const rows = await sql<PartRow[]>`
    with chosen as (
      select p.id from part p join delivery d on d.id = p.delivery_id and d.state = 'sending'
      where p.due_at <= now() and p.owner = '' and p.priority = 0
        and (p.domain = '' or p.domain <> all (${request.saturated as string[]}::text[]) or d.deadline < now())
      order by p.due_at limit ${limit}
      for update of p skip locked
    )
    update part set owner = ${request.owner}, epoch = epoch + 1, lease_until = now() + ${request.leaseMs} * interval '1 ms'
    from chosen where part.id = chosen.id
    returning part.id, part.delivery_id, part.first_id, part.last_id, part.domain, part.epoch, false as taken_over`;
  return rows.map(partOf);
}

/** The open and due messages of the parts, in order of id, each with its late suppression. */
export async function loadMessages(sql: Sql, parts: readonly ClaimedPart[]): Promise<LoadedMessage[]> {
  const byVolume = Map.groupBy(parts, (p) => volumeOfId(p.firstId));
  const loaded: LoadedMessage[] = [];
  for (const [volume, group] of byVolume) {
    const rows = await sql`
      select m.id, r.part, m.status, m.attempts, m.address, coalesce(m.variables, ''),
        coalesce((
          select s.reason from suppression s where s.address = lower(m.address) and (s.expires_at is null or s.expires_at > now())
        ), '')
      from unnest(${group.map((p) => p.id)}::bigint[], ${group.map((p) => p.firstId)}::bigint[], ${group.map((p) => p.lastId)}::bigint[])
        as r (part, first, last)
      join ${sql(`message_${volume}`)} m on m.id between r.first and r.last
      where m.status = 0 or (m.status = 1 and m.due_at <= now())
      order by m.id`.values();
    for (const r of rows as unknown as [number, number, number, number, string, string, string][])
      loaded.push({
        id: r[0],
        partId: r[1],
        status: r[2],
        attempts: r[3],
        address: r[4],
        variables: r[5],
        suppressed: r[6],
      });
  }
  return loaded;
}
