/** What turns the state of a delivery without a command: its time has come, or all of it is done. */
import type { AnySql, Sql } from "./sql.ts";

/** Starts the deliveries whose time has come. */
export async function startScheduled(sql: Sql): Promise<number[]> {
  const started = await sql<{ id: number }[]>`
    update delivery set state = 'sending' where state = 'ready' and (not_before is null or not_before <= now()) returning id`;
  return started.map((row) => row.id);
}

/**
 * Closes the deliveries that have no open part left and no upload at work; of those named, or of all. The ids of the closed.
 *
 * Whoever opens a part (a batch of an upload, a message in doubt that is sent again) holds the lock of the delivery's row. So it is looked
 * at twice: a statement that has waited for a lock still sees parts and uploads as they were before it waited; the one behind the lock
 * sees everything, and nobody can add to it.
 */
export async function finishDeliveries(sql: Sql, ids: readonly number[] | "all"): Promise<number[]> {
  const named = ids === "all" ? sql`true` : sql`d.id = any(${ids as number[]}::bigint[])`;
  const rows = await sql<{ id: number }[]>`select d.id from delivery d where ${named} and ${done(sql)}`;
  const found = rows.map((row) => row.id);
  if (found.length === 0) return [];
  return sql.begin(async (tx) => {
    await tx`select 1 from delivery where id = any(${found}::bigint[]) order by id for no key update`;
    const finished = await tx<{ id: number }[]>`
      update delivery d set state = 'finished', finished_at = now()
      where d.id = any(${found}::bigint[]) and ${done(tx)} returning d.id`;
    return finished.map((row) => row.id);
  });
}

/** A condition over delivery d. */
function done(sql: AnySql): ReturnType<Sql> {
  return sql`d.state = 'sending' and not exists (select 1 from part p where p.delivery_id = d.id and p.due_at is not null)
    and not exists (select 1 from upload u where u.delivery_id = d.id and u.alive_until > now())`;
}
