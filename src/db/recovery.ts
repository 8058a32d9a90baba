/**
 * Coming back after a crash: what an owner still holds, and messages held in doubt that a journal can now speak for.
 */
import type { ClaimedPart } from "./claims.ts";
import { doubtOpenMessages } from "./leases.ts";
import type { InDoubtPolicy } from "../model/delivery.ts";
import type { Sql } from "./sql.ts";
import { volumeOfId } from "./volumes.ts";

/** The parts this owner held when it ended, nobody having taken them over. */
export async function ownedParts(sql: Sql, owner: string): Promise<ClaimedPart[]> {
  const rows = await sql<
    { id: number; delivery_id: number; first_id: number; last_id: number; domain: string; epoch: number }[]
  >`select id, delivery_id, first_id, last_id, domain, epoch from part where owner = ${owner}`;
  return rows.map((row) => ({
    id: row.id,
    deliveryId: row.delivery_id,
    firstId: row.first_id,
    lastId: row.last_id,
    domain: row.domain,
    epoch: row.epoch,
    takenOver: false,
  }));
}

/** Puts every open, due message of these parts in doubt by its delivery's policy: the journal cannot be trusted to be complete. */
export async function doubtParts(sql: Sql, parts: readonly ClaimedPart[], why: string): Promise<void> {
  if (parts.length === 0) return;
  await sql.begin(async (tx) => {
    const policies = await tx<{ id: number; in_doubt: InDoubtPolicy }[]>`
      select id, in_doubt from delivery where id = any(${parts.map((p) => p.deliveryId)}::bigint[])`;
    const policy = new Map(policies.map((row) => [row.id, row.in_doubt]));
    for (const p of parts)
      await doubtOpenMessages(
        tx,
        { id: p.id, first_id: p.firstId, last_id: p.lastId },
        policy.get(p.deliveryId) ?? "hold",
        why,
      );
  });
}

/** A message of which a journal knows the end. */
export interface KnownEnd {
  readonly id: number;
  /** Number of the status: sent or failed. */
  readonly status: number;
  readonly reply: string;
}

/**
 * Settles messages that are held in doubt and whose end a journal knows; those in any other status are left as they are. Returns how many
 * were settled.
 */
export async function resolveHeld(sql: Sql, ends: readonly KnownEnd[]): Promise<number> {
  let settled = 0;
  for (const [volume, group] of Map.groupBy(ends, (e) => volumeOfId(e.id))) {
    const rows = await sql<{ settled: number }[]>`
      with input as (
        select * from unnest(${group.map((e) => e.id)}::bigint[], ${group.map((e) => e.status)}::int[], ${group.map((e) => e.reply)}::text[])
          as t (id, status, reply)
      ), changed as (
        update ${sql(`message_${volume}`)} m set status = i.status, reason = null from input i
        where m.id = i.id and m.status = 7 returning m.id, m.delivery_id, m.attempts, i.status, i.reply
      ), noted as (
        insert into ${sql(`event_${volume}`)} (message_id, type, attempt, reason, reply)
        select id, 6, attempts, 'journal', reply from changed
      ), counted as (
        update part p set in_doubt = p.in_doubt - c.n, sent = p.sent + c.sent, failed = p.failed + (c.n - c.sent)
        from (
          select p.id, count(*)::int as n, (count(*) filter (where c.status = 2))::int as sent
          from changed c join part p on p.delivery_id = c.delivery_id and c.id between p.first_id and p.last_id
          group by p.id
        ) c where p.id = c.id
      )
      select count(*)::int as settled from changed`;
    settled += rows[0]?.settled ?? 0;
  }
  return settled;
}
