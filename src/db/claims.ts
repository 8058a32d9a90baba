/**
 * Claiming parts: `FOR UPDATE SKIP LOCKED` hands each due part to one mta, with a lease and a fence (`epoch`, +1 a claim). What a
 * claimer writes later counts only while owner and epoch are still its own (db/record.ts), so a dead mta's parts return by
 * themselves and a zombie's late write is refused.
 *
 * A part whose lease ran out is *taken over*: its last owner may have sent what it never recorded. All its open messages are therefore
 * in doubt, and the delivery's policy decides: `retry` sends them again and says so in their events; `hold` and `assume-sent` hold
 * them (most were never sent, so assuming would lose mail) until the owner's journal or an operator knows better.
 */
import type { InDoubtPolicy, RetrySchedule } from "../model/delivery.ts";
import type { AnySql, Sql } from "./sql.ts";
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

/** Bulk deliveries that are being sent, most urgent first; at most `limit`. */
export async function activeDeliveries(sql: Sql, limit: number): Promise<ActiveDelivery[]> {
  const rows = await sql<DeliveryRow[]>`
    select id, priority, weight, encode(content_hash, 'hex') as hash, affinity, in_doubt, retry, deadline, state
    from delivery where state = 'sending' and priority > 0 order by priority, id limit ${limit}`;
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

interface PartRow {
  id: number;
  delivery_id: number;
  first_id: number;
  last_id: number;
  domain: string;
  epoch: number;
  taken_over: boolean;
}

const part = (row: PartRow): ClaimedPart => ({
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
  return rows.map(part);
}

/** Claims due parts of transactional deliveries, the longest due first. */
export async function claimUrgentParts(
  sql: Sql,
  owner: string,
  leaseMs: number,
  limit: number,
): Promise<ClaimedPart[]> {
  const rows = await sql<PartRow[]>`
    with chosen as (
      select p.id from part p join delivery d on d.id = p.delivery_id and d.state = 'sending'
      where p.due_at <= now() and p.owner = '' and p.priority = 0
      order by p.due_at limit ${limit}
      for update of p skip locked
    )
    update part set owner = ${owner}, epoch = epoch + 1, lease_until = now() + ${leaseMs} * interval '1 ms'
    from chosen where part.id = chosen.id
    returning part.id, part.delivery_id, part.first_id, part.last_id, part.domain, part.epoch, false as taken_over`;
  return rows.map(part);
}

/**
 * Takes over parts whose lease has run out, at most `limit`, and settles the doubt about them (see the head of this file). Free parts with
 * nothing open in them are only released. Returns the parts to load and send, those of policy `retry`.
 */
export async function takeOverParts(sql: Sql, owner: string, leaseMs: number, limit: number): Promise<ClaimedPart[]> {
  return sql.begin(async (tx) => {
    const rows = await tx<(PartRow & { in_doubt: InDoubtPolicy })[]>`
      with chosen as (
        select p.id, d.in_doubt from part p join delivery d on d.id = p.delivery_id
        where p.owner <> '' and p.owner <> ${owner} and p.lease_until < now()
        order by p.id limit ${limit}
        for update of p skip locked
      )
      update part set owner = ${owner}, epoch = epoch + 1, lease_until = now() + ${leaseMs} * interval '1 ms'
      from chosen where part.id = chosen.id
      returning part.id, part.delivery_id, part.first_id, part.last_id, part.domain, part.epoch, true as taken_over, chosen.in_doubt`;
    for (const row of rows) await doubtOpenMessages(tx, row, row.in_doubt, "the lease of its mta ran out");
    return rows.map(part);
  });
}

/** Marks every open, due message of a part as in doubt by the policy. `why` stands in the events. */
export async function doubtOpenMessages(
  tx: AnySql,
  row: { id: number; first_id: number; last_id: number },
  policy: InDoubtPolicy,
  why: string,
): Promise<number> {
  const volume = volumeOfId(row.first_id);
  if (policy === "retry") {
    const events = await tx`
      insert into ${tx(`event_${volume}`)} (message_id, type, attempt, stage, reason, reply)
      select id, 5, attempts, 'dot', 'in-doubt', ${why} from ${tx(`message_${volume}`)}
      where id between ${row.first_id} and ${row.last_id} and (status = 0 or (status = 1 and due_at <= now()))`;
    return events.count;
  }
  const held = await tx<{ held: number }[]>`
    with held as (
      update ${tx(`message_${volume}`)} m set status = 7, reason = 'in-doubt', due_at = null
      from (select id, status from ${tx(`message_${volume}`)}
            where id between ${row.first_id} and ${row.last_id} and (status = 0 or (status = 1 and due_at <= now())) for update) o
      where m.id = o.id returning m.id, m.attempts, o.status
    ), noted as (
      insert into ${tx(`event_${volume}`)} (message_id, type, attempt, stage, reason, reply)
      select id, 5, attempts, 'dot', 'in-doubt', ${why} from held
    ), counted as (
      update part set in_doubt = in_doubt + n, pending = pending - p, deferred = deferred - (n - p)
      from (select count(*)::int as n, (count(*) filter (where status = 0))::int as p from held) c where part.id = ${row.id}
    )
    select count(*)::int as held from held`;
  return held[0]?.held ?? 0;
}

/** The open and due messages of the parts, in order of id, each with its late suppression. */
export async function loadMessages(sql: Sql, parts: readonly ClaimedPart[]): Promise<LoadedMessage[]> {
  const byVolume = Map.groupBy(parts, (p) => volumeOfId(p.firstId));
  const loaded: LoadedMessage[] = [];
  for (const [volume, group] of byVolume) {
    const rows = await sql`
      select m.id, r.part, m.status, m.attempts, m.address, coalesce(m.variables, ''), coalesce(s.reason, '')
      from unnest(${group.map((p) => p.id)}::bigint[], ${group.map((p) => p.firstId)}::bigint[], ${group.map((p) => p.lastId)}::bigint[])
        as r (part, first, last)
      join ${sql(`message_${volume}`)} m on m.id between r.first and r.last
      left join suppression s on s.address = lower(m.address) and (s.expires_at is null or s.expires_at > now())
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

/** Prolongs every lease of this owner; the ids of the parts that are still its own. */
export async function renewLeases(sql: Sql, owner: string, leaseMs: number): Promise<Set<number>> {
  const rows = await sql<{ id: number }[]>`
    update part set lease_until = now() + ${leaseMs} * interval '1 ms' where owner = ${owner} returning id`;
  return new Set(rows.map((row) => row.id));
}

export interface PartRelease {
  readonly id: number;
  readonly epoch: number;
  /** Epoch ms before which its pending messages need not be looked at again; 0: at once. */
  readonly notBefore: number;
}

/**
 * Gives parts back. A part with nothing open is closed (`due_at` null); another becomes due with the earliest of its messages, its pending
 * ones not before the hint. Never counts as a try. Parts that are no longer the owner's are left alone. Returns when each released part
 * is due again (epoch ms), Infinity for a closed one.
 */
export async function releaseParts(
  sql: Sql,
  owner: string,
  releases: readonly PartRelease[],
): Promise<Map<number, number>> {
  const due = new Map<number, number>();
  if (releases.length === 0) return due;
  const rows = await sql<{ id: number; first_id: number; last_id: number; deferred: number; due_at: Date | null }[]>`
    update part set owner = '', lease_until = null,
      due_at = case when pending + deferred = 0 then null else greatest(now(), to_timestamp(r.not_before / 1000.0)) end
    from unnest(${releases.map((r) => r.id)}::bigint[], ${releases.map((r) => r.epoch)}::int[],
                ${releases.map((r) => r.notBefore)}::bigint[]) as r (id, epoch, not_before)
    where part.id = r.id and part.epoch = r.epoch and part.owner = ${owner}
    returning part.id, part.first_id, part.last_id, part.deferred, part.due_at`;
  for (const row of rows) due.set(row.id, row.due_at?.getTime() ?? Number.POSITIVE_INFINITY);
  const deferred = Map.groupBy(
    rows.filter((row) => row.deferred > 0),
    (row) => volumeOfId(row.first_id),
  );
  for (const [volume, group] of deferred) {
    // A part that waits only for deferred messages sleeps until the first of them is due.
    const asleep = await sql<{ id: number; due_at: Date }[]>`
      update part p set due_at = w.due
      from (select r.part, min(coalesce(m.due_at, r.due)) as due
            from (select id as part, first_id, last_id, due_at as due from part where id = any(${group.map((g) => g.id)}::bigint[]) and owner = '') r
            join ${sql(`message_${volume}`)} m on m.id between r.first_id and r.last_id and m.status in (0, 1)
            group by r.part) w
      where p.id = w.part and p.owner = ''
      returning p.id, p.due_at`;
    for (const row of asleep) due.set(row.id, row.due_at.getTime());
  }
  return due;
}

/** When the next free part of each of these deliveries becomes due (epoch ms); those without one are not in the map. */
export async function nextDue(sql: Sql, ids: readonly number[]): Promise<Map<number, number>> {
  const rows = await sql<{ id: number; due: Date }[]>`
    select d.id, p.due_at as due from unnest(${ids as number[]}::bigint[]) as d (id)
    cross join lateral (
      select due_at from part p where p.delivery_id = d.id and p.due_at is not null and p.owner = '' order by due_at limit 1
    ) p`;
  return new Map(rows.map((row) => [row.id, row.due.getTime()]));
}

/** Starts the deliveries whose time has come. */
export async function startScheduled(sql: Sql): Promise<number[]> {
  const started = await sql<{ id: number }[]>`
    update delivery set state = 'sending' where state = 'ready' and (not_before is null or not_before <= now()) returning id`;
  return started.map((row) => row.id);
}

/** Closes the deliveries that have no open part left and no upload at work; of those named, or of all. The ids of the closed. */
export async function finishDeliveries(sql: Sql, ids: readonly number[] | "all"): Promise<number[]> {
  const finished = await sql<{ id: number }[]>`
    update delivery d set state = 'finished', finished_at = now()
    where state = 'sending' and ${ids === "all" ? sql`true` : sql`id = any(${ids as number[]}::bigint[])`} and coalesce(uploading_until, '-infinity') < now()
      and not exists (select 1 from part p where p.delivery_id = d.id and p.due_at is not null)
    returning id`;
  return finished.map((row) => row.id);
}
