/**
 * Whose turn it is to count, and how far each log has been counted. The fence holds the epoch of who leads and the id of the next row: a batch is
 * committed only by the one and at the other (tracking-commit.ts), so nothing it was made from can be out of date.
 */
import type { AnySql, Sql } from "./sql.ts";

/** In the name of which epoch, and from which row on, something is to be committed. */
export interface Fence {
  readonly epoch: number;
  readonly nextId: number;
}

/** Puts the epoch of a new leader into the fence, behind what the one before may still be writing; null when a newer one is there. */
export async function raiseFence(sql: Sql, epoch: number): Promise<Fence | null> {
  const [row] = await sql<Fence[]>`
    insert into tracking_fence as f (id, epoch) values (1, ${epoch}::bigint)
    on conflict (id) do update set epoch = excluded.epoch where f.epoch <= excluded.epoch
    returning epoch, next_id as "nextId"`;
  return row ?? null;
}

/** The fence as it is when nothing is being written any more; null when it is another's. */
export async function readFence(sql: Sql, epoch: number): Promise<Fence | null> {
  const [row] = await sql<Fence[]>`select epoch, next_id as "nextId" from tracking_fence where id = 1 for share`;
  return row?.epoch === epoch ? row : null;
}

/** A log that is pulled from an address; where to go on in it: at 0 in one nobody has pulled yet. */
export async function attachLog(sql: AnySql, log: string, address: string): Promise<number> {
  const [row] = await sql<{ position: number }[]>`
    insert into tracking_source as s (log, address) values (${log}, ${address})
    on conflict (log) do update set address = excluded.address
    returning position`;
  return row!.position;
}

/** Goes back in a log to where it begins anew; false when it is not where it was thought to be, or somebody else leads. */
export async function turnBack(sql: AnySql, epoch: number, log: string, from: number, to: number): Promise<boolean> {
  const moved = await sql`
    update tracking_source set position = ${to}::bigint where log = ${log} and position = ${from}::bigint
      and exists (select from tracking_fence where id = 1 and epoch = ${epoch}::bigint)`;
  return moved.count > 0;
}

/** How far a log has been counted. */
export async function logPosition(sql: AnySql, log: string): Promise<number> {
  const [row] = await sql<{ position: number }[]>`select position from tracking_source where log = ${log}`;
  return row?.position ?? 0;
}

/** The log that was at an address last, '' when none is known. */
export async function logAt(sql: AnySql, address: string): Promise<string> {
  const [row] = await sql<{ log: string }[]>`select log from tracking_redirector where address = ${address}`;
  return row?.log ?? "";
}

export interface RedirectorState {
  readonly address: string;
  /** '' for what is known. */
  readonly log: string;
  readonly host: string;
  /** Why it does not answer, '' when it does. */
  readonly trouble: string;
}

/** Notes down that a redirection server answered, or why it does not. */
export async function noteRedirector(sql: AnySql, { address, log, host, trouble }: RedirectorState): Promise<void> {
  await sql`
    insert into tracking_redirector as r (address, log, host, trouble, answered_at)
    values (${address}, ${log}, ${host}, ${trouble}, case when ${trouble} = '' then now() end)
    on conflict (address) do update set
      log = coalesce(nullif(excluded.log, ''), r.log), host = coalesce(nullif(excluded.host, ''), r.host), trouble = excluded.trouble,
      answered_at = coalesce(excluded.answered_at, r.answered_at),
      since = case when (r.trouble = '') = (excluded.trouble = '') then r.since else now() end`;
}

/** Makes the leaves of table `tracking` for these months (first day, `YYYY-MM-01`). */
export async function makeMonths(sql: AnySql, months: readonly string[]): Promise<void> {
  await sql`select tracking_month(m::date) from unnest(${months as string[]}::text[]) m`;
}
