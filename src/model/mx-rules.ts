/**
 * MX rules: masks over exchanger names, and the limits of whatever matches. First match wins; `*` is the last one. Where the values come
 * from is kept with them, so that `explain` can say it. Reading them from files is src/config/mx-rules-file.ts.
 */
import { type Mask, compileMasks } from "./mask.ts";
import type { Limits } from "./traffic.ts";

/** `ops/rules/mx.yaml:12`, `settings stat.rules[0]`, `built in`. */
export type Origin = string;

export interface MxRule {
  /** Unique among all rules. */
  readonly id: string;
  /** Masks over the exchanger's name, lower case, with * and ?; one of them must match. */
  readonly mx: readonly string[];
  /** Range of public ids, both included; null: all. */
  readonly publicIds: readonly [number, number] | null;
  readonly limits: Limits;
  /** Where the rule stands, and for each limit where its value comes from (the rule, the layer over it, the defaults). */
  readonly origin: Origin;
  readonly origins: Readonly<Partial<Record<keyof Limits, Origin>>>;
  readonly note: string;
}

/** In order of precedence; the last one matches everything. Never changed: new rules are a new array. */
export type MxRules = readonly MxRule[];

export type LimitValues = Omit<Limits, "rule">;
export type LimitName = keyof LimitValues;

/**
 * What holds where nobody said anything: a few connections to each exchanger, as a careful mail server opens them to strangers (Postfix's
 * default is 20 to a destination, those of receivers are mostly 10 to 50 for all of one client).
 */
export const BUILT_IN: LimitValues = {
  scope: "ip",
  connections: 10,
  messagesPerConnection: 100,
  messagesPerMinute: 0,
  messagesPerHour: 0,
  messagesPerDay: 0,
  bytesPerSecond: 0,
  pacing: "periods",
  tls: "opportunistic",
  connectMs: 0,
  dataMs: 0,
  replyMs: 0,
};

/** In the order people read them. */
export const LIMIT_NAMES = Object.keys(BUILT_IN) as readonly LimitName[];

/** The rule that is there without any file. Its scope is the path: exchangers that have nothing in common share nothing. */
export function builtInRule(id: string): MxRule {
  const limits: Limits = { rule: id, ...BUILT_IN, scope: "path" };
  return {
    id,
    mx: ["*"],
    publicIds: null,
    limits,
    origin: "built in",
    origins: Object.fromEntries(LIMIT_NAMES.map((name) => [name, "built in"])),
    note: "For every exchanger that no other rule is for.",
  };
}

/** Whether the mask matches every exchanger. */
export function isEverything(mask: string): boolean {
  return /^\*+$/.test(mask);
}

/** Whether the rule is for everything. */
export function isCatchAll(rule: Pick<MxRule, "mx" | "publicIds">): boolean {
  return rule.publicIds === null && rule.mx.some(isEverything);
}

interface Lookup {
  readonly rules: readonly { readonly matches: Mask; readonly rule: MxRule }[];
  /** By exchanger: the rules that match it, up to the first one for all public ids. */
  readonly known: Map<string, readonly MxRule[]>;
}

/** A large newsletter meets a hundred thousand exchangers; to look one up anew costs some microseconds, to keep it some hundred octets. */
const KNOWN_MOST = 20_000;
const LAST = builtInRule("*");
const lookups = new WeakMap<MxRules, Lookup>();

/** The first rule for this exchanger from this public id. Masks are compiled, and exchangers remembered, once for an array of rules. */
export function matchRule(rules: MxRules, mx: string, publicId: number): MxRule {
  let lookup = lookups.get(rules);
  if (lookup === undefined) {
    lookup = { rules: rules.map((rule) => ({ matches: compileMasks(rule.mx), rule })), known: new Map() };
    lookups.set(rules, lookup);
  }
  const found = lookup.known.get(mx) ?? remember(lookup, mx);
  for (const rule of found) {
    const range = rule.publicIds;
    if (range === null || (publicId >= range[0] && publicId <= range[1])) return rule;
  }
  return LAST;
}

function remember({ rules, known }: Lookup, mx: string): readonly MxRule[] {
  const found: MxRule[] = [];
  for (const { matches, rule } of rules) {
    if (!matches(mx)) continue;
    found.push(rule);
    if (rule.publicIds === null) break;
  }
  if (known.size >= KNOWN_MOST) known.clear();
  known.set(mx, found);
  return found;
}
