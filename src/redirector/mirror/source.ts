/**
 * Where a mirror page comes from: the cache while it is young; else web, asked once at a time for each message and not for too many at once; and when
 * web does not answer, the cache again however old it is. After a failure web is left alone for a moment, so that readers do not wait
 * for it one after the other.
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { HttpAnswer, HttpClient } from "../../http/client.ts";
import type { MirrorCache, MirrorPage } from "./cache.ts";

export type Mirror =
  | { readonly kind: "page"; readonly page: MirrorPage }
  /** `unknown`: web knows no such message (any more); `gone`: its delivery was stopped; `away`: nobody can say. */
  | { readonly kind: "unknown" | "gone" | "away" };

export interface MirrorSource {
  /** `token` is genuine, in lower case. Never rejects. */
  page(token: string): Promise<Mirror>;
}

export interface MirrorSourceOptions {
  readonly cache: MirrorCache;
  /** How long a cached page is shown without asking. */
  readonly youngMs: number;
  /** Base address of web. */
  readonly web: string;
  readonly secret: Buffer;
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly log: Log;
}

const FETCH_MS = 3_000;
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_FETCHES = 32;
/** How long web is left alone after it did not answer; at the most, after it said that it cannot. */
const PAUSE_MS = 2_000;

export function openMirrorSource(options: MirrorSourceOptions): MirrorSource {
  const { cache, clock, log, http } = options;
  /** Looked for at this moment: however many ask for one page, it is read once and stands in memory once. */
  const coming = new Map<string, Promise<Mirror>>();
  let fetching = 0;
  let awayUntil = 0;
  let away = false;

  async function fetch(token: string): Promise<Mirror> {
    if (clock.monotonic() < awayUntil || fetching >= MOST_FETCHES) return { kind: "away" };
    fetching++;
    try {
      return await ask(token);
    } finally {
      fetching--;
    }
  }

  async function ask(token: string): Promise<Mirror> {
    const answer = await http.ask({
      url: `${options.web}/v1/mirror/${token}`,
      headers: { authorization: `Bearer ${options.secret.toString("utf8")}`, accept: "text/html" },
      mostBytes: MOST_BYTES,
      timeoutMs: FETCH_MS,
    });
    const status = answer.kind === "answer" ? answer.status : 0;
    if (answer.kind === "answer" && status === 200 && isHtml(answer.headers)) {
      if (away) log.info({}, "web answers for mirror pages again");
      away = false;
      const page = { html: answer.body, ...factsOf(answer.headers) };
      await cache.put(token, page);
      return { kind: "page", page };
    }
    if (status === 404 || status === 410) {
      await cache.drop(token);
      return { kind: status === 404 ? "unknown" : "gone" };
    }
    awayUntil = clock.monotonic() + pauseOf(answer);
    if (!away) {
      const why = answer.kind === "answer" ? `status ${status}` : answer.text;
      log.warn({ why }, "web gives no mirror pages; those that are cached are shown");
    }
    away = true;
    return { kind: "away" };
  }

  async function find(token: string): Promise<Mirror> {
    const kept = await cache.get(token);
    if (kept !== null && clock.now() - kept.fetchedAt < options.youngMs) return { kind: "page", page: kept };
    const mirror = await fetch(token);
    return mirror.kind === "away" && kept !== null ? { kind: "page", page: kept } : mirror;
  }

  return {
    page(token) {
      let one = coming.get(token);
      if (one === undefined) {
        one = find(token).finally(() => coming.delete(token));
        coming.set(token, one);
      }
      return one;
    },
  };
}

/** Busy, it says how long it wants to be left alone (RFC 9110 §10.2.3); readers do not wait for it meanwhile. */
function pauseOf(answer: HttpAnswer): number {
  if (answer.kind !== "answer" || answer.status !== 503) return PAUSE_MS;
  const seconds = Number(answer.headers["retry-after"]);
  return seconds > 0 ? Math.min(seconds * 1000, PAUSE_MS) : 0;
}

function isHtml(headers: Readonly<Record<string, string>>): boolean {
  return /^text\/html\b/i.test(headers["content-type"] ?? "");
}

function factsOf(headers: Readonly<Record<string, string>>): Omit<MirrorPage, "html"> {
  const delivery = Number(headers["x-delivery"] ?? 0);
  const policy = headers["content-security-policy"] ?? "";
  return {
    delivery: Number.isSafeInteger(delivery) && delivery > 0 ? delivery : 0,
    policy: /^[ -~]{0,2000}$/.test(policy) ? policy : "",
    anonymous: headers["x-anonymous"] === "1",
  };
}
