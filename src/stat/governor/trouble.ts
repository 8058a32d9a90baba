/**
 * Reports and replies of the machines, counted: attempts and errors by site × public id (and by either alone), matching replies by rule.
 * Says which rule or breaker has reached its threshold. Everything in a report is hostile: a count that is none is 0, a name too long is
 * not counted, and all of it is bounded (tally.ts).
 */
import { harmless } from "../../model/harmless.ts";
import { said } from "../../model/said.ts";
import { type ReplyRule, type ReplyRules, compileReplyRules } from "../../model/reply-rules.ts";
import type { PathReport, ReplySample } from "../../quota/messages.ts";
import { type Tally, createTally } from "./tally.ts";

/** '' and null: all. */
export interface Where {
  readonly site: string;
  readonly publicId: number | null;
}

export interface Results {
  readonly site: string;
  readonly publicId: number;
  readonly mx: string;
  readonly accepted: number;
  /** Deferred and rejected, but not what a rule calls no trouble. */
  readonly errors: number;
  /** Cut off without an answer: what follows a message that is answered 421, as a rule. */
  readonly aborted: number;
}

export interface Match {
  readonly rule: ReplyRule;
  readonly site: string;
  readonly publicId: number;
  readonly count: number;
  /** Fit for people. */
  readonly text: string;
}

export interface Trigger extends Where {
  readonly rule: ReplyRule;
  readonly reason: string;
}

export interface Trouble {
  setRules(rules: ReplyRules): void;
  /** The longest time that attempts are asked for from now on. */
  setLongest(ms: number): void;
  /** Sums of a report by site × public id, and the replies that a rule is for. */
  read(
    report: readonly PathReport[],
    replies: readonly ReplySample[],
    now: number,
  ): { results: Results[]; matches: Match[] };
  /** Counts a match; what has reached its threshold by it. */
  count(match: Match, now: number): Trigger[];
  /** Attempts (of which some came to nothing else) and errors within a time. */
  attempts(where: Where, now: number, spanMs: number): { readonly tried: number; readonly errors: number };
  /** Attempts of the last hour at sites one of whose exchangers passes. */
  attemptsWhere(test: (site: string, mx: string, publicId: number) => boolean, now: number): number;
  /** Forgets the attempts of a place: what led to a measure is not counted against it again. */
  forget(where: Where): void;
  shift(delta: number): void;
  snapshot(now: number): unknown;
  restore(snapshot: unknown): void;
}

const HOUR = 3_600_000;
/** Of a pair, its site and its public id. */
const PAIRS_MOST = 30_000;
const MATCHED_MOST = 2000;
const COUNT_MOST = 1_000_000;
const SAMPLES_MOST = 5000;
const SITE_MOST = 1000;

export function keyOf({ site, publicId }: Where): string {
  return `${publicId ?? ""}|${site}`;
}

function countOf(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.min(COUNT_MOST, Math.floor(value)) : 0;
}

function isPlace({ site, publicId }: { readonly site: string; readonly publicId: number }): boolean {
  return (
    typeof site === "string" &&
    site !== "" &&
    site.length <= SITE_MOST &&
    Number.isSafeInteger(publicId) &&
    publicId >= 0
  );
}

/** `longestMs`: the longest time that attempts are asked for (the breaker's window). */
export function createTrouble(longestMs: number): Trouble {
  const attempts = createTally({ spanMs: Math.max(HOUR, longestMs), slots: 60, width: 2, most: PAIRS_MOST });
  let find = compileReplyRules([]);
  let matched = new Map<string, { windowMs: number; readonly tally: Tally }>();
  /** Of rules that count different sites: when each last said so, by rule and public id. */
  const saidAt = new Map<string, Map<string, number>>();

  function tallyOf(rule: ReplyRule): Tally {
    const { windowMs } = rule.threshold;
    let found = matched.get(rule.id);
    if (found === undefined) {
      found = { windowMs, tally: createTally({ spanMs: windowMs, slots: 12, width: 1, most: MATCHED_MOST }) };
      matched.set(rule.id, found);
    } else if (found.windowMs !== windowMs) {
      found.tally.resize(windowMs);
      found.windowMs = windowMs;
    }
    return found.tally;
  }

  function reached(rule: ReplyRule, where: Where, match: Match, now: number): Trigger[] {
    const { count, share, attempts: least, windowMs } = rule.threshold;
    const tally = tallyOf(rule);
    const key = keyOf(where);
    tally.add(key, now, [match.count]);
    const [replies = 0] = tally.sums(key, now);
    if (replies < count) return [];
    const [tried = 0] = share > 0 ? attempts.sums(key, now, windowMs) : [];
    if (share > 0 && (tried < least || replies < share * tried)) return [];
    tally.forget(key);
    const of = share > 0 ? ` of ${tried} attempts` : "";
    const reason = `${replies} such ${replies === 1 ? "reply" : "replies"}${of} within ${spanText(windowMs)}: ${match.text}`;
    return [{ ...where, rule, reason }];
  }

  /** Whether enough different sites said so; remembers this one. */
  function sitesReached(rule: ReplyRule, match: Match, now: number): boolean {
    const key = `${match.publicId}|${rule.id}`;
    const sites = saidAt.get(key) ?? new Map<string, number>();
    saidAt.set(key, sites);
    sites.delete(match.site);
    sites.set(match.site, now);
    for (const [site, at] of sites) {
      if (at > now - rule.threshold.windowMs && sites.size <= rule.threshold.sites) break;
      sites.delete(site);
    }
    const [oldest] = saidAt.keys();
    if (saidAt.size > MATCHED_MOST && oldest !== undefined) saidAt.delete(oldest);
    return sites.size >= rule.threshold.sites;
  }

  return {
    setRules(rules) {
      find = compileReplyRules(rules);
      const ids = new Set(rules.map(({ id }) => id));
      matched = new Map([...matched].filter(([id]) => ids.has(id)));
    },
    setLongest: (ms) => attempts.resize(Math.max(HOUR, ms)),
    read(report, replies, now) {
      const matches: Match[] = [];
      const excused = new Map<string, number>();
      for (const sample of replies.slice(0, SAMPLES_MOST)) {
        const count = countOf(sample.count);
        if (count === 0 || !isPlace(sample)) continue;
        const rule = find(sample);
        if (rule === null) continue;
        const { site, publicId } = sample;
        if (rule.remedy === null) {
          const key = keyOf(sample);
          excused.set(key, (excused.get(key) ?? 0) + count);
        } else {
          matches.push({ rule, site, publicId, count, text: harmless(said(sample, sample.stage), 200) });
        }
      }
      const results = new Map<string, Results & { readonly tried: number }>();
      for (const path of report) {
        if (!isPlace(path)) continue;
        const key = keyOf(path);
        const before = results.get(key);
        const accepted = countOf(path.accepted);
        const errors = countOf(path.deferred) + countOf(path.rejected);
        const aborted = countOf(path.aborted);
        results.set(key, {
          site: path.site,
          publicId: path.publicId,
          mx: path.mx,
          accepted: accepted + (before?.accepted ?? 0),
          errors: errors + (before?.errors ?? 0),
          aborted: aborted + (before?.aborted ?? 0),
          tried: Math.max(countOf(path.attempts), accepted + errors + aborted) + (before?.tried ?? 0),
        });
      }
      const clean: Results[] = [];
      for (const [key, result] of results) {
        const excuse = Math.min(result.errors, excused.get(key) ?? 0);
        const { site, publicId, mx, accepted, aborted } = result;
        const [errors, tried] = [result.errors - excuse, result.tried - excuse];
        if (tried === 0) continue;
        const counts = [tried, errors + aborted];
        attempts.add(key, now, counts, mx);
        attempts.add(keyOf({ site, publicId: null }), now, counts);
        attempts.add(keyOf({ site: "", publicId }), now, counts);
        clean.push({ site, publicId, mx, accepted, errors, aborted });
      }
      return { results: clean, matches };
    },
    count(match, now) {
      const { rule, site, publicId } = match;
      if (rule.scope === "site") return reached(rule, { site, publicId: null }, match, now);
      const triggers = reached(rule, { site, publicId }, match, now);
      if (rule.scope === "ip" && triggers.length > 0 && sitesReached(rule, match, now)) {
        saidAt.delete(`${publicId}|${rule.id}`);
        const reason = `${rule.threshold.sites} sites said so within ${spanText(rule.threshold.windowMs)}: ${match.text}`;
        triggers.push({ site: "", publicId, rule, reason });
      }
      return triggers;
    },
    attempts(where, now, spanMs) {
      const [tried = 0, errors = 0] = attempts.sums(keyOf(where), now, spanMs);
      return { tried, errors };
    },
    attemptsWhere(test, now) {
      let sum = 0;
      for (const [key, mx] of attempts.keys()) {
        const bar = key.indexOf("|");
        const site = key.slice(bar + 1);
        if (bar > 0 && site !== "" && test(site, mx, Number(key.slice(0, bar))))
          sum += attempts.sums(key, now, HOUR)[0] ?? 0;
      }
      return sum;
    },
    forget: (where) => attempts.forget(keyOf(where)),
    shift(delta) {
      attempts.shift(delta);
      for (const { tally } of matched.values()) tally.shift(delta);
      for (const sites of saidAt.values()) for (const [site, at] of sites) sites.set(site, at + delta);
    },
    snapshot: (now) => ({
      attempts: attempts.snapshot(now),
      matched: [...matched].map(([id, { windowMs, tally }]) => [id, windowMs, tally.snapshot(now)]),
      said: [...saidAt].map(([key, sites]) => [key, [...sites]]),
    }),
    restore(snapshot) {
      const saved = snapshot as { attempts?: unknown; matched?: unknown; said?: unknown } | null;
      attempts.restore(saved?.attempts);
      for (const one of arrays(saved?.matched)) {
        const [id, windowMs, of] = one;
        if (typeof id !== "string" || typeof windowMs !== "number" || !(windowMs > 0)) continue;
        const tally = createTally({ spanMs: windowMs, slots: 12, width: 1, most: MATCHED_MOST });
        tally.restore(of);
        matched.set(id, { windowMs, tally });
      }
      for (const [key, sites] of arrays(saved?.said).slice(0, MATCHED_MOST)) {
        const pairs = arrays(sites).filter(
          (pair): pair is [string, number] => typeof pair[0] === "string" && Number.isFinite(pair[1]),
        );
        if (typeof key === "string") saidAt.set(key, new Map(pairs));
      }
    },
  };
}

function arrays(value: unknown): unknown[][] {
  return Array.isArray(value) ? value.filter((one): one is unknown[] => Array.isArray(one)) : [];
}

export function spanText(ms: number): string {
  if (ms >= 2 * 86_400_000) return `${Math.round(ms / 86_400_000)} days`;
  if (ms >= 2 * HOUR || ms === HOUR) return `${Math.round((ms / HOUR) * 10) / 10} h`;
  return ms >= 60_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 1000)} s`;
}
