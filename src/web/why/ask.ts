/**
 * Questions to the statistics server, as web and the command line ask them: never an exception, a few at a time, the same question of one
 * second asked once, and a server that is away not tried again by every request.
 */
import type { Clock } from "../../base/clock.ts";
import { told } from "../../base/exit.ts";
import { harmless } from "../../model/harmless.ts";
import type { SiteAnswer, SitesAnswer } from "../../quota/answers.ts";
import type { QueryName } from "../../quota/messages.ts";

/** One question; rejects when no server answers (src/quota/link/ask.ts). */
export type AskStat = (what: QueryName, args: Readonly<Record<string, unknown>>) => Promise<unknown>;

export type Asked<T> =
  | { readonly kind: "answer"; readonly data: T }
  /** No server answers. */
  | { readonly kind: "away"; readonly why: string }
  /** One does, and does not like the question. */
  | { readonly kind: "refused"; readonly why: string };

export interface StatAnswers {
  sites(args: Readonly<Record<string, unknown>>): Promise<Asked<SitesAnswer>>;
  /** By name. */
  site(site: string, publicIds: readonly number[]): Promise<Asked<SiteAnswer>>;
  /** By the exchangers of a domain. */
  siteOf(exchangers: readonly string[], publicIds: readonly number[]): Promise<Asked<SiteAnswer>>;
}

/** Questions at once: each is a connection to the server. */
const AT_ONCE = 8;
const WAITING = 500;
const KEPT_MS = 1_000;
const KEPT_MOST = 200;

export function openStatAnswers(askStat: AskStat | undefined, clock: Clock): StatAnswers {
  const kept = new Map<string, { readonly until: number; readonly asked: Promise<Asked<never>> }>();
  const waiting: (() => void)[] = [];
  let asking = 0;
  let awayUntil = 0;
  let awayWhy = "";

  async function turn(): Promise<boolean> {
    if (asking < AT_ONCE) asking++;
    else if (waiting.length >= WAITING) return false;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return true;
  }

  function done(): void {
    // The place goes to the next in line, or is free.
    const next = waiting.shift();
    if (next === undefined) asking--;
    else next();
  }

  async function ask(what: QueryName, args: Readonly<Record<string, unknown>>, list: string): Promise<Asked<never>> {
    if (askStat === undefined) return { kind: "away", why: "no statistics server is asked here" };
    if (!(await turn())) return { kind: "away", why: "too many questions to the statistics server at once" };
    try {
      if (awayUntil > clock.monotonic()) return { kind: "away", why: awayWhy };
      return read(await askStat(what, args), list);
    } catch (error) {
      awayUntil = clock.monotonic() + KEPT_MS;
      awayWhy = harmless(told(error).split("\n", 1)[0] ?? "");
      return { kind: "away", why: awayWhy };
    } finally {
      done();
    }
  }

  function once(what: QueryName, args: Readonly<Record<string, unknown>>, list: string): Promise<Asked<never>> {
    const key = `${what} ${JSON.stringify(args)}`;
    const now = clock.monotonic();
    const known = kept.get(key);
    if (known !== undefined && known.until > now) return known.asked;
    kept.delete(key);
    if (kept.size >= KEPT_MOST) kept.delete(kept.keys().next().value!);
    const asked = ask(what, args, list);
    kept.set(key, { until: now + KEPT_MS, asked });
    return asked;
  }

  return {
    sites: (args) => once("sites", args, "sites"),
    site: (site, publicIds) => once("site", { site, publicIds }, "holds"),
    siteOf: (exchangers, publicIds) => once("site", { exchangers, publicIds }, "holds"),
  };
}

/** A server of another version may answer something else: that is no answer. */
function read(data: unknown, list: string): Asked<never> {
  const fields = (typeof data === "object" && data !== null ? data : {}) as Readonly<Record<string, unknown>>;
  if (typeof fields["error"] === "string") return { kind: "refused", why: harmless(fields["error"]) };
  if (!Array.isArray(fields[list])) return { kind: "away", why: "the statistics server answers something else" };
  return { kind: "answer", data: data as never };
}
