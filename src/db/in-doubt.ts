/** What an operator decides about held messages: those whose final dot was written and whose answer nobody read. */
import { CHANNELS } from "./sql.ts";
import type { Sql } from "./sql.ts";
import { leafName } from "./volumes.ts";

/** `retry`: send them again (some arrive twice). `assume-sent`: take them as delivered (some may be lost). */
export type Resolution = "retry" | "assume-sent";

/**
 * Resolves every held message of a delivery in one transaction: rows, counters, events. How many; null: there is no such delivery.
 * A finished delivery that gets work again is sending again, with its validity counted anew.
 */
export async function resolveInDoubt(sql: Sql, deliveryId: number, resolution: Resolution): Promise<number | null> {
  return sql.begin(async (tx) => {
    const [delivery] = await tx<{ volume: number | null; state: string }[]>`
      select volume, state from delivery where id = ${deliveryId} for no key update`;
    if (delivery === undefined) return null;
    if (delivery.volume === null) return 0;
    const to = resolution === "retry" ? 0 : 2;
    // Parts are locked in order of id, as the recording of outcomes does it: whoever comes second waits, nobody deadlocks.
    const [row] = await tx<{ n: number }[]>`
      with held as materialized (
        select id, first_id, last_id from part where delivery_id = ${deliveryId} and in_doubt > 0 order by id for update
      ), changed as (
        update ${tx(leafName("message", delivery.volume))} m set status = ${to}, reason = null, due_at = null
        from held h where m.id between h.first_id and h.last_id and m.status = 7
        returning m.id, m.attempts, h.id as part
      ), counted as (
        update part p set in_doubt = p.in_doubt - c.n, pending = p.pending + case when ${to} = 0 then c.n else 0 end,
          sent = p.sent + case when ${to} = 2 then c.n else 0 end, due_at = case when ${to} = 0 then now() else p.due_at end
        from (select part, count(*)::int as n from changed group by part) c where p.id = c.part
      ), noted as (
        insert into ${tx(leafName("event", delivery.volume))} (message_id, type, attempt, reason)
        select id, 6, attempts, ${resolution} from changed
      )
      select count(*)::int as n from changed`;
    const resolved = row!.n;
    if (resolved > 0 && resolution === "retry" && delivery.state === "finished") {
      await tx`
        update delivery set state = 'sending', finished_at = null, deadline = least(now() + validity * interval '1 s', not_after)
        where id = ${deliveryId}`;
      await tx`select pg_notify(${CHANNELS.delivery}, ${`${deliveryId} sending`})`;
    }
    if (resolved > 0 && resolution === "retry") await tx`select pg_notify(${CHANNELS.work}, ${String(deliveryId)})`;
    return resolved;
  });
}
