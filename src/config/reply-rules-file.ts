/**
 * Files of rules on replies: those that come along (ops/rules/replies.yaml) and the operator's own layered over them (rule-layers.ts).
 * Groups of values (threshold, limits) are changed value by value; a rule with another match needs examples of its own.
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { STAGES } from "../model/outcome.ts";
import { REPLY_ACTIONS, REPLY_SCOPES } from "../model/reply-rules.ts";
import { type Amount, type ReplyRule, type ReplyRules, checkReplyRules } from "../model/reply-rules.ts";
import { type RulesFile, exampleList, layerRules, openRulesFiles, ruleId, textList } from "./rule-layers.ts";

/** The rules that come along. */
export const SHIPPED_REPLIES = fileURLToPath(new URL("../../ops/rules/replies.yaml", import.meta.url));

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

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
  id: ruleId,
  off: z.boolean().optional(),
  note: z.string().optional(),
  codes: textList,
  enhanced: textList,
  texts: textList,
  mx: textList,
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
  examples: exampleList,
});
type RuleText = z.output<typeof ruleSchema>;

const AS_IS: Amount = { share: 1, value: 0 };

type Read = { readonly rules: ReplyRules } | { readonly problems: readonly string[] };

/** The rules of files, the lowest layer first, checked and with every example proven. */
export function readReplyRules(files: readonly RulesFile[]): Read {
  const problems: string[] = [];
  const layers = layerRules(files, ruleSchema, merged, problems);
  const rules = layers.rules.flatMap(({ rule, origin }) => {
    if (rule.action !== undefined) return [complete(rule, origin)];
    problems.push(`${origin}: rule ${rule.id}: has no action`);
    return [];
  });
  if (problems.length === 0) problems.push(...checkReplyRules(rules, layers.over));
  return problems.length > 0 ? { problems } : { rules };
}

/** From the disk: the shipped file and, when it is there, the operator's (a name in the settings that is not there is a problem). */
export function loadReplyRules(settings: {
  readonly dataDir: string;
  readonly stat: { readonly repliesFile: string };
}): Read {
  const { files, problems } = openRulesFiles(
    { name: "ops/rules/replies.yaml", path: SHIPPED_REPLIES },
    settings.stat.repliesFile,
    `${settings.dataDir}/rules/replies.yaml`,
  );
  return problems.length > 0 ? { problems } : readReplyRules(files);
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
