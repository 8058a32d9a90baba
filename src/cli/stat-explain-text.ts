/** What `postilion stat explain` prints: exchangers, rules with every limit and its origin, what is at work now. */
import { harmless } from "../model/harmless.ts";
import type { LimitName } from "../model/mx-rules.ts";
import { stamp } from "../model/why-text.ts";
import type { Explained, ExplainedRule, ExplainedState } from "./stat-explain.ts";

/** For a person. */
export function explainedText({ target, way, exchangers, publicIds, rules, now }: Explained): string {
  const lines = [`${target}: ${way}`, ""];
  lines.push(
    ...columns(
      exchangers.map(({ mx, addresses, problem }) => [`  ${mx}`, problem === "" ? some(addresses) : `(${problem})`]),
    ),
  );
  if (publicIds.length === 0)
    lines.push("", "No IP of any affinity may send to it: see includeDomains and excludeDomains of mta.affinities.");
  for (const rule of rules) lines.push("", ...ruleLines(rule, exchangers.length, publicIds.length));
  lines.push("");
  if (publicIds.length === 0) return lines.join("\n").trimEnd();
  if (now.problem !== "") {
    lines.push(`What is at work now is not known: ${now.problem}`);
    return lines.join("\n");
  }
  lines.push(`Now (${stamp(now.at)}):`);
  for (const state of now.states) lines.push(...stateLines(state, now.states.length > 1));
  return lines.join("\n");
}

const SCOPES: Readonly<Record<string, string>> = {
  path: "each of our IPs with each of their addresses has these limits",
  ip: "each of our IPs has these limits, for all addresses of the rule together",
  rule: "all our IPs together have these limits",
};

function ruleLines(rule: ExplainedRule, exchangers: number, publicIds: number): string[] {
  const whom = [
    rule.exchangers.length === exchangers ? "" : `for ${some(rule.exchangers)}`,
    rule.publicIds.length === publicIds && publicIds > 1 ? "" : `from public id ${some(rule.publicIds)}`,
  ].filter((text) => text !== "");
  const lines = [`rule ${rule.id}   ${rule.origin}${whom.length === 0 ? "" : `   ${whom.join(" ")}`}`];
  if (rule.note !== "") lines.push(`  ${harmless(rule.note, 500)}`);
  const matches = `${some(rule.masks)}${rule.range === null ? "" : `, public ids ${rule.range[0]} to ${rule.range[1]}`}`;
  lines.push(
    ...columns([
      ["  matches", matches, ""],
      ...rule.limits.map(({ name, value, origin }) => [`  ${name}`, valueText(name, value), origin]),
    ]),
  );
  const scope = String(valueOf(rule, "scope"));
  const hour = Number(valueOf(rule, "messagesPerHour"));
  const whole = [`${Number(valueOf(rule, "connections")) * rule.counters} connections`];
  if (hour > 0) whole.push(`${hour * rule.counters} messages an hour`);
  const times = rule.counters > 1 ? ` Here that is ${rule.counters} times: at` : " Here: at";
  lines.push(`  Scope ${scope}: ${SCOPES[scope] ?? ""}.${times} most ${whole.join(" and ")} in all.`);
  return lines;
}

function valueOf(rule: ExplainedRule, wanted: LimitName): string | number {
  return rule.limits.find(({ name }) => name === wanted)?.value ?? "";
}

const TIMES: Readonly<Partial<Record<LimitName, string>>> = {
  connectMs: "as mta.smtp.connectMs",
  dataMs: "as mta.smtp.dotMs",
  replyMs: "as in mta.smtp",
};

function valueText(name: LimitName, value: string | number): string {
  const time = TIMES[name];
  if (time !== undefined) return value === 0 ? time : `${value} ms`;
  return value === 0 ? "no limit" : String(value);
}

function stateLines(state: ExplainedState, several: boolean): string[] {
  const { publicId, mx, changed, hold, measures, counters, differs } = state;
  const lines = several ? [`  public id ${publicId}, ${mx}`] : [];
  const indent = several ? "    " : "  ";
  const say = (text: string): void => void lines.push(`${indent}${text}`);
  if (differs !== "") say(`${differs}: it has not read the files since they changed (postilion stat reload)`);
  if (hold !== null) say(`Nothing goes: ${hold.text} (${hold.kind}, by ${hold.by})${until(hold.until)}`);
  for (const one of measures)
    say(
      `${one.kind}, ${one.stage}, by ${one.by}${one.since === 0 ? "" : `, since ${stamp(one.since)}`}${until(one.until)}: ${one.reason}`,
    );
  for (const { name, value } of changed) say(`${name} is ${valueText(name, value)} for the time being`);
  for (const one of counters) {
    const period =
      one.periodLimit === 0 ? "" : `, ${one.spent} of ${one.periodLimit} messages of the period${until(one.periodEnd)}`;
    const whose = [one.publicId === null ? "all our IPs" : `public id ${one.publicId}`, one.ip].filter(
      (text) => text !== "",
    );
    say(
      `${one.connections} of ${one.connectionLimit} connections open${period}, ${one.waiting} waiting (rule ${one.rule}: ${whose.join(" to ")})`,
    );
  }
  if (lines.length === (several ? 1 : 0)) say("nothing is at work, and nothing is counted yet");
  return lines;
}

function until(ms: number): string {
  return ms === 0 ? "" : `, until ${stamp(ms)}`;
}

function some(list: readonly (string | number)[]): string {
  return `${list.slice(0, 8).join(", ")}${list.length > 8 ? ` and ${list.length - 8} more` : ""}`;
}

/** Rows under each other. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => Math.min(row[i]?.length ?? 0, 60))));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("   ")
      .trimEnd(),
  );
}
