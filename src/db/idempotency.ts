/**
 * `Idempotency-Key`: the key, the work and its answer are one transaction, so a crash leaves either all of them or nothing, and no key is
 * ever left "in progress". Who asks while the first request is at work learns it from an advisory lock that ends with the transaction.
 */
import type { AnySql, Sql } from "./sql.ts";

export interface IdempotentRequest {
  readonly tokenId: number;
  readonly key: string;
  /** SHA-256 of method, path and body. */
  readonly request: Uint8Array;
}

/** What the work came to: HTTP status and body, kept as they are. */
export interface StoredAnswer {
  readonly status: number;
  readonly answer: string;
}

export type Once =
  | { readonly kind: "done"; readonly status: number; readonly answer: string; readonly replayed: boolean }
  /** The key was used for another request. */
  | { readonly kind: "conflict" }
  /** The first request with this key is still at work. */
  | { readonly kind: "busy" };

/** Does `work` once a key; an answer is kept when `work` returns, and nothing at all when it throws. */
export async function once(
  sql: Sql,
  request: IdempotentRequest,
  work: (tx: AnySql) => Promise<StoredAnswer>,
): Promise<Once> {
  return sql.begin(async (tx): Promise<Once> => {
    const [lock] = await tx<{ mine: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended(${`${request.tokenId} ${request.key}`}, 7301)) as mine`;
    if (lock?.mine !== true) return { kind: "busy" };
    const [known] = await tx<{ same: boolean; status: number; answer: string }[]>`
      select request = ${request.request} as same, status, answer from idempotency
      where token_id = ${request.tokenId} and key = ${request.key} and status is not null`;
    if (known !== undefined) {
      if (!known.same) return { kind: "conflict" };
      return { kind: "done", status: known.status, answer: known.answer, replayed: true };
    }
    const { status, answer } = await work(tx);
    await tx`
      insert into idempotency (token_id, key, request, status, answer)
      values (${request.tokenId}, ${request.key}, ${request.request}, ${status}, ${answer})
      on conflict (token_id, key) do update set request = excluded.request, status = excluded.status, answer = excluded.answer`;
    return { kind: "done", status, answer, replayed: false };
  });
}

/** Forgets keys older than two days; how many. */
export async function forgetOldKeys(sql: Sql): Promise<number> {
  const gone = await sql`delete from idempotency where created_at < now() - interval '2 days'`;
  return gone.count;
}
