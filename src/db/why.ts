/** What the ledger knows of a message or a delivery when somebody asks why it does not move. A few rows, each found by an index. */
import { type DeliveryState, OPEN_STATUSES, statusNumber } from "../model/delivery.ts";
import type { DeliveryFacts } from "../model/why-facts.ts";
import type { AnySql } from "./sql.ts";

/** The part of a message, and its delivery. */
export interface PartFacts {
  readonly delivery: DeliveryFacts;
  /** '' when nobody has claimed it, or the claim has ended. */
  readonly owner: string;
  /** Epoch ms, 0 for a closed part. */
  readonly dueAt: number;
  readonly acceptedAt: number;
}

interface DeliveryRow {
  id: number;
  state: DeliveryState;
  state_reason: string;
  commanded_by: string;
  commanded_at: Date | null;
  created_at: Date;
  not_before: Date | null;
  deadline: Date | null;
}

const ms = (at: Date | null): number => at?.getTime() ?? 0;

const facts = (row: DeliveryRow): DeliveryFacts => ({
  id: row.id,
  state: row.state,
  stateReason: row.state_reason,
  commandedBy: row.commanded_by,
  commandedAt: ms(row.commanded_at),
  createdAt: ms(row.created_at),
  notBefore: ms(row.not_before),
  deadline: ms(row.deadline),
});

/** null: there is no such delivery. */
export async function deliveryFacts(sql: AnySql, id: number): Promise<DeliveryFacts | null> {
  const [row] = await sql<DeliveryRow[]>`
    select id, state, state_reason, commanded_by, commanded_at, created_at, not_before, deadline from delivery where id = ${id}`;
  return row === undefined ? null : facts(row);
}

/** null: no part holds it any more. */
export async function partFacts(sql: AnySql, deliveryId: number, messageId: number): Promise<PartFacts | null> {
  const [row] = await sql<(DeliveryRow & { owner: string; due_at: Date | null; accepted_at: Date })[]>`
    select d.id, d.state, d.state_reason, d.commanded_by, d.commanded_at, d.created_at, d.not_before, d.deadline,
      case when p.lease_until > now() then p.owner else '' end as owner, p.due_at, p.created_at as accepted_at
    from part p join delivery d on d.id = p.delivery_id
    where p.delivery_id = ${deliveryId} and p.first_id <= ${messageId} and p.last_id >= ${messageId}
    order by p.first_id desc limit 1`;
  if (row === undefined) return null;
  return {
    delivery: facts(row),
    owner: row.owner,
    dueAt: ms(row.due_at),
    acceptedAt: ms(row.accepted_at),
  };
}

/** mtas of all machines that were seen within `withinMs`. */
export async function mtasSeen(sql: AnySql, withinMs: number): Promise<string[]> {
  const rows = await sql<{ owner: string }[]>`
    select owner from mta where seen_at > now() - ${withinMs} * interval '1 ms' order by owner limit 1000`;
  return rows.map((row) => row.owner);
}

export interface OpenByDomain {
  /** '' for the parts that mix domains. */
  readonly domain: string;
  /** Messages that are pending or deferred; of them those that an mta has now. */
  readonly open: number;
  readonly claimed: number;
  /** Of the open ones, those that were tried and are tried again. */
  readonly deferred: number;
  /** When the first of its free parts is looked at; epoch ms, 0: all are claimed. */
  readonly dueAt: number;
}

/** What of a delivery is open, by the domain of its parts, most first. */
export async function openByDomain(sql: AnySql, deliveryId: number, limit: number): Promise<OpenByDomain[]> {
  const rows = await sql<{ domain: string; open: number; claimed: number; deferred: number; due: Date | null }[]>`
    select domain, sum(pending + deferred)::bigint as open, sum(deferred)::bigint as deferred,
      coalesce(sum(pending + deferred) filter (where owner <> '' and lease_until > now()), 0)::bigint as claimed,
      min(due_at) filter (where owner = '') as due
    from part where delivery_id = ${deliveryId} and due_at is not null and pending + deferred > 0
    group by domain order by 2 desc, 1 limit ${limit}`;
  return rows.map(({ due, ...row }) => ({ ...row, dueAt: ms(due) }));
}

/** Parts that mix domains, and messages of each, that are looked into: enough to see what most of a small delivery waits for. */
const MIXED_PARTS = 4;
const MIXED_MESSAGES = 1000;

/** The same of the messages in parts that mix domains, of the first few such parts. */
export async function openInMixedParts(sql: AnySql, deliveryId: number, limit: number): Promise<OpenByDomain[]> {
  const rows = await sql<{ domain: string; open: number; claimed: number; deferred: number; due: Date | null }[]>`
    with mixed as (
      select first_id, least(last_id, first_id + ${MIXED_MESSAGES - 1}) as last_id, due_at,
        owner <> '' as owned, owner <> '' and lease_until > now() as claimed
      from part where delivery_id = ${deliveryId} and domain = '' and due_at is not null and pending + deferred > 0
      order by first_id limit ${MIXED_PARTS}
    )
    select regexp_replace(m.address, '^.*@', '') as domain, count(*)::bigint as open,
      count(*) filter (where m.status = ${statusNumber("deferred")})::bigint as deferred,
      count(*) filter (where p.claimed)::bigint as claimed,
      min(coalesce(m.due_at, p.due_at)) filter (where not p.owned) as due
    from mixed p join message m on m.id between p.first_id and p.last_id
    where m.delivery_id = ${deliveryId} and m.status = any(${OPEN_STATUSES.map(statusNumber)})
    group by 1 order by 2 desc, 1 limit ${limit}`;
  return rows.map(({ due, ...row }) => ({ ...row, dueAt: ms(due) }));
}

/** What of all deliveries that are being sent is open for a domain that has parts of its own. */
export async function openOfDomain(
  sql: AnySql,
  domain: string,
): Promise<{ readonly open: number; readonly claimed: number; readonly deliveries: number }> {
  const [row] = await sql<{ open: number; claimed: number; deliveries: number }[]>`
    select coalesce(sum(p.pending + p.deferred), 0)::bigint as open, count(distinct d.id)::int as deliveries,
      coalesce(sum(p.pending + p.deferred) filter (where p.owner <> '' and p.lease_until > now()), 0)::bigint as claimed
    from delivery d join part p on p.delivery_id = d.id and p.due_at is not null and p.domain = ${domain}
    where d.state in ('ready', 'sending', 'paused')`;
  return row ?? { open: 0, claimed: 0, deliveries: 0 };
}
