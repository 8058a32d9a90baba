/**
 * Everything that is wrong or doubtful in the rules, found without starting anything. Looks at what the settings
 * name, or at one file as if it were the operator's: MX rules, or rules on replies when that is what stands in it.
 */
import { readFileSync } from "node:fs";
import { type InspectedRules, inspectMxRules } from "../config/mx-rules-file.ts";
import type { RuleFinding } from "../config/mx-rules-lint.ts";
import { loadReplyRules } from "../config/reply-rules-file.ts";
import type { Settings } from "../config/settings.ts";
import type { MxRules } from "../model/mx-rules.ts";
import { readYaml } from "../config/yaml.ts";
import { UsageError } from "./usage.ts";

export interface CheckedRules {
  readonly ok: boolean;
  /** null: not looked at. */
  readonly mxRules: { readonly checked: number; readonly sources: InspectedRules["sources"] } | null;
  readonly replyRules: { readonly checked: number } | null;
  readonly findings: readonly (RuleFinding & { readonly kind: "mx" | "reply" })[];
}

/** `file`: '' for those of the settings. */
export function checkRules(settings: Settings, file: string): CheckedRules {
  const replies = file !== "" && holdsReplyRules(file);
  const findings: CheckedRules["findings"][number][] = [];
  let mxRules: CheckedRules["mxRules"] = null;
  let replyRules: CheckedRules["replyRules"] = null;
  if (!replies) {
    const { rules, sources, findings: found } = inspectMxRules(settings, file);
    mxRules = { checked: rules.length, sources };
    const outside = strangers(rules, settings);
    findings.push(...[...found, ...outside].map((finding) => ({ kind: "mx" as const, ...finding })));
  }
  if (replies || file === "") {
    const { dataDir, stat } = settings;
    const read = loadReplyRules({ dataDir, stat: { repliesFile: replies ? file : stat.repliesFile } });
    replyRules = { checked: "rules" in read ? read.rules.length : 0 };
    const problems = "problems" in read ? read.problems : [];
    findings.push(
      ...problems.map((problem) => {
        const place = /^(.*?:\d+): (.*)$/s.exec(problem);
        const [at, text] = [place?.[1] ?? "", place?.[2] ?? problem];
        return { kind: "reply" as const, severity: "error" as const, at, rule: "", text };
      }),
    );
  }
  return { ok: findings.every(({ severity }) => severity !== "error"), mxRules, replyRules, findings };
}

/** Rules and warm-up plans for public ids that nothing is sent from. */
function strangers(rules: MxRules, { mta, stat }: Settings): RuleFinding[] {
  const ids = new Set(mta.affinities.flatMap(({ ips }) => ips.map(({ publicId }) => publicId)));
  const findings: RuleFinding[] = [];
  for (const { id, publicIds, origin } of rules) {
    if (publicIds === null) continue;
    const [first, last] = publicIds;
    if ([...ids].some((one) => one >= first && one <= last)) continue;
    const range = first === last ? `public id ${first}` : `a public id from ${first} to ${last}`;
    findings.push({
      severity: "note",
      at: origin,
      rule: id,
      text: `${id}: no affinity of these settings has ${range}`,
    });
  }
  stat.warmUp.forEach(({ publicId }, i) => {
    const at = `settings stat.warmUp[${i}]`;
    if (!ids.has(publicId))
      findings.push({
        severity: "warning",
        at,
        rule: "",
        text: `no affinity of these settings has public id ${publicId}`,
      });
  });
  return findings;
}

/** Fields that only rules on replies have. */
const REPLY_FIELDS = "action off codes enhanced texts stages threshold examples limits duration most probe step".split(
  " ",
);

function holdsReplyRules(file: string): boolean {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
  const read = readYaml(text, file);
  const values = "problems" in read ? null : read.values;
  const rules = typeof values === "object" && values !== null && "rules" in values ? values.rules : [];
  if (!Array.isArray(rules)) return false;
  return rules.some(
    (rule: unknown) =>
      typeof rule === "object" && rule !== null && REPLY_FIELDS.some((name) => Object.hasOwn(rule, name)),
  );
}

/** For a person. */
export function checkedText({ mxRules, replyRules, findings }: CheckedRules): string {
  const lines = findings.map(({ severity, at, text }) => `${severity.padEnd(7)}  ${at === "" ? "" : `${at}: `}${text}`);
  if (lines.length > 0) lines.push("");
  if (mxRules !== null) {
    const from = mxRules.sources.filter(({ rules }) => rules > 0).map(({ name, rules }) => `${rules} in ${name}`);
    lines.push(`${counted(mxRules.checked, "MX rule")} checked: ${from.join(", ")}`);
  }
  if (replyRules !== null && (replyRules.checked > 0 || findings.every(({ kind }) => kind !== "reply")))
    lines.push(`${counted(replyRules.checked, "rule")} on replies checked`);
  const count = (severity: RuleFinding["severity"]): number =>
    findings.filter((one) => one.severity === severity).length;
  lines.push(
    findings.length === 0
      ? "nothing is wrong"
      : [counted(count("error"), "error"), counted(count("warning"), "warning"), counted(count("note"), "note")].join(
          ", ",
        ),
  );
  return lines.join("\n");
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
