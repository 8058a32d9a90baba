/** Addresses that get no mail. Kept in lower case (ASCII letters only, as PostgreSQL's collation "C" folds them), each once. */
import type { Sql } from "./sql.ts";

export interface Suppression {
  readonly address: string;
  readonly reason: string;
  readonly source: string;
  readonly note: string;
  readonly createdAt: Date;
  /** null: for ever. */
  readonly expiresAt: Date | null;
}

/** What a request may set. */
export interface SuppressionInput {
  readonly address: string;
  readonly reason: string;
  readonly source: string;
  readonly note: string;
  readonly expiresAt: Date | null;
}

const COLUMNS = ["address", "reason", "source", "note", "created_at", "expires_at"];

interface Row {
  address: string;
  reason: string;
  source: string;
  note: string;
  created_at: Date;
  expires_at: Date | null;
}

function suppression(row: Row): Suppression {
  return {
    address: row.address,
    reason: row.reason,
    source: row.source,
    note: row.note,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

/** In order of address, those after `after`; `search` is any piece of the address ('' for all). */
export async function listSuppressions(
  sql: Sql,
  page: { after: string; search: string; limit: number },
): Promise<Suppression[]> {
  const rows = await sql<Row[]>`
    select ${sql(COLUMNS)} from suppression
    where address > ${page.after} collate "C" and strpos(address, lower(${page.search}::text collate "C")) > 0
    order by address limit ${page.limit}`;
  return rows.map(suppression);
}

export async function findSuppression(sql: Sql, address: string): Promise<Suppression | null> {
  const rows = await sql<Row[]>`
    select ${sql(COLUMNS)} from suppression where address = lower(${address}::text collate "C")`;
  return rows[0] === undefined ? null : suppression(rows[0]);
}

/** Adds or replaces many, each address at most once in `inputs`; how many were new. */
export async function putSuppressions(sql: Sql, inputs: readonly SuppressionInput[]): Promise<number> {
  if (inputs.length === 0) return 0;
  const rows = await sql<{ added: boolean }[]>`
    insert into suppression (address, reason, source, note, expires_at)
    select distinct on (lower(i.address collate "C")) lower(i.address collate "C"), i.reason, i.source, i.note, i.expires_at
    from unnest(${inputs.map((i) => i.address)}::text[], ${inputs.map((i) => i.reason)}::text[], ${inputs.map((i) => i.source)}::text[],
      ${inputs.map((i) => i.note)}::text[], ${inputs.map((i) => i.expiresAt?.toISOString() ?? null)}::text[]::timestamptz[])
      with ordinality as i (address, reason, source, note, expires_at, n)
    order by lower(i.address collate "C"), i.n desc
    on conflict (address) do update set reason = excluded.reason, source = excluded.source, note = excluded.note, expires_at = excluded.expires_at
    returning (xmax = 0) as added`;
  return rows.filter((row) => row.added).length;
}

/** True when it was there. */
export async function deleteSuppression(sql: Sql, address: string): Promise<boolean> {
  const gone = await sql`delete from suppression where address = lower(${address}::text collate "C")`;
  return gone.count > 0;
}

/** All of them in order of address, in pages of 5,000 so that no transaction stays open while a slow client reads. */
export async function* exportSuppressions(sql: Sql): AsyncGenerator<Suppression[]> {
  let after = "";
  for (;;) {
    const page = await listSuppressions(sql, { after, search: "", limit: 5_000 });
    if (page.length === 0) return;
    yield page;
    after = page[page.length - 1]!.address;
  }
}
