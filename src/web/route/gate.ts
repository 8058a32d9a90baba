/**
 * Who may call: bearer tokens, scopes, requests a second. A token that was found is believed for 5 s, so a revoked one stops working within
 * them and the database is not asked on every request. Tokens that are not found are never remembered; asking for them is rationed instead, so
 * a guesser costs us nothing. Redirection servers have no token: they show the secret they share with us, and it opens what is theirs only.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import type { ApiToken, Scope } from "../../db/tokens.ts";
import { openBuckets } from "../../http/buckets.ts";
import { Problem } from "../../http/problem.ts";

export interface Gate {
  /** The caller, entitled to `scope`. Throws Problem 401, 403, 429. */
  admit(authorization: string | undefined, scope: Scope): Promise<ApiToken>;
  /** A redirection server, by the tracking secret. Throws Problem 401. */
  admitServer(authorization: string | undefined): ApiToken;
}

/** A redirection server as a caller: it has no scope of the API. */
const SERVER: ApiToken = { id: 0, name: "redirection server", scopes: [] };

export interface GateOptions {
  readonly clock: Clock;
  readonly requestsPerSecond: number;
  find(token: string): Promise<ApiToken | null>;
  /** What redirection servers show; absent: none is let in. */
  readonly trackingSecret?: () => Buffer;
}

const BELIEVED_MS = 5_000;
const MOST_REMEMBERED = 1_000;

export function openGate(options: GateOptions): Gate {
  const { clock } = options;
  const calls = openBuckets(clock, options.requestsPerSecond);
  const guesses = openBuckets(clock, 20, 100);
  // The key is a hash: neither the tokens lie in memory nor does looking one up take a time that tells of another.
  const believed = new Map<string, { token: ApiToken; until: number }>();

  async function find(text: string): Promise<ApiToken | null> {
    const key = sha256(text).toString("base64");
    const known = believed.get(key);
    if (known !== undefined && known.until > clock.monotonic()) return known.token;
    believed.delete(key);
    const wait = known === undefined ? guesses.take("") : 0;
    if (wait > 0) throw new Problem(429, "too many unknown tokens are being tried", { retryAfter: wait });
    const token = await options.find(text);
    if (token === null) return null;
    if (believed.size >= MOST_REMEMBERED) believed.delete(believed.keys().next().value!);
    believed.set(key, { token, until: clock.monotonic() + BELIEVED_MS });
    return token;
  }

  return {
    async admit(authorization, scope) {
      const text = bearer(authorization);
      if (text === undefined) throw new Problem(401, "send a token: Authorization: Bearer <token>");
      const token = await find(text);
      if (token === null) throw new Problem(401, "the token is unknown or revoked");
      const wait = calls.take(String(token.id));
      if (wait > 0) {
        throw new Problem(429, `more than ${options.requestsPerSecond} requests a second`, { retryAfter: wait });
      }
      if (!token.scopes.includes(scope)) throw new Problem(403, `the token lacks the scope ${scope}`);
      return token;
    },
    admitServer(authorization) {
      const secret = options.trackingSecret?.();
      // Hashes: they are of one length, and how long comparing them takes tells nothing of the secret.
      const same =
        secret !== undefined && timingSafeEqual(sha256(bearer(authorization) ?? ""), sha256(secret.toString("utf8")));
      if (!same) throw new Problem(401, "this is for redirection servers: Authorization: Bearer <tracking secret>");
      return SERVER;
    },
  };
}

function bearer(authorization: string | undefined): string | undefined {
  return /^Bearer +([!-~]{1,200}) *$/i.exec(authorization ?? "")?.[1];
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
