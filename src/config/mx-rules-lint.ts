/**
 * What is allowed in MX rules and hardly meant: rules that can never match, limits that contradict each other, masks that are no names of
 * exchangers. Looks at the rules as they are in force, so that what two files do to each other is seen too.
 */
import { maskCovers } from "../model/mask.ts";
import { type MxRule, type MxRules, type Origin, isCatchAll, isEverything } from "../model/mx-rules.ts";

export interface RuleFinding {
  /** `error`: refused. `warning`: hardly meant. `note`: to know. */
  readonly severity: "error" | "warning" | "note";
  /** `file:line`; '' when the text says it. */
  readonly at: Origin;
  /** Id of the rule, '' for none. */
  readonly rule: string;
  readonly text: string;
}

type Say = (severity: RuleFinding["severity"], at: Origin, text: string) => void;

/** Periods of an hourly quota. */
const PERIODS = 12;

/** `layerOf`: index of the source a rule stands in, 0 the topmost. */
export function lintMxRules(rules: MxRules, layerOf: (id: string) => number): RuleFinding[] {
  const findings: RuleFinding[] = [];
  for (const rule of rules) {
    const say: Say = (severity, at, text) =>
      void findings.push({ severity, at, rule: rule.id, text: `${rule.id}: ${text}` });
    lintMasks(rule, say);
    lintLimits(rule, say);
  }
  lintOrder(rules, layerOf, findings);
  return findings;
}

/** Domains of recipients that people write where the exchanger's name is meant. */
const DOMAINS: Readonly<Record<string, string>> = {
  "gmail.com": "*.google.com",
  "googlemail.com": "*.google.com",
  "outlook.com": "*.olc.protection.outlook.com",
  "hotmail.com": "*.olc.protection.outlook.com",
  "hotmail.fr": "*.olc.protection.outlook.com",
  "live.com": "*.olc.protection.outlook.com",
  "msn.com": "*.olc.protection.outlook.com",
  "yahoo.com": "*.yahoodns.net",
  "yahoo.fr": "*.yahoodns.net",
  "aol.com": "*.yahoodns.net",
  "icloud.com": "*.mail.icloud.com",
  "me.com": "*.mail.icloud.com",
  "orange.fr": "smtp-in.orange.fr",
  "wanadoo.fr": "smtp-in.orange.fr",
  "free.fr": "mx*.free.fr",
  "gmx.de": "*.gmx.net",
  "gmx.net": "*.gmx.net",
  "web.de": "*.web.de",
  "t-online.de": "*.t-online.de",
  "comcast.net": "*.comcast.net",
};

function lintMasks(rule: MxRule, say: Say): void {
  for (const mask of rule.mx) {
    if (isEverything(mask)) continue;
    const exchanger = DOMAINS[mask];
    if (exchanger !== undefined) {
      say(
        "warning",
        rule.origin,
        `${mask} is a domain of recipients; masks are for names of exchangers, here ${exchanger}`,
      );
    } else if (!/[.:]/.test(mask)) {
      say(
        "warning",
        rule.origin,
        `${mask} has no dot: it is no name of an exchanger${mask.includes("*") ? ", or that of anybody's" : ""}`,
      );
    } else if (/^\*[a-z0-9]/.test(mask) && !/[*?]/.test(mask.slice(1))) {
      say(
        "warning",
        rule.origin,
        `${mask} matches not${mask.slice(1)} too; write *.${mask.slice(1)} for what lies below it`,
      );
    }
  }
}

function lintLimits({ mx, limits, origin, origins }: MxRule, say: Say): void {
  const { messagesPerMinute: minute, messagesPerHour: hour, messagesPerDay: day } = limits;
  const at = (name: keyof typeof origins): Origin => origins[name] ?? origin;
  if (hour > 0 && day > 0 && hour > day)
    say(
      "warning",
      at("messagesPerHour"),
      `${hour} messages an hour, but only ${day} a day: the day is used up in its first hour`,
    );
  if (minute > 0 && hour > 0 && minute > hour)
    say("warning", at("messagesPerMinute"), `${minute} messages a minute, but only ${hour} an hour`);
  if (minute > 0 && hour > minute * 60)
    say(
      "warning",
      at("messagesPerHour"),
      `${hour} messages an hour are never reached with ${minute} a minute (${minute * 60} an hour)`,
    );
  if (hour > 0 && day > hour * 24)
    say(
      "warning",
      at("messagesPerDay"),
      `${day} messages a day are never reached with ${hour} an hour (${hour * 24} a day)`,
    );
  if (hour > 0 && hour < PERIODS)
    say(
      "warning",
      at("messagesPerHour"),
      `${hour} messages an hour are less than one in each of its ${PERIODS} periods: some give none`,
    );
  if (limits.bytesPerSecond > 0 && limits.bytesPerSecond < 1000)
    say(
      "warning",
      at("bytesPerSecond"),
      `${limits.bytesPerSecond} octets a second: a message of 60 kB takes a minute and more`,
    );
  if (limits.connections > 500)
    say("warning", at("connections"), `${limits.connections} connections at once: no large receiver allows so many`);
  for (const name of ["connectMs", "dataMs", "replyMs"] as const) {
    if (limits[name] > 0 && limits[name] < 1000)
      say("warning", at(name), `${name} is ${limits[name]} ms: milliseconds are meant, not seconds`);
  }
  if (limits.dataMs >= 1000 && limits.dataMs < 60_000)
    say(
      "warning",
      at("dataMs"),
      `dataMs is ${limits.dataMs} ms: given up so early, messages arrive twice (RFC 5321 §4.5.3.2.6: 10 minutes)`,
    );
  if (limits.tls === "required" && mx.some(isEverything))
    say(
      "warning",
      at("tls"),
      "tls required for every exchanger: mail to those without a valid certificate waits until it is too late",
    );
}

/** Rules that can never match, because others before them take all their exchangers for all their public ids. */
function lintOrder(rules: MxRules, layerOf: (id: string) => number, findings: RuleFinding[]): void {
  const hiddenBy = new Map<MxRule, MxRule[]>();
  rules.forEach((rule, i) => {
    const before = rules.slice(0, i);
    const hiders = coveredBy(rule, before);
    if (hiders === null) return;
    // One rule for everything hides many: that is one finding, not fifty.
    const all = hiders.find(isCatchAll);
    if (all !== undefined) return void hiddenBy.set(all, [...(hiddenBy.get(all) ?? []), rule]);
    const names = hiders.map(({ id, origin }) => `${id} (${origin})`).join(", ");
    const above = hiders.some(({ id }) => layerOf(id) < layerOf(rule.id));
    findings.push({
      severity: above ? "note" : "warning",
      at: rule.origin,
      rule: rule.id,
      text: above
        ? `${rule.id}: replaced by ${names}; to change only some of its limits give the other one the id ${rule.id}`
        : `${rule.id}: never matches, ${names} before it matches all of it`,
    });
  });
  for (const [rule, hidden] of hiddenBy) {
    findings.push({
      severity: "warning",
      at: rule.origin,
      rule: rule.id,
      text: `${rule.id}: is for every exchanger and hides ${hidden.length} after it: ${some(hidden)}; to change the last rule give it the id *`,
    });
  }
  rules.forEach((rule, i) => {
    const after = rules.slice(i + 1).filter((other) => !isCatchAll(other));
    if (rule.publicIds === null || !rule.mx.some(isEverything) || after.length === 0) return;
    const [first, last] = rule.publicIds;
    const ids = first === last ? `public id ${first}` : `public ids ${first} to ${last}`;
    findings.push({
      severity: "note",
      at: rule.origin,
      rule: rule.id,
      text: `${rule.id}: takes everything of ${ids}; ${after.length} rules after it are never asked for them: ${some(after)}`,
    });
  });
}

function some(rules: readonly MxRule[]): string {
  const shown = rules.slice(0, 5).map(({ id }) => id);
  return `${shown.join(", ")}${rules.length > shown.length ? " …" : ""}`;
}

/** The rules that together take everything of this one, or null. */
function coveredBy(rule: MxRule, before: readonly MxRule[]): MxRule[] | null {
  const hiders = new Set<MxRule>();
  const [from, to] = rule.publicIds ?? [0, Number.MAX_SAFE_INTEGER];
  for (const mask of rule.mx) {
    const wide = before
      .filter((other) => other.mx.some((one) => maskCovers(one, mask)))
      .toSorted((a, b) => (a.publicIds?.[0] ?? 0) - (b.publicIds?.[0] ?? 0));
    // From the first public id on, as far as they reach without a gap.
    let reached = from;
    for (const other of wide) {
      const [first, last] = other.publicIds ?? [0, Number.MAX_SAFE_INTEGER];
      if (first > reached || last < reached || reached > to) continue;
      hiders.add(other);
      reached = last + 1;
    }
    if (reached <= to) return null;
  }
  return [...hiders];
}
