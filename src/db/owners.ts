/**
 * Who holds the name of an mta, `<machine>/<slot>`: one identity at a time, seen alive within the length of a lease. All times are the
 * database's, so the clocks of the machines do not matter.
 */
import { Fault } from "../base/faults.ts";
import type { Sql } from "./sql.ts";

/**
 * Takes the name when it is free: nobody has it, this identity has it, or its holder was not seen for `leaseMs`. '' when it is ours; else a
 * sentence that says who has it and when that one was last seen.
 */
export async function claimOwner(sql: Sql, owner: string, identity: string, leaseMs: number): Promise<string> {
  const ours = await sql`
    insert into mta (owner, identity, seen_at) values (${owner}, ${identity}, now())
    on conflict (owner) do update set identity = excluded.identity, seen_at = excluded.seen_at
    where mta.identity = excluded.identity or mta.seen_at < now() - ${leaseMs} * interval '1 ms'
    returning owner`;
  if (ours.count > 0) return "";
  // Given back between the two statements: then it is free.
  return (await holderOf(sql, owner)) || (await claimOwner(sql, owner, identity, leaseMs));
}

/** Says that we are alive. Fault OWNER_TAKEN when another has the name by now: we were not seen for too long. */
export async function seenOwner(sql: Sql, owner: string, identity: string): Promise<void> {
  const ours = await sql`
    insert into mta (owner, identity, seen_at) values (${owner}, ${identity}, now())
    on conflict (owner) do update set seen_at = excluded.seen_at where mta.identity = excluded.identity
    returning owner`;
  const holder = ours.count > 0 ? "" : await holderOf(sql, owner);
  if (holder !== "") throw new Fault("OWNER_TAKEN", holder);
}

/** Gives the name back, if it is still ours. */
export async function releaseOwner(sql: Sql, owner: string, identity: string): Promise<void> {
  await sql`delete from mta where owner = ${owner} and identity = ${identity}`;
}

/** '' when nobody has it. */
async function holderOf(sql: Sql, owner: string): Promise<string> {
  const [row] = await sql<{ identity: string; seen_at: Date }[]>`
    select identity, seen_at from mta where owner = ${owner}`;
  if (row === undefined) return "";
  return `${owner} is the name of another process, of the identity ${row.identity}, last seen at ${row.seen_at.toISOString()}`;
}
