/**
 * One source of MX rules, checked: a file (`defaults:` and `rules:`) or the list in the settings. Each rule keeps as it is written what it
 * gives, and the line of each of its fields. All that is wrong is collected, each thing with its place and the name that was meant.
 */
import { z } from "zod";
import { maskProblem } from "../model/mask.ts";
import { LIMIT_NAMES, type LimitName, type LimitValues, type Origin } from "../model/mx-rules.ts";
import { nearest } from "./nearest.ts";
import { mxRuleSchema } from "./stat-settings.ts";
import { type YamlPath, readYaml } from "./yaml.ts";

export interface RuleProblem {
  /** `file:line`, or `settings stat.rules[0]`; '' when the text says it. */
  readonly at: Origin;
  readonly text: string;
}

/** A rule as it is written: only what it gives. */
export interface WrittenRule {
  readonly id: string;
  /** Lower case; undefined: not given. */
  readonly mx: readonly string[] | undefined;
  /** null: all; undefined: not given. */
  readonly publicIds: readonly [number, number] | null | undefined;
  readonly note: string | undefined;
  readonly limits: Partial<LimitValues>;
  readonly origin: Origin;
  readonly origins: Partial<Record<LimitName, Origin>>;
}

/** One source of rules, its own rules in order. */
export interface RuleLayer {
  readonly name: string;
  readonly defaults: Partial<LimitValues>;
  readonly defaultOrigins: Partial<Record<LimitName, Origin>>;
  readonly rules: readonly WrittenRule[];
}

export type ReadLayer = { readonly layer: RuleLayer; readonly problems: readonly RuleProblem[] };

const { id: _id, mx: _mx, publicIds: _publicIds, note: _note, ...limitShape } = mxRuleSchema.shape;
const defaultsSchema = z.strictObject(limitShape);
const ROOT_NAMES = ["defaults", "rules"] as const;

/** The rules of a file's text. What is wrong is left out of the layer and told. */
export function readRuleText(text: string, file: string): ReadLayer {
  const nothing = { name: file, defaults: {}, defaultOrigins: {}, rules: [] };
  const read = readYaml(text, file);
  if ("problems" in read)
    return { layer: nothing, problems: read.problems.map((problem) => ({ at: "", text: problem })) };
  const { where } = read;
  const root = read.values ?? {};
  if (!isObject(root))
    return { layer: nothing, problems: [{ at: `${file}:1`, text: "rules are 'defaults:' and 'rules:'" }] };

  const problems: RuleProblem[] = [];
  for (const name of Object.keys(root)) {
    if (ROOT_NAMES.some((known) => known === name)) continue;
    problems.push({ at: where([name]), text: unknownName(name, name, ROOT_NAMES) });
  }
  const defaults = check(defaultsSchema, root["defaults"] ?? {}, ["defaults"], where, problems) ?? {};
  const given = root["rules"] ?? [];
  const list: readonly unknown[] = Array.isArray(given) ? given : [];
  if (!Array.isArray(given))
    problems.push({ at: where(["rules"]), text: "rules: is a list, each rule begins with '- '" });
  const rules = list.flatMap((rule, i) => readRule(rule ?? {}, ["rules", i], where, problems));
  return {
    layer: { name: file, ...limitsOf(defaults, ["defaults"], where, "defaults"), rules: unique(rules, problems) },
    problems,
  };
}

/** The rules of the settings, `stat.rules`. */
export function readSettingsRules(given: readonly unknown[]): ReadLayer {
  const problems: RuleProblem[] = [];
  const where = (path: YamlPath): Origin => `settings stat.rules[${path[1] ?? 0}]`;
  const rules = given.flatMap((rule, i) => readRule(rule, ["rules", i], where, problems));
  return {
    layer: { name: "settings stat.rules", defaults: {}, defaultOrigins: {}, rules: unique(rules, problems) },
    problems,
  };
}

type Where = (path: YamlPath) => Origin;

function readRule(given: unknown, path: YamlPath, where: Where, problems: RuleProblem[]): WrittenRule[] {
  const rule = check(mxRuleSchema, given, path, where, problems);
  if (rule === null) return [];
  const masks = typeof rule.mx === "string" ? [rule.mx] : rule.mx;
  let sound = true;
  const wrong = (name: string, text: string): void => {
    sound = false;
    problems.push({ at: where([...path, name]), text: `${named([...path, name])}: ${text}` });
  };
  for (const mask of masks ?? []) {
    const problem = maskProblem(mask);
    if (problem !== "") wrong("mx", `${JSON.stringify(mask)} ${problem}`);
  }
  const range = rule.publicIds === undefined ? undefined : readRange(String(rule.publicIds));
  if (typeof range === "string") wrong("publicIds", range);
  const id = rule.id ?? defaultId(masks, range);
  if (id === "") wrong("mx", "is missing: a rule has a mask, or the id of a rule under it");
  if (!sound || typeof range === "string") return [];
  const { defaults: limits, defaultOrigins: origins } = limitsOf(rule, path, where, "");
  const mx = masks?.map((mask) => mask.toLowerCase());
  return [{ id, mx, publicIds: range, note: rule.note, limits, origin: where(path), origins }];
}

/** The first mask; with its public ids when the rule is only for some. */
function defaultId(
  masks: readonly string[] | undefined,
  range: readonly [number, number] | null | string | undefined,
): string {
  const first = masks?.[0]?.toLowerCase() ?? "";
  if (first === "" || !Array.isArray(range)) return first;
  return `${first} ${range[0]}${range[1] === range[0] ? "" : `-${range[1]}`}`;
}

/** `5`, `1-10`, `all`; a sentence for what is none of these. */
function readRange(text: string): readonly [number, number] | null | string {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed.toLowerCase() === "all") return null;
  const match = /^(\d{1,9})(?:\s*-\s*(\d{1,9}))?$/.exec(trimmed);
  if (match === null) return `${JSON.stringify(text)} is neither a public id, nor a range such as 1-10, nor all`;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return last < first ? `${JSON.stringify(text)} ends before it begins` : [first, last];
}

function limitsOf(
  given: { readonly [Name in LimitName]?: LimitValues[Name] | undefined },
  path: YamlPath,
  where: Where,
  suffix: string,
): Pick<RuleLayer, "defaults" | "defaultOrigins"> {
  const names = LIMIT_NAMES.filter((name) => given[name] !== undefined);
  return {
    defaults: Object.fromEntries(names.map((name) => [name, given[name]])),
    defaultOrigins: Object.fromEntries(
      names.map((name) => [name, `${where([...path, name])}${suffix === "" ? "" : ` (${suffix})`}`]),
    ),
  };
}

/** Of two rules with one id in one source the first one stays. */
function unique(rules: readonly WrittenRule[], problems: RuleProblem[]): WrittenRule[] {
  const known = new Map<string, WrittenRule>();
  for (const rule of rules) {
    const first = known.get(rule.id);
    if (first === undefined) known.set(rule.id, rule);
    else
      problems.push({
        at: rule.origin,
        text: `the id ${rule.id} is that of ${first.origin} too: give it an id of its own`,
      });
  }
  return [...known.values()];
}

function check<T extends z.ZodObject>(
  schema: T,
  given: unknown,
  path: YamlPath,
  where: Where,
  problems: RuleProblem[],
): z.output<T> | null {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const at: YamlPath = [...path, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
    if (issue.code !== "unrecognized_keys") {
      problems.push({ at: where(at), text: `${named(at)}: ${issue.message}` });
      continue;
    }
    for (const name of issue.keys) {
      const text = unknownName(named([...at, name]), name, Object.keys(schema.shape));
      problems.push({ at: where([...at, name]), text });
    }
  }
  return null;
}

function unknownName(place: string, name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return `${place}: no such field; ${meant === "" ? `known here: ${known.join(", ")}` : `did you mean ${meant}?`}`;
}

function named(path: YamlPath): string {
  return path.reduce<string>(
    (before, step) => (typeof step === "number" ? `${before}[${step}]` : before === "" ? step : `${before}.${step}`),
    "",
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
