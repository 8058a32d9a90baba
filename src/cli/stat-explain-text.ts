/** What `postilion stat explain` prints: exchangers, rules with every limit and its origin, what is at work now. */
import { harmless } from "../model/harmless.ts";
import type { LimitName } from "../model/mx-rules.ts";
import { stamp } from "../model/why-text.ts";
import type { CounterAnswer } from "../quota/answers.ts";
import type { Explained, ExplainedNow, ExplainedRule, ExplainedState } from "./stat-explained.ts";

/** For a person. */
export function explainedText(explained: Explained): string {
  const { target, route, way, exchangers, publicIds, rules, now } = explained;
  if (route !== "site") return nowhereText(explained);
  const lines = [`${target}: ${way}`, ""];
  lines.push(
    ...columns(
      exchangers.map(({ mx, addresses, problem, unanswered }) => [
        `  ${mx}`,
        problem === "" ? some(addresses) : unanswered ? `not known now: ${problem}` : `(${problem})`,
      ]),
    ),
  );
  if (publicIds.length === 0)
    lines.push("", "No IP of any affinity may send to it: see includeDomains and excludeDomains of mta.affinities.");
  for (const rule of rules) lines.push("", ...ruleLines(rule, exchangers.length, publicIds.length));
  if (publicIds.length === 0) return lines.join("\n");
  lines.push("", ...nowLines(now));
  return lines.join("\n");
}

/** No exchanger is known. */
function nowhereText({ target, route, way }: Explained): string {
  if (route === "unanswered")
    return [
      `${target}: the DNS does not say where its mail goes: ${way}`,
      "So it is not known now which rule is for it. Mail to it waits, and the DNS is asked again.",
      "The name of an exchanger needs no answer: postilion stat explain --exchanger <name>",
    ].join("\n");
  return [
    `${target}: no mail goes there: ${way}`,
    `If this is the name of an exchanger: postilion stat explain --exchanger ${target}`,
  ].join("\n");
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

function nowLines({ problem, at, states, unasked }: ExplainedNow): string[] {
  if (problem !== "") return [`What is at work now is not known: ${problem}`];
  const lines = [`Now (${stamp(at)}):`];
  const groups = groupsOf(states);
  for (const group of groups) lines.push(...groupLines(group, groups));
  if (unasked > 0)
    lines.push(`  and ${unasked} more exchangers × public ids, not asked about: --public-id <n> asks for one`);
  return lines;
}

/** States that say the same, but for what is counted. */
type Group = readonly ExplainedState[];

function groupsOf(states: readonly ExplainedState[]): readonly Group[] {
  const same = ({ publicId, changed, hold, measures, differs }: ExplainedState): string =>
    JSON.stringify([publicId, changed, hold, measures, differs]);
  return [...Map.groupBy(states, same).values()].sort((a, b) => (a[0]?.publicId ?? 0) - (b[0]?.publicId ?? 0));
}

function groupLines(group: Group, groups: readonly Group[]): string[] {
  const [first] = group;
  if (first === undefined) return [];
  const { publicId, changed, hold, measures, differs } = first;
  const several = groups.length > 1;
  const lines: string[] = [];
  const indent = several ? "    " : "  ";
  const say = (text: string): void => void lines.push(`${indent}${text}`);
  if (differs !== "") say(`${differs}: it has not read the files since they changed (postilion stat reload)`);
  if (hold !== null) say(`Nothing goes: ${hold.text} (${hold.kind}, by ${hold.by})${until(hold.until)}`);
  for (const one of measures)
    say(
      `${one.kind}, ${one.stage}, by ${one.by}${one.since === 0 ? "" : `, since ${stamp(one.since)}`}${until(one.until)}: ${one.reason}`,
    );
  for (const { name, value } of changed) say(`${name} is ${valueText(name, value)} for the time being`);
  const counters = counterLines(group.flatMap((state) => state.counters));
  counters.forEach(say);
  const uncounted = [...new Set(group.flatMap((state) => state.uncounted))];
  if (uncounted.length > 0 && counters.length > 0) say(`nothing is counted yet to ${some(uncounted)}`);
  if (lines.length === 0) say("nothing is at work, and nothing is counted yet");
  if (!several) return lines;
  // Named only where the exchangers of one public id differ.
  const alone = groups.filter((one) => one[0]?.publicId === publicId).length === 1;
  return [`  public id ${publicId}${alone ? "" : `, ${some(group.map(({ mx }) => mx))}`}`, ...lines];
}

/** Each counter once, however many exchangers share it; those of several addresses in one line when they stand alike. */
function counterLines(counters: readonly CounterAnswer[]): string[] {
  const each = new Map(counters.map((one) => [one.counter, one]));
  const alike = (one: CounterAnswer): string => JSON.stringify([one.rule, one.publicId, figures(one)]);
  return [...Map.groupBy(each.values(), alike).values()].flatMap((same) => {
    const [one] = same;
    if (one === undefined) return [];
    const whose = one.publicId === null ? "all our IPs" : `public id ${one.publicId}`;
    const ips = same.map(({ ip }) => ip).filter((ip) => ip !== "");
    const to = ips.length === 0 ? "" : ` to ${ips.length > 1 ? "each of " : ""}${some(ips)}`;
    return [`${figures(one)} (rule ${one.rule}: ${whose}${to})`];
  });
}

function figures({ connections, connectionLimit, spent, periodLimit, periodEnd, waiting }: CounterAnswer): string {
  const period = periodLimit === 0 ? "" : `, ${spent} of ${periodLimit} messages of the period${until(periodEnd)}`;
  // Not messages: what the machines have asked for. stat show has the messages.
  const asked =
    waiting === 0 ? "nobody asks for more" : `${waiting} ${waiting === 1 ? "request waits" : "requests wait"}`;
  return `${connections} of ${connectionLimit} connections open${period}, ${asked}`;
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
