/**
 * Files of rules on replies: those that come along (ops/rules/replies.yaml) and the operator's own over them, which is never written by us.
 * A rule of the operator with the id of a shipped one changes what it names and leaves the rest; one with `off: true` takes it away; new
 * ones stand before all shipped ones. What is wrong comes back as sentences with file and line, never as an exception: who reloads with a
 * bad file goes on with the rules in force.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { STAGES } from "../model/outcome.ts";
import { REPLY_ACTIONS, REPLY_SCOPES } from "../model/reply-rules.ts";
import { type Amount, type ReplyRule, type ReplyRules, checkReplyRules } from "../model/reply-rules.ts";
import { readYaml } from "./yaml.ts";

/** The rules that come along. */
export const SHIPPED_REPLIES = fileURLToPath(new URL("../../ops/rules/replies.yaml", import.meta.url));

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const masks = z.union([z.string(), z.number().transform(String)]).transform((one) => [one]);
const list = z.union([masks, z.array(z.union([z.string(), z.number().transform(String)])).min(1)]).optional();
const duration = z
  .string()
  .regex(/^\d{1,6}[smhd]$/, "is not a time such as 90s, 30m, 2h, 1d")
  .transform((text) => Number(text.slice(0, -1)) * (UNITS[text.slice(-1)] ?? 0))
  .refine((ms) => ms >= 1000 && ms <= 30 * 86_400_000, "is not between 1s and 30d")
  .optional();
const amount = z
  .union([
    z.number().int().min(1),
    z.string().regex(/^\d{1,2}(\.\d+)?%$/, "is neither a number nor a share under 100 %, such as 10%"),
  ])
  .transform((text): Amount =>
    typeof text === "number" ? { share: 1, value: text } : { share: parseFloat(text) / 100, value: 0 },
  )
  .optional();

const ruleSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, "is not a name of small letters, digits, - and ."),
  off: z.boolean().optional(),
  note: z.string().optional(),
  codes: list,
  enhanced: list,
  texts: list,
  mx: list,
  stages: z.array(z.enum(STAGES)).min(1).optional(),
  threshold: z
    .strictObject({
      count: z.number().int().min(1).optional(),
      share: z.number().gt(0).max(1).optional(),
      attempts: z.number().int().min(1).optional(),
      sites: z.number().int().min(1).max(20).optional(),
      window: duration,
    })
    .optional(),
  action: z.enum(REPLY_ACTIONS).optional(),
  scope: z.enum(REPLY_SCOPES).optional(),
  limits: z
    .strictObject({
      connections: amount,
      messagesPerConnection: amount,
      messagesPerMinute: amount,
      messagesPerHour: amount,
    })
    .optional(),
  duration,
  most: duration,
  probe: z.number().int().min(1).max(100).optional(),
  step: duration,
  examples: z.array(z.string().min(3)).min(1).optional(),
});
type RuleText = z.output<typeof ruleSchema>;

const AS_IS: Amount = { share: 1, value: 0 };

export interface ReplyRulesFile {
  /** What the problems call it. */
  readonly name: string;
  readonly text: string;
}

type Read = { readonly rules: ReplyRules } | { readonly problems: readonly string[] };

/** The rules of files, the lowest layer first, checked and with every example proven. */
export function readReplyRules(files: readonly ReplyRulesFile[]): Read {
  const problems: string[] = [];
  let layers: { readonly rule: RuleText; readonly origin: string }[] = [];
  // Rules over the lowest layer: they may take replies that a rule under them was for.
  const own = new Set<string>();
  for (const file of files) {
    const read = readFile(file, problems);
    const ids = new Set<string>();
    for (const { rule, origin } of read) {
      if (ids.has(rule.id)) problems.push(`${origin}: rule ${rule.id}: there is another rule of this name in the file`);
      ids.add(rule.id);
    }
    const known = new Set(layers.map(({ rule }) => rule.id));
    const changes = new Map(read.map((one) => [one.rule.id, one]));
    if (file !== files[0]) for (const id of ids) own.add(id);
    layers = [
      ...read.filter(({ rule }) => !known.has(rule.id)),
      ...layers.map((under) => {
        const over = changes.get(under.rule.id);
        if (over === undefined) return under;
        return { rule: merged(under.rule, over.rule), origin: `${over.origin} over ${under.origin}` };
      }),
    ];
  }
  const rules = layers
    .filter(({ rule }) => rule.off !== true)
    .flatMap(({ rule, origin }) => {
      if (rule.action !== undefined) return [complete(rule, origin)];
      problems.push(`${origin}: rule ${rule.id}: has no action`);
      return [];
    });
  if (problems.length === 0) problems.push(...checkReplyRules(rules, own));
  return problems.length > 0 ? { problems } : { rules };
}

/** From the disk: the shipped file and, when it is there, the operator's (a name in the settings that is not there is a problem). */
export function loadReplyRules(settings: {
  readonly dataDir: string;
  readonly stat: { readonly repliesFile: string };
}): Read {
  const named = settings.stat.repliesFile;
  const own = named || `${settings.dataDir}/rules/replies.yaml`;
  const places: [name: string, path: string][] = [["ops/rules/replies.yaml", SHIPPED_REPLIES]];
  if (named !== "" || existsSync(own)) places.push([own, own]);
  const files: ReplyRulesFile[] = [];
  const problems: string[] = [];
  for (const [name, path] of places) {
    try {
      files.push({ name, text: readFileSync(path, "utf8") });
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
    }
  }
  return problems.length > 0 ? { problems } : readReplyRules(files);
}

function readFile(file: ReplyRulesFile, problems: string[]): { rule: RuleText; origin: string }[] {
  const document = readYaml(file.text, file.name);
  if ("problems" in document) {
    problems.push(...document.problems);
    return [];
  }
  const { values = {}, where } = document;
  if (typeof values !== "object" || values === null || Object.keys(values).some((name) => name !== "rules")) {
    problems.push(`${file.name}:1: the file is 'rules:' and a list`);
    return [];
  }
  const rules: unknown = "rules" in values ? values.rules : [];
  if (!Array.isArray(rules)) {
    problems.push(`${where(["rules"])}: rules is not a list`);
    return [];
  }
  return rules.flatMap((value: unknown, index) => {
    const result = ruleSchema.safeParse(value);
    if (result.success) return [{ rule: result.data, origin: where(["rules", index]) }];
    for (const issue of result.error.issues) {
      const path = ["rules", index, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
      problems.push(`${where(path)}: ${issue.path.join(".") || `rules[${index}]`}: ${issue.message}`);
    }
    return [];
  });
}

/** Groups (threshold, limits) are changed value by value, everything else as a whole; another match needs examples of its own. */
function merged(under: RuleText, over: RuleText): RuleText {
  const both = { ...under, ...over };
  if (over.codes ?? over.enhanced ?? over.texts ?? over.mx ?? over.stages) both.examples = over.examples;
  if (under.threshold && over.threshold) both.threshold = { ...under.threshold, ...over.threshold };
  if (under.limits && over.limits) both.limits = { ...under.limits, ...over.limits };
  return both;
}

function complete(rule: RuleText, origin: string): ReplyRule {
  const { action = "ignore", threshold = {}, limits = {} } = rule;
  const durationMs = rule.duration ?? 1_800_000;
  return {
    id: rule.id,
    origin,
    note: rule.note ?? "",
    match: {
      codes: rule.codes ?? [],
      enhanced: rule.enhanced ?? [],
      texts: rule.texts ?? [],
      mx: rule.mx ?? [],
      stages: rule.stages ?? [],
    },
    threshold: {
      count: threshold.count ?? 1,
      share: threshold.share ?? 0,
      attempts: threshold.attempts ?? (threshold.share === undefined ? 0 : 20),
      sites: threshold.sites ?? 1,
      windowMs: threshold.window ?? 600_000,
    },
    scope: rule.scope ?? "pair",
    examples: rule.examples ?? [],
    remedy:
      action === "ignore"
        ? null
        : {
            action,
            limits: {
              connections: limits.connections ?? AS_IS,
              messagesPerConnection: limits.messagesPerConnection ?? AS_IS,
              messagesPerMinute: limits.messagesPerMinute ?? AS_IS,
              messagesPerHour: limits.messagesPerHour ?? AS_IS,
            },
            durationMs,
            mostMs: rule.most ?? Math.max(durationMs, 86_400_000),
            probe: rule.probe ?? 5,
            stepMs: rule.step ?? 300_000,
          },
  };
}
