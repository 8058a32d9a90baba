/**
 * Files of bounce rules: those that come along (ops/rules/bounces.yaml) and the operator's own layered over them (rule-layers.ts:
 * rules/bounces.yaml under dataDir, or inmail.rulesFile). They are read once and again when a file changes: a bad file is complained of, and
 * the rules in force stay.
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { openReread } from "../base/reread.ts";
import { type BounceRuleProblem, checkBounceRules } from "../model/bounce-rules-check.ts";
import { lintBounceRules } from "../model/bounce-rules-lint.ts";
import { type BounceRule, type BounceRules, type BounceTable, compileBounceRules } from "../model/bounce-rules.ts";
import { STAGES } from "../model/outcome.ts";
import { REASONS } from "../model/reason.ts";
import { SAID_SOURCES, type Statement } from "../model/said.ts";
import { VERDICT_SCOPES, VERDICT_TYPES, type Verdict } from "../model/verdict.ts";
import { type RulesFile, exampleList, layerRules, openRulesFiles, ruleId, textList } from "./rule-layers.ts";

/** The rules that come along. */
export const SHIPPED_BOUNCES = fileURLToPath(new URL("../../ops/rules/bounces.yaml", import.meta.url));

const NAME = "ops/rules/bounces.yaml";

const ruleSchema = z.strictObject({
  id: ruleId,
  off: z.boolean().optional(),
  note: z.string().optional(),
  codes: textList,
  enhanced: textList,
  texts: textList,
  all: textList,
  not: textList,
  mx: textList,
  stages: z.array(z.enum(STAGES)).min(1).optional(),
  source: z.union([z.enum(SAID_SOURCES).transform((one) => [one]), z.array(z.enum(SAID_SOURCES)).min(1)]).optional(),
  type: z.enum(VERDICT_TYPES).optional(),
  reason: z.enum(REASONS).optional(),
  scope: z.enum(VERDICT_SCOPES).optional(),
  advice: z.string().max(300).optional(),
  examples: exampleList,
});
type RuleText = z.output<typeof ruleSchema>;

const MATCH_FIELDS = ["codes", "enhanced", "texts", "all", "not", "mx", "stages", "source"] as const;

export interface BounceRulesRead {
  /** null: something is wrong, and such rules are not taken over. */
  readonly table: BounceTable | null;
  /** Rules that were looked at. */
  readonly checked: number;
  /** Those of severity error are why there is no table. */
  readonly problems: readonly BounceRuleProblem[];
}

/** The rules of files, the lowest layer first, with every example proven. `lint`: what is useless is found too. */
export function readBounceRules(files: readonly RulesFile[], lint: boolean = false): BounceRulesRead {
  const told: string[] = [];
  const layers = layerRules(files, ruleSchema, merged, told);
  const rules = layers.rules.flatMap(({ rule, origin }) => {
    const { type, reason } = rule;
    if (type !== undefined && reason !== undefined) return [complete(rule, type, reason, origin)];
    told.push(`${origin}: rule ${rule.id}: has no ${type === undefined ? "type" : "reason"}`);
    return [];
  });
  const table = told.length === 0 ? compiled(rules, told) : null;
  const problems = told.map(problemOf);
  if (table !== null) problems.push(...checkBounceRules(table, layers.over));
  if (lint && problems.length === 0) problems.push(...lintBounceRules(rules, layers.over));
  const broken = problems.some(({ severity }) => severity === "error");
  return { table: broken ? null : table, checked: rules.length, problems };
}

function compiled(rules: BounceRules, told: string[]): BounceTable | null {
  try {
    return compileBounceRules(rules);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    told.push(error.message);
    return null;
  }
}

/** What of the settings the rules depend on. */
export interface BounceRuleSettings {
  readonly dataDir: string;
  readonly inmail: { readonly rulesFile: string };
}

/** From the disk: the shipped file and, when it is there, the operator's (a name in the settings that is not there is a problem). */
export function inspectBounceRules(settings: BounceRuleSettings, lint: boolean = false): BounceRulesRead {
  const { files, problems } = openRulesFiles(
    { name: NAME, path: SHIPPED_BOUNCES },
    settings.inmail.rulesFile,
    usualPlace(settings),
  );
  return problems.length > 0
    ? { table: null, checked: 0, problems: problems.map(problemOf) }
    : readBounceRules(files, lint);
}

/** The rules in force. Fault: RULES_INVALID with everything that is wrong. */
export function loadBounceRules(settings: BounceRuleSettings): BounceTable {
  const { table, problems } = inspectBounceRules(settings);
  if (table !== null) return table;
  const errors = problems.filter(({ severity }) => severity === "error").map(problemText);
  throw new Fault("RULES_INVALID", errors.length === 1 ? (errors[0] ?? "") : `\n  ${errors.join("\n  ")}`);
}

/** `ops/rules/bounces.yaml:12: rule x: has no example`. */
export function problemText({ at, rule, text }: BounceRuleProblem): string {
  return [at, rule === "" ? "" : `rule ${rule}`, text].filter((part) => part !== "").join(": ");
}

export interface OpenBounceRules {
  readonly table: BounceTable;
  /** By the rules in force at that moment. */
  judge(said: Statement): Verdict;
  close(): void;
}

/** How often the files are looked at: two calls of the system. */
const REREAD_MS = 10_000;

/** The rules in force while the process runs, read again when a file changes. Fault: RULES_INVALID, at the start only. */
export function openBounceRules(settings: BounceRuleSettings, clock: Clock, log: Log): OpenBounceRules {
  let stamp = "";
  let table: BounceTable | null = null;
  const rules = openReread({
    what: "bounce rules",
    everyMs: REREAD_MS,
    clock,
    log,
    read() {
      const now = stampOf(settings);
      if (table !== null && now === stamp) return table;
      // A bad file is complained of once, not every ten seconds: until it changes again.
      stamp = now;
      table = loadBounceRules(settings);
      return table;
    },
    mark: ({ version }) => version,
  });
  return {
    get table() {
      return rules.current;
    },
    judge: (said) => rules.current.judge(said),
    close: () => rules.close(),
  };
}

function stampOf(settings: BounceRuleSettings): string {
  return [SHIPPED_BOUNCES, settings.inmail.rulesFile || usualPlace(settings)]
    .map((path) => {
      const file = statSync(path, { throwIfNoEntry: false });
      return file === undefined ? "none" : `${file.mtimeMs}/${file.size}/${file.ino}`;
    })
    .join(" ");
}

function usualPlace({ dataDir }: BounceRuleSettings): string {
  return `${dataDir}/rules/bounces.yaml`;
}

function problemOf(told: string): BounceRuleProblem {
  const place = /^(.*?:\d+): (?:rule ([^:]+): )?(.*)$/s.exec(told);
  return { severity: "error", at: place?.[1] ?? "", rule: place?.[2] ?? "", text: place?.[3] ?? told };
}

/** Each field is changed as a whole; another match needs examples of its own. */
function merged(under: RuleText, over: RuleText): RuleText {
  const both = { ...under, ...over };
  if (MATCH_FIELDS.some((field) => over[field] !== undefined)) both.examples = over.examples;
  return both;
}

function complete(
  rule: RuleText,
  type: BounceRule["verdict"]["type"],
  reason: BounceRule["verdict"]["reason"],
  origin: string,
): BounceRule {
  return {
    id: rule.id,
    origin,
    note: rule.note ?? "",
    match: {
      codes: rule.codes ?? [],
      enhanced: rule.enhanced ?? [],
      texts: rule.texts ?? [],
      all: rule.all ?? [],
      not: rule.not ?? [],
      mx: rule.mx ?? [],
      stages: rule.stages ?? [],
      sources: rule.source ?? [],
    },
    verdict: { type, reason, scope: rule.scope ?? "recipient", advice: rule.advice ?? "" },
    examples: rule.examples ?? [],
  };
}
