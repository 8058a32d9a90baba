/** What turns the state of a delivery without a command: its time has come, or all of it is done. */
import type { Sql } from "./sql.ts";

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
