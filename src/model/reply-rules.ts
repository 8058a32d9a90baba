/**
 * Rules on replies: which answers of an exchanger mean that we are too fast or not wanted, how many of them are too many, and what is done
 * then. First match wins; the rules that say "this is no trouble" (greylisting, a full mailbox) stand first. Replies are hostile text, so a
 * rule looks for plain pieces of text and masks, never for a regular expression. Reading them from files is src/config/reply-rules-file.ts,
 * obeying them src/stat/governor.ts.
 */
import { harmless } from "./harmless.ts";
import { type Mask, compileMasks } from "./mask.ts";
import type { Stage } from "./outcome.ts";
import { type Said, readSaid } from "./said.ts";
import { compileTextSearch } from "./text-search.ts";

/**
 * `ignore`: no trouble, and not counted as an error anywhere. `limits`: a second set of limits for a time. `stop`: nothing goes for a time.
 * `other-ip`: nothing goes from this public id to this site for a time; the other IPs of the affinity take over.
 */
export const REPLY_ACTIONS = ["ignore", "limits", "stop", "other-ip"] as const;
export type ReplyAction = (typeof REPLY_ACTIONS)[number];

/** Whom it counts for and stops: one site × public id, a site from all our IPs, a public id at all sites. */
export const REPLY_SCOPES = ["pair", "site", "ip"] as const;
export type ReplyScope = (typeof REPLY_SCOPES)[number];

/** Of each list one must match; an empty list matches everything. Not all of them are empty. */
export interface ReplyMatch {
  /** Masks over the three digits: `421`, `4??`; `000` is a connection that failed. */
  readonly codes: readonly string[];
  /** Masks over the enhanced code: `4.7.28`, `?.7.*`. */
  readonly enhanced: readonly string[];
  /** Pieces of the text, letter case not counted; `*` in one: what stands before it, and somewhere after that what stands behind it. */
  readonly texts: readonly string[];
  /** Masks over the exchanger's name. */
  readonly mx: readonly string[];
  readonly stages: readonly Stage[];
}

/** So many in the window, and that share of the attempts, of at least so many attempts, at so many sites. */
export interface ReplyThreshold {
  readonly count: number;
  /** 0: the count alone decides. */
  readonly share: number;
  /** Attempts below which a share says nothing. */
  readonly attempts: number;
  /** Different sites that must have said so: one site alone cannot stop a public id everywhere. */
  readonly sites: number;
  readonly windowMs: number;
}

/** A value, or a share of the normal one. 0 for a value: as it is. */
export interface Amount {
  readonly share: number;
  readonly value: number;
}

/** The second set of limits; what is { share: 1, value: 0 } stays as the MX rule has it. */
export interface BackOffLimits {
  readonly connections: Amount;
  readonly messagesPerConnection: Amount;
  readonly messagesPerMinute: Amount;
  readonly messagesPerHour: Amount;
}

/** What is done, and how one comes out of it again. */
export interface Remedy {
  readonly action: Exclude<ReplyAction, "ignore">;
  readonly limits: BackOffLimits;
  readonly durationMs: number;
  /** Every time the probe is bad the duration doubles, up to this. */
  readonly mostMs: number;
  /** Messages of the half-open probe, over one connection. */
  readonly probe: number;
  /** How long each step of the ramp must go well. */
  readonly stepMs: number;
}

export interface ReplyRule {
  readonly id: string;
  readonly match: ReplyMatch;
  readonly threshold: ReplyThreshold;
  readonly scope: ReplyScope;
  /** null: `ignore`. */
  readonly remedy: Remedy | null;
  /** Replies this rule is for, as they come: `421 4.7.28 Our system …`. Proven by `checkReplyRules`. */
  readonly examples: readonly string[];
  /** `ops/rules/replies.yaml:12`. */
  readonly origin: string;
  readonly note: string;
}

/** In order of precedence. Never changed: new rules are a new array. */
export type ReplyRules = readonly ReplyRule[];

export interface Reply extends Said {
  readonly stage: string;
  readonly mx: string;
}

/** Longest text that is looked at: a report has 300 characters (quota/messages.ts). */
const TEXT_MOST = 1000;

/** Finds the first rule for a reply; null for none. Throws a RangeError when there are more texts than one search takes. */
export function compileReplyRules(rules: ReplyRules): (reply: Reply) => ReplyRule | null {
  const texts: string[] = [];
  const compiled = rules.map((rule) => ({ rule, matches: compileMatch(rule.match, texts) }));
  const search = compileTextSearch(texts);
  return (reply) => {
    const folded: Folded = {
      code: String(Number.isInteger(reply.code) && reply.code > 0 ? reply.code : 0).padStart(3, "0"),
      enhanced: reply.enhanced.slice(0, 16),
      has: search(fold(reply.text)).has,
      mx: reply.mx.slice(0, 255).toLowerCase(),
      stage: reply.stage,
    };
    return compiled.find(({ matches }) => matches(folded))?.rule ?? null;
  };
}

interface Folded {
  readonly code: string;
  readonly enhanced: string;
  /** Whether the text of this number is in the reply's. */
  readonly has: (text: number) => boolean;
  readonly mx: string;
  readonly stage: string;
}

const fold = (text: string): string => harmless(text, TEXT_MOST).toLowerCase();

/** `searched`: the texts of all rules, to which this one adds its own. */
function compileMatch(match: ReplyMatch, searched: string[]): (reply: Folded) => boolean {
  const any = (masks: readonly string[]): Mask => (masks.length === 0 ? () => true : compileMasks(masks));
  const codes = any(match.codes);
  const enhanced = any(match.enhanced);
  const mx = any(match.mx);
  const stages = new Set<string>(match.stages);
  const texts = match.texts.map((text) => searched.push(fold(text)) - 1);
  return (reply) =>
    codes(reply.code) &&
    enhanced(reply.enhanced) &&
    (stages.size === 0 || stages.has(reply.stage)) &&
    mx(reply.mx) &&
    (texts.length === 0 || texts.some(reply.has));
}

/** An example as it stands in a rule: code, enhanced code and text; exchanger and stage are the first ones the rule names. */
export function exampleReply(example: string, match: ReplyMatch): Reply {
  const mx = match.mx[0] ?? "mx.example.net";
  return {
    ...readSaid(example),
    stage: match.stages[0] ?? "mail",
    mx: mx.replaceAll("*", "mx1").replaceAll("?", "1"),
  };
}

/**
 * What is wrong with the rules, each sentence with where it stands; none for nothing. Every example must be taken by its own rule, or by
 * one of `over`: rules of an operator that stand over those that come along.
 */
export function checkReplyRules(rules: ReplyRules, over: ReadonlySet<string> = new Set()): string[] {
  const problems: string[] = [];
  const find = compileReplyRules(rules);
  const seen = new Set<string>();
  for (const rule of rules) {
    const say = (text: string): void => void problems.push(`${rule.origin}: rule ${rule.id}: ${text}`);
    if (seen.has(rule.id)) say("there is another rule of this name");
    seen.add(rule.id);
    for (const text of ruleProblems(rule)) say(text);
    if (rule.examples.length === 0) say("has no example of a reply it is for");
    for (const example of rule.examples) {
      const taken = find(exampleReply(example, rule.match));
      if (taken === rule || (taken !== null && over.has(taken.id))) continue;
      const by = taken === null ? "matches no rule" : `is taken by rule ${taken.id} (${taken.origin})`;
      say(`its example ${by}: ${harmless(example, 100)}`);
    }
  }
  return problems;
}

const SHORTEST_TEXT = 4;
const HOUR_MS = 3_600_000;

function ruleProblems({ match, threshold, scope, remedy }: ReplyRule): string[] {
  const problems: string[] = [];
  const said = [match.codes, match.enhanced, match.texts].some((list) => list.length > 0);
  if (!said) problems.push("matches every reply: name codes, enhanced codes or texts");
  for (const text of match.texts) {
    if (text.replaceAll("*", "").trim().length < SHORTEST_TEXT)
      problems.push(`text ${JSON.stringify(text)} is in nearly every reply: at least ${SHORTEST_TEXT} characters`);
  }
  if (remedy === null) return problems;
  if (scope === "ip" && threshold.sites < 2)
    problems.push("scope ip needs threshold.sites of at least 2: else one site could stop a public id everywhere");
  if (remedy.action === "limits" && scope !== "pair")
    problems.push("limits count by site × public id: scope must be pair");
  if (remedy.action === "other-ip" && scope !== "pair")
    problems.push("other-ip is about one site × public id: scope must be pair");
  if (
    remedy.action === "limits" &&
    Object.values(remedy.limits).every((amount: Amount) => amount.share === 1 && amount.value === 0)
  )
    problems.push("action limits names no limit");
  if (threshold.windowMs > 6 * HOUR_MS) problems.push("the window is longer than 6h");
  if (threshold.share > 0 && threshold.windowMs > HOUR_MS) problems.push("with a share the window is at most 1h");
  if (remedy.mostMs < remedy.durationMs) problems.push("most is shorter than duration");
  return problems;
}
