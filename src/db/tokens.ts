/**
 * API tokens: who may call the API, and what for. A token is 256 random bits and shown once; the database keeps its SHA-256 only, so
 * neither a dump nor a slow comparison gives one away.
 */
import { createHash, randomBytes } from "node:crypto";
import type { AnySql, Sql } from "./sql.ts";

/** What a token can allow. */
export const SCOPES = [
  "deliveries:read",
  "deliveries:write",
  "messages:read",
  "messages:write",
  "suppressions:read",
  "suppressions:write",
  "traffic:read",
  "traffic:write",
  "tracking:read",
  "tracking:write",
] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiToken {
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
}

export interface ListedToken extends ApiToken {
  /** Epoch ms. */
  readonly createdAt: number;
  /** null: in force. */
  readonly revokedAt: number | null;
}

const PREFIX = "pst_";
/** Number of our advisory lock, arbitrary and ours for ever. */
const LOCK = 0x746f6b65;

/** Makes a token; `token` is its text, which exists nowhere else. */
export async function createToken(
  sql: AnySql,
  name: string,
  scopes: readonly Scope[] = SCOPES,
): Promise<{ id: number; token: string }> {
  // The prefix lets secret scanners and people recognise what leaked.
  const token = PREFIX + randomBytes(32).toString("base64url");
  const [row] = await sql<{ id: number }[]>`
    insert into api_token (name, hash, scopes) values (${name}, ${hash(token)}, ${[...scopes]}) returning id`;
  return { id: row?.id ?? 0, token };
}

/** The very first token, with all scopes; null when there has ever been one. Of several machines one makes it. */
export async function createFirstToken(sql: Sql): Promise<string | null> {
  return sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${LOCK})`;
    const [row] = await tx<{ made: boolean }[]>`select exists (select from api_token) as made`;
    return row?.made ? null : (await createToken(tx, "first")).token;
  });
}

/** Whose token this is, or null when it is unknown or revoked. */
export async function findToken(sql: AnySql, token: string): Promise<ApiToken | null> {
  if (!token.startsWith(PREFIX) || token.length > 100) return null;
  const [row] = await sql<ApiToken[]>`
    select id, name, scopes from api_token where hash = ${hash(token)} and revoked_at is null`;
  return row ?? null;
}

/** All of them, oldest first. */
export async function listTokens(sql: AnySql): Promise<ListedToken[]> {
  return sql<ListedToken[]>`
    select id, name, scopes,
      (extract(epoch from created_at) * 1000)::bigint as "createdAt",
      (extract(epoch from revoked_at) * 1000)::bigint as "revokedAt"
    from api_token order by id`;
}

/** Ends a token for good; false when there is none in force with this id. */
export async function revokeToken(sql: AnySql, id: number): Promise<boolean> {
  const rows = await sql`update api_token set revoked_at = now() where id = ${id} and revoked_at is null returning id`;
  return rows.length === 1;
}

function hash(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
