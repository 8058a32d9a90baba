/** MTA-STS policies as they were fetched, for all machines and over restarts (RFC 8461 §5.1: a policy outlives whoever blocks its renewal). */
import type { Sql } from "./sql.ts";

export interface StoredPolicy {
  readonly domain: string;
  /** Of the TXT record it was fetched for. */
  readonly id: string;
  readonly body: string;
  /** Epoch ms. */
  readonly fetchedAt: number;
  readonly expiresAt: number;
}

interface Row {
  domain: string;
  policy_id: string;
  body: string;
  fetched_at: Date;
  expires_at: Date;
}

const stored = (row: Row): StoredPolicy => ({
  domain: row.domain,
  id: row.policy_id,
  body: row.body,
  fetchedAt: row.fetched_at.getTime(),
  expiresAt: row.expires_at.getTime(),
});

/**
 * Those that are in force at `now` and were fetched after `since` (epoch ms), oldest first, the newest `limit` of them. Larger ones than any
 * honest policy are not among them, only found by name: ten thousand of 64 KB would fill the memory.
 */
export async function loadPolicies(sql: Sql, since: number, now: number, limit: number): Promise<StoredPolicy[]> {
  const rows = await sql<Row[]>`
    select domain, policy_id, body, fetched_at, expires_at from mta_sts
    where fetched_at > ${new Date(since)} and expires_at > ${new Date(now)} and octet_length(body) <= 8192
    order by fetched_at desc limit ${limit}`;
  return rows.map(stored).reverse();
}

/** The policy of one domain, in force or not. */
export async function findPolicy(sql: Sql, domain: string): Promise<StoredPolicy | null> {
  const [row] = await sql<Row[]>`
    select domain, policy_id, body, fetched_at, expires_at from mta_sts where domain = ${domain}`;
  return row === undefined ? null : stored(row);
}

/** Keeps a policy unless a newer one is there. */
export async function savePolicy(sql: Sql, { domain, id, body, fetchedAt, expiresAt }: StoredPolicy): Promise<void> {
  await sql`
    insert into mta_sts (domain, policy_id, body, fetched_at, expires_at)
    values (${domain}, ${id}, ${body}, ${new Date(fetchedAt)}, ${new Date(expiresAt)})
    on conflict (domain) do update
      set policy_id = excluded.policy_id, body = excluded.body, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at
      where mta_sts.fetched_at <= excluded.fetched_at`;
}

/** Forgets what is no longer in force at `now`. How many. */
export async function dropExpiredPolicies(sql: Sql, now: number): Promise<number> {
  const { count } = await sql`delete from mta_sts where expires_at < ${new Date(now)}`;
  return count;
}
