/**
 * The life of a claim after it was made: prolonged, given back, or taken over when its owner is gone.
 *
 * A part whose lease ran out is taken over by whoever finds it: its last owner may have sent what it never recorded. All its open messages
 * are therefore in doubt, and the delivery's policy decides: `retry` sends them again and says so in their events; `hold` and
 * `assume-sent` hold them (most were never sent, so assuming would lose mail) until the owner's journal or an operator knows better.
 */
import type { InDoubtPolicy } from "../model/delivery.ts";
import { type ClaimedPart, type PartRow, partOf } from "./claims.ts";
import type { AnySql, Sql } from "./sql.ts";
import { volumeOfId } from "./volumes.ts";

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
    return rows.map(partOf);
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

/** Prolongs every lease of this owner; the parts that are still its own, with their epochs. */
export async function renewLeases(sql: Sql, owner: string, leaseMs: number): Promise<Map<number, number>> {
  const rows = await sql<{ id: number; epoch: number }[]>`
    update part set lease_until = now() + ${leaseMs} * interval '1 ms' where owner = ${owner} returning id, epoch`;
  return new Map(rows.map((row) => [row.id, row.epoch]));
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

/** Free parts that wait for their time become due now; how many. What in them is deferred keeps its own time. */
export async function callParts(sql: Sql, ids: readonly number[]): Promise<number> {
  const { count } = await sql`
    update part set due_at = now() where id = any(${ids as number[]}::bigint[]) and owner = '' and due_at > now()`;
  return count;
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
