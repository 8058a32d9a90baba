/**
 * The MX rules in force, from three layers: the settings (`stat.rules`), the operator's file, the shipped ops/rules/mx.yaml. A rule with the
 * id of a rule under it changes the fields it gives, at that one's place; all other rules of a layer stand before those under it, in order.
 * What a rule does not give comes from the defaults of its own file, then from those of the files under it, then it is built in. Every
 * value keeps where it comes from.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Fault } from "../base/faults.ts";
import {
  BUILT_IN,
  LIMIT_NAMES,
  type LimitName,
  type LimitValues,
  type MxRule,
  type MxRules,
  builtInRule,
  isCatchAll,
} from "../model/mx-rules.ts";
import {
  type ReadLayer,
  type RuleLayer,
  type RuleProblem,
  type WrittenRule,
  readRuleText,
  readSettingsRules,
} from "./mx-rules-read.ts";
import { type RuleFinding, lintMxRules } from "./mx-rules-lint.ts";
import { nearest } from "./nearest.ts";
import type { StatSettings } from "./stat-settings.ts";

const SHIPPED = "ops/rules/mx.yaml";
const SHIPPED_PATH = join(import.meta.dirname, "../..", SHIPPED);

/** What of the settings the rules depend on. */
export interface RuleSettings {
  readonly dataDir: string;
  readonly stat: Pick<StatSettings, "rules" | "rulesFile">;
}

export interface InspectedRules {
  /** As good as what is wrong allows. */
  readonly rules: MxRules;
  readonly sources: readonly { readonly name: string; readonly rules: number }[];
  /** `severity` error: such rules are not taken over. */
  readonly findings: readonly RuleFinding[];
}

/** The rules in force, and what may not be meant as it is written. Fault: RULES_INVALID with everything that is wrong. */
export function loadMxRules(settings: RuleSettings): { readonly rules: MxRules; readonly warnings: readonly string[] } {
  const { rules, findings } = inspectMxRules(settings);
  const told = (severity: RuleFinding["severity"]): string[] =>
    findings
      .filter((finding) => finding.severity === severity)
      .map(({ at, text }) => (at === "" ? text : `${at}: ${text}`));
  const errors = told("error");
  if (errors.length > 0) {
    throw new Fault("RULES_INVALID", errors.length === 1 ? (errors[0] ?? "") : `\n  ${errors.join("\n  ")}`);
  }
  return { rules, warnings: told("warning") };
}

/** The same without throwing. `file`: instead of the operator's file of the settings. */
export function inspectMxRules({ dataDir, stat }: RuleSettings, file = ""): InspectedRules {
  const usual = join(dataDir, "rules/mx.yaml");
  const own = file || stat.rulesFile || (existsSync(usual) ? usual : "");
  // From the top down.
  const read = [
    readSettingsRules(stat.rules),
    ...(own === "" || resolve(own) === SHIPPED_PATH ? [] : [readRuleFile(resolve(own), own)]),
    readRuleFile(SHIPPED_PATH, SHIPPED),
  ];
  const merged = mergeLayers(read.map(({ layer }) => layer));
  const problems = inOrder([...read.flatMap((one) => one.problems), ...merged.problems]);
  return {
    rules: merged.rules,
    sources: read.map(({ layer }) => ({ name: layer.name, rules: layer.rules.length })),
    findings: [
      ...problems.map(({ at, text }): RuleFinding => ({ severity: "error", at, rule: "", text })),
      ...lintMxRules(merged.rules, merged.layerOf),
    ],
  };
}

/** By file as they first appear, then by line. */
function inOrder(problems: readonly RuleProblem[]): RuleProblem[] {
  const place = (at: string): [file: string, line: number] => {
    const match = /^(.*):(\d+)$/s.exec(at);
    return match === null ? [at, 0] : [match[1] ?? "", Number(match[2])];
  };
  const files = [...new Set(problems.map(({ at }) => place(at)[0]))];
  return problems.toSorted((a, b) => {
    const [left, right] = [place(a.at), place(b.at)];
    return files.indexOf(left[0]) - files.indexOf(right[0]) || left[1] - right[1];
  });
}

function readRuleFile(path: string, name: string): ReadLayer {
  try {
    return readRuleText(readFileSync(path, "utf8"), name);
  } catch (error) {
    const text = `cannot be read: ${(error as Error).message}`;
    return { layer: { name, defaults: {}, defaultOrigins: {}, rules: [] }, problems: [{ at: name, text }] };
  }
}

/** A rule on its way through the layers. */
interface Draft extends Omit<WrittenRule, "mx" | "publicIds"> {
  readonly mx: readonly string[];
  readonly publicIds: readonly [number, number] | null;
  /** Index of the layer it stands in. */
  readonly layer: number;
}

interface Merged {
  readonly rules: MxRules;
  readonly problems: readonly RuleProblem[];
  /** Index of the layer in which a rule stands, 0 the topmost. */
  layerOf(id: string): number;
}

/** `layers` from the topmost down. */
function mergeLayers(layers: readonly RuleLayer[]): Merged {
  const problems: RuleProblem[] = [];
  let drafts: Draft[] = [];
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const fresh: Draft[] = [];
    for (const rule of layers[layer]?.rules ?? []) {
      const under = drafts.findIndex(({ id }) => id === rule.id);
      const known = drafts[under];
      if (known !== undefined) drafts[under] = changed(known, rule);
      else if (rule.mx !== undefined) fresh.push({ ...rule, mx: rule.mx, publicIds: rule.publicIds ?? null, layer });
      else problems.push({ at: rule.origin, text: noSuchRule(rule.id, drafts) });
    }
    drafts = [...fresh, ...drafts];
  }
  const rules = drafts.map((draft) => complete(draft, layers));
  if (!rules.some(isCatchAll)) rules.push(builtInRule(rules.some(({ id }) => id === "*") ? "* (built in)" : "*"));
  const levels = new Map(drafts.map(({ id, layer }) => [id, layer]));
  return { rules, problems, layerOf: (id) => levels.get(id) ?? layers.length };
}

function changed(under: Draft, over: WrittenRule): Draft {
  return {
    ...under,
    mx: over.mx ?? under.mx,
    publicIds: over.publicIds === undefined ? under.publicIds : over.publicIds,
    note: over.note ?? under.note,
    limits: { ...under.limits, ...over.limits },
    origins: { ...under.origins, ...over.origins },
    origin: `${under.origin}, changed by ${over.origin}`,
  };
}

function noSuchRule(id: string, drafts: readonly Draft[]): string {
  const meant = nearest(
    id,
    drafts.map((draft) => draft.id),
  );
  return `${id}: mx is missing, and no rule under this file has that id${meant === "" ? "" : `; did you mean ${meant}?`}`;
}

function complete(draft: Draft, layers: readonly RuleLayer[]): MxRule {
  const values: Record<string, unknown> = { ...BUILT_IN };
  const origins: Partial<Record<LimitName, string>> = {};
  for (const name of LIMIT_NAMES) {
    const below = layers.slice(draft.layer).find(({ defaults }) => defaults[name] !== undefined);
    const value = draft.limits[name] ?? below?.defaults[name];
    if (value !== undefined) values[name] = value;
    origins[name] =
      (draft.limits[name] === undefined ? below?.defaultOrigins[name] : draft.origins[name]) ?? "built in";
  }
  const { id, mx, publicIds, origin } = draft;
  const limits = { rule: id, ...(values as unknown as LimitValues) };
  return { id, mx, publicIds, limits, origin, origins, note: draft.note ?? "" };
}
