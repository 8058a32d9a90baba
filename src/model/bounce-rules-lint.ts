/**
 * Bounce rules that are of no use: one that can never match because earlier ones take everything it is for, and texts that add nothing. Found
 * by comparing what the rules ask for, with no text at hand; what cannot be told for certain is not told. Takes a second for a thousand texts,
 * so it is for people who check, not for a process that starts.
 */
import { type BounceRuleProblem, holds } from "./bounce-rules-check.ts";
import { type BounceMatch, type BounceRule, type BounceRules, FAILURES, piecesOfText } from "./bounce-rules.ts";
import { maskCovers } from "./mask.ts";

/** @param over ids of an operator's rules: what they take from one that came along is meant to be taken. */
export function lintBounceRules(rules: BounceRules, over: ReadonlySet<string> = new Set()): BounceRuleProblem[] {
  const earlier: Earlier[] = [];
  return rules.flatMap((rule) => {
    const asked = askedOf(rule.match);
    const found = neverUsed(asked, earlier).map(({ text, severity }) => ({
      severity,
      at: rule.origin,
      rule: rule.id,
      text,
    }));
    if (!over.has(rule.id)) earlier.push({ rule, asked });
    return found;
  });
}

/** A pattern in pieces. */
type Pieces = readonly string[];

/** What a rule asks for. Of `all`, each text is one of several patterns. */
interface Asked {
  readonly match: BounceMatch;
  readonly texts: readonly { readonly text: string; readonly pieces: Pieces }[];
  readonly all: readonly (readonly Pieces[])[];
}

function askedOf(match: BounceMatch): Asked {
  return {
    match,
    texts: match.texts.flatMap((text) => piecesOfText(text).map((pieces) => ({ text, pieces }))),
    all: match.all.map(piecesOfText),
  };
}

interface Earlier {
  readonly rule: BounceRule;
  readonly asked: Asked;
}

type Found = Pick<BounceRuleProblem, "text" | "severity">;

function neverUsed(own: Asked, earlier: readonly Earlier[]): Found[] {
  const wider = earlier.filter(({ asked }) => takesAtLeast(asked.match, own.match));
  // What is surely said when the rule matches: a text of `all` that stands for one pattern.
  const always = own.all.flatMap((patterns) => (patterns.length === 1 ? patterns : []));
  const takenBy = (said: readonly Pieces[]): BounceRule | undefined =>
    wider.find(({ asked }) => {
      const has = (pieces: Pieces): boolean => said.some((one) => holds(one, pieces));
      const one = asked.texts.length === 0 || asked.texts.some(({ pieces }) => has(pieces));
      return one && asked.all.every((patterns) => patterns.some(has));
    })?.rule;
  if (own.texts.length === 0) {
    const by = takenBy(always);
    return by === undefined ? [] : [never(by)];
  }
  const taken = own.texts.map(({ pieces }) => takenBy([pieces, ...always]));
  const [first] = taken;
  if (first !== undefined && taken.every((by) => by !== undefined)) return [never(first)];
  const found: Found[] = [];
  // A text of many patterns is told of once, and only when none of them is of use.
  for (const text of new Set(own.texts.map((each) => each.text))) {
    const mine = own.texts.flatMap((each, i) => (each.text === text ? [{ ...each, by: taken[i] }] : []));
    const by = mine.every((each) => each.by !== undefined) ? mine[0]?.by : undefined;
    if (by !== undefined) found.push(warning(`text ${JSON.stringify(text)} is taken by rule ${by.id} (${by.origin})`));
    const wide = own.texts.find(
      (other) => other.text !== text && mine.every(({ pieces }) => holds(pieces, other.pieces)),
    );
    if (wide !== undefined)
      found.push(warning(`text ${JSON.stringify(text)} adds nothing to ${JSON.stringify(wide.text)}`));
  }
  return found;
}

const warning = (text: string): Found => ({ severity: "warning", text });
const never = ({ id, origin }: BounceRule): Found => ({
  severity: "error",
  text: `can never match: rule ${id} (${origin}) takes all of it`,
});

/** Whether `wide` takes what `narrow` takes, their texts left aside. */
function takesAtLeast(wide: BounceMatch, narrow: BounceMatch): boolean {
  const within = (some: readonly string[], all: readonly string[]): boolean => some.every((one) => all.includes(one));
  const masks = (over: readonly string[], under: readonly string[]): boolean =>
    over.length === 0 || (under.length > 0 && under.every((mask) => over.some((one) => maskCovers(one, mask))));
  const sources = (match: BounceMatch): readonly string[] => (match.sources.length === 0 ? FAILURES : match.sources);
  return (
    within(sources(narrow), sources(wide)) &&
    masks(wide.codes, narrow.codes) &&
    masks(wide.enhanced, narrow.enhanced) &&
    masks(wide.mx, narrow.mx) &&
    (wide.stages.length === 0 || (narrow.stages.length > 0 && within(narrow.stages, wide.stages))) &&
    within(wide.not, narrow.not)
  );
}
