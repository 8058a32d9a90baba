/** What TLS came to, counted by day, recipient domain, exchanger and result: for the reports of RFC 8460. Written in batches. */
import type { TlsPolicyType, TlsResult, TlsResultType } from "../model/tls-result.ts";
import type { Sql } from "./sql.ts";

/** Adds to the counts. Each key once in a batch. */
export async function addTlsResults(sql: Sql, results: readonly TlsResult[]): Promise<void> {
  if (results.length === 0) return;
  // In the order of the key: two machines that write the same rows at once must not wait for each other in a circle.
  await sql`
    insert into tls_result as t (day, domain, policy_type, policy, mx, sending_ip, receiving_ip, result, sessions, last_reason)
    select day::date, domain, policy_type, policy, mx, sending_ip, receiving_ip, result, sessions, reason
    from unnest(
      ${results.map((r) => r.day)}::text[], ${results.map((r) => r.domain)}::text[], ${results.map((r) => r.policyType)}::text[],
      ${results.map((r) => r.policy)}::text[], ${results.map((r) => r.mx)}::text[], ${results.map((r) => r.sendingIp)}::text[],
      ${results.map((r) => r.receivingIp)}::text[], ${results.map((r) => r.result)}::text[], ${results.map((r) => r.sessions)}::int[],
      ${results.map((r) => r.reason)}::text[]
    ) as n (day, domain, policy_type, policy, mx, sending_ip, receiving_ip, result, sessions, reason)
    order by day, domain, policy_type, mx, sending_ip, receiving_ip, result
    on conflict (day, domain, policy_type, mx, sending_ip, receiving_ip, result) do update
      set sessions = t.sessions + excluded.sessions, policy = excluded.policy, last_reason = excluded.last_reason`;
}

interface Row {
  day: string;
  domain: string;
  policy_type: TlsPolicyType;
  policy: string;
  mx: string;
  sending_ip: string;
  receiving_ip: string;
  result: TlsResultType;
  sessions: number;
  last_reason: string;
}

/** All results of a day (UTC, `2026-01-31`) for a recipient domain. */
export async function tlsResults(sql: Sql, day: string, domain: string): Promise<TlsResult[]> {
  const rows = await sql<Row[]>`
    select day::text as day, domain, policy_type, policy, mx, sending_ip, receiving_ip, result, sessions, last_reason
    from tls_result where day = ${day}::text::date and domain = ${domain}
    order by policy_type, mx, sending_ip, receiving_ip, result`;
  return rows.map((row) => ({
    day: row.day,
    domain: row.domain,
    policyType: row.policy_type,
    policy: row.policy,
    mx: row.mx,
    sendingIp: row.sending_ip,
    receivingIp: row.receiving_ip,
    result: row.result,
    sessions: row.sessions,
    reason: row.last_reason,
  }));
}

/** Recipient domains with results of a day, those after `after` ('' to begin), in order. */
export async function tlsResultDomains(sql: Sql, day: string, after: string, limit: number): Promise<string[]> {
  const rows = await sql<{ domain: string }[]>`
    select distinct domain from tls_result
    where day = ${day}::text::date and domain > ${after} collate "C" order by domain limit ${limit}`;
  return rows.map(({ domain }) => domain);
}

/** Forgets days before `day`. How many rows. */
export async function dropTlsResults(sql: Sql, day: string): Promise<number> {
  const { count } = await sql`delete from tls_result where day < ${day}::text::date`;
  return count;
}
