/**
 * Bounce rules: what a failure means, from what was said about it. One table for replies in the SMTP dialogue and for mail that comes back;
 * the first rule that matches wins, so what a text says plainly stands before what only a code says. What is said is hostile: rules look
 * for pieces of text and masks, never for regular expressions, and all texts of all rules are found in one pass. Reading them from files is
 * src/config/bounce-rules-file.ts, proving them bounce-rules-check.ts.
 */
import { createHash } from "node:crypto";
import { GAP_MOST, expandPattern, foldText } from "./bounce-text.ts";
import { type Mask, compileMasks } from "./mask.ts";
import type { Stage } from "./outcome.ts";
import type { Reason } from "./reason.ts";
import { type SaidSource, type Statement, enhancedIn } from "./said.ts";
import { PATTERNS_MOST, compileTextSearch, piecesOf } from "./text-search.ts";
import type { Verdict, VerdictScope, VerdictType } from "./verdict.ts";

/** What a rule that names no source is for. */
export const FAILURES: readonly SaidSource[] = ["reply", "bounce"];

/** Of each list one must match, of `all` every one, of `not` none; an empty list asks for nothing. */
export interface BounceMatch {
  /** Masks over the three digits: `550`, `4??`; `000`: there were none. */
  readonly codes: readonly string[];
  /** Masks over the enhanced code: `5.1.1`, `?.7.*`; it is '' when there was none. */
  readonly enhanced: readonly string[];
  /** Pieces of the text as `foldText` makes it; `*` for anything between, `(a|b)` for either. */
  readonly texts: readonly string[];
  readonly all: readonly string[];
  readonly not: readonly string[];
  /** Masks over the exchanger's name, of a mail that of the server it reports of, or the one that wrote it. */
  readonly mx: readonly string[];
  readonly stages: readonly Stage[];
  readonly sources: readonly SaidSource[];
}

export interface BounceRule {
  readonly id: string;
  readonly match: BounceMatch;
  readonly verdict: {
    readonly type: VerdictType;
    readonly reason: Reason;
    readonly scope: VerdictScope;
    readonly advice: string;
  };
  /** What it is for, as it comes: `550 5.1.1 No such user`. Proven by `checkBounceRules`. */
  readonly examples: readonly string[];
  /** `ops/rules/bounces.yaml:12`. */
  readonly origin: string;
  readonly note: string;
}

/** In order of precedence. Never changed: new rules are a new array. */
export type BounceRules = readonly BounceRule[];

export interface BounceTable {
  readonly rules: BounceRules;
  /** Eight hexadecimal digits that differ when the rules do. */
  readonly version: string;
  /** The first rule that matches, null for none. */
  find(said: Statement): BounceRule | null;
  /** Whether a rule stands behind the first that knows a code alone: it is for what nothing else is known of. */
  weak(rule: BounceRule): boolean;
  /** Of what no rule knows: soft, unreachable, rule ''. */
  readonly unknown: Verdict;
  /** The verdict of the rule that matches, or `unknown`. */
  judge(said: Statement): Verdict;
}

/** Whether a rule looks at the text: one that does not knows only what a code means in general. */
export function readsText({ match }: BounceRule): boolean {
  return match.texts.length > 0 || match.all.length > 0;
}

/** Throws a RangeError when there are more texts than one search takes. */
export function compileBounceRules(rules: BounceRules): BounceTable {
  const numbers = new Map<string, number>();
  /** Of each pattern: the rules it is a text of. */
  const rulesOf: number[][] = [];
  let size = 0;
  const numbersOf = (text: string): number[] =>
    expandPattern(text).map((pattern) => {
      const number = numbers.get(pattern) ?? numbers.size;
      if (number === numbers.size && (size += pattern.length) > PATTERNS_MOST)
        throw new RangeError(`with it all texts have more than ${PATTERNS_MOST} characters`);
      numbers.set(pattern, number);
      rulesOf[number] ??= [];
      return number;
    });
  const compiled = rules.map((rule, i) => {
    try {
      for (const number of rule.match.texts.flatMap(numbersOf)) rulesOf[number]?.push(i);
      return compileRule(rule, numbersOf);
    } catch (error) {
      throw new RangeError(`${rule.origin}: rule ${rule.id}: ${(error as Error).message}`, { cause: error });
    }
  });
  const search = compileTextSearch([...numbers.keys()], GAP_MOST);
  const version = rulesVersion(rules);
  /** Of each rule: the last statement that had a text of it. */
  const saidIn = new Int32Array(rules.length);
  let round = 0;

  function find(said: Statement): BounceRule | null {
    const seen: Seen = {
      code: String(Number.isInteger(said.code) && said.code > 0 ? said.code : 0).padStart(3, "0"),
      enhanced: said.enhanced.slice(0, 16) || enhancedIn(said.text, said.code),
      mx: said.mx.slice(0, 255).toLowerCase(),
      stage: said.stage,
      source: said.source,
    };
    const { has, found } = search(foldText(said.text));
    round = round === 0x7fff_ffff ? 1 : round + 1;
    if (round === 1) saidIn.fill(0);
    for (const number of found) for (const i of rulesOf[number] ?? []) saidIn[i] = round;
    for (let i = 0; i < compiled.length; i++) {
      const each = compiled[i] as Compiled;
      if ((!each.texts || saidIn[i] === round) && matches(each, seen, has)) return each.rule;
    }
    return null;
  }

  const unknown: Verdict = { ...UNKNOWN, version };
  const firstCode = rules.findIndex(
    ({ match }) => match.enhanced.length > 0 && match.texts.length + match.all.length === 0,
  );
  const last = new Set(firstCode < 0 ? [] : rules.slice(firstCode));
  return {
    rules,
    version,
    find,
    weak: (rule) => last.has(rule),
    unknown,
    judge(said) {
      const rule = find(said);
      return rule === null ? unknown : verdictOf(rule, version);
    },
  };
}

export function verdictOf(rule: BounceRule, version: string): Verdict {
  return { ...rule.verdict, rule: rule.id, byText: readsText(rule), version };
}

/** Until somebody has qualified it (spec modules.md §9.4): counted, and tried again. */
const UNKNOWN: Omit<Verdict, "version"> = {
  type: "soft",
  reason: "unreachable",
  scope: "recipient",
  advice: "No rule knows this text: qualify it.",
  rule: "",
  byText: false,
};

interface Seen {
  readonly code: string;
  readonly enhanced: string;
  readonly mx: string;
  readonly stage: string;
  readonly source: SaidSource;
}

interface Compiled {
  readonly rule: BounceRule;
  readonly sources: ReadonlySet<string>;
  /** Whether one of its texts must be there. */
  readonly texts: boolean;
  /** Of each text the patterns it stands for. */
  readonly all: readonly (readonly number[])[];
  readonly not: readonly number[];
  readonly codes: Mask | null;
  readonly enhanced: Mask | null;
  readonly mx: Mask | null;
  readonly stages: ReadonlySet<string> | null;
}

function compileRule(rule: BounceRule, numbersOf: (text: string) => number[]): Compiled {
  const { match } = rule;
  const masks = (list: readonly string[]): Mask | null => (list.length === 0 ? null : remembering(compileMasks(list)));
  return {
    rule,
    sources: new Set(match.sources.length === 0 ? FAILURES : match.sources),
    texts: match.texts.length > 0,
    all: match.all.map(numbersOf),
    not: match.not.flatMap(numbersOf),
    codes: masks(match.codes),
    enhanced: masks(match.enhanced),
    mx: match.mx.length === 0 ? null : compileMasks(match.mx),
    stages: match.stages.length === 0 ? null : new Set(match.stages),
  };
}

/** What costs least and fails most comes first. */
function matches(rule: Compiled, seen: Seen, has: (pattern: number) => boolean): boolean {
  return (
    rule.sources.has(seen.source) &&
    rule.all.every((patterns) => patterns.some(has)) &&
    (rule.codes === null || rule.codes(seen.code)) &&
    (rule.enhanced === null || rule.enhanced(seen.enhanced)) &&
    (rule.stages === null || rule.stages.has(seen.stage)) &&
    (rule.mx === null || rule.mx(seen.mx)) &&
    !rule.not.some(has)
  );
}

/** Codes are few: a mask is asked once for each. Bounded, because remotes make them up. */
function remembering(mask: Mask): Mask {
  const known = new Map<string, boolean>();
  return (text) => {
    let answer = known.get(text);
    if (answer === undefined) {
      answer = mask(text);
      if (known.size < 200) known.set(text, answer);
    }
    return answer;
  };
}

/** Examples, notes and places in files do not count: they decide nothing. */
function rulesVersion(rules: BounceRules): string {
  const hash = createHash("sha256");
  for (const { id, match, verdict } of rules) hash.update(JSON.stringify([id, match, verdict]));
  return hash.digest("hex").slice(0, 8);
}

/** The patterns of a text in pieces: to say that one is too short, or in another. */
export function piecesOfText(text: string): string[][] {
  return expandPattern(text).map(piecesOf);
}
