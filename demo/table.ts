/** The demo's last words: the table for people, the object for programs. */
import { characterOf } from "./internet/characters.ts";
import type { Judgement } from "./check.ts";
import { RULE } from "./settings.ts";
import type { Report } from "./internet/messages.ts";
import type { ReadersJudgement } from "./readers/check.ts";
import type { Counters } from "../src/model/delivery.ts";

export interface Outcome {
  readonly counters: Counters;
  readonly judgement: Judgement;
  readonly report: Report;
  readonly dkimVerified: number;
  readonly dkimFailed: number;
  /** From the start of the delivery until it was finished. */
  readonly seconds: number;
  /** From the start of the delivery to the first message at an exchanger. */
  readonly firstMessageMs: number;
  /** One message as it went out. */
  readonly sample: string;
  readonly stat: StatSeen;
  readonly readers: ReadersJudgement;
}

/** What the statistics server knows afterwards. */
export interface StatSeen {
  readonly sites: number;
  readonly attempts: number;
}

export interface Summary {
  readonly accepted: number;
  readonly excluded: number;
  readonly sent: number;
  readonly failed: number;
  readonly pending: number;
  readonly deferredThenSent: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly duplicatesInDoubt: number;
  readonly dkimVerified: number;
  readonly dkimFailed: number;
  readonly messagesPerSecond: number;
  /** In the busiest second; the tail of a delivery waits for its retries and says nothing about speed. */
  readonly peakPerSecond: number;
  readonly firstMessageMs: number;
  readonly seconds: number;
  readonly failedByReason: Readonly<Record<string, number>>;
  readonly sample: string;
  /** Sites the statistics server has seen, and attempts it counted. */
  readonly sites: number;
  readonly attempts: number;
  /** Connections above the demo's own rule, as the exchanger counted. */
  readonly overRule: number;
  /** What pretend readers did, and what the appliance has counted of it. */
  readonly clicksMade: number;
  readonly clicksCounted: number;
  readonly clicksByPeople: number;
  readonly clicksByMachines: number;
  readonly opensMade: number;
  readonly opensCounted: number;
  readonly mirrorsMade: number;
  readonly mirrorsCounted: number;
  /** Addresses that unsubscribed, and those of them that get no mail any more. */
  readonly unsubscribed: number;
  readonly suppressed: number;
  /** Links that were changed; each must have led nowhere. */
  readonly tampered: number;
  readonly ok: boolean;
  readonly complaints: readonly string[];
}

/** A sample smaller than this proves too little. */
const LEAST_VERIFIED = 50;

export function summarise(outcome: Outcome): Summary {
  const { counters, judgement, report, dkimVerified, dkimFailed, readers } = outcome;
  const complaints = [...judgement.complaints, ...readers.complaints];
  const overRule = report.counts.find(({ name }) => name === RULE.mx)?.refused ?? 0;
  if (overRule > 0)
    complaints.push(`${RULE.mx} was asked for more than ${RULE.connections} connections ${overRule} times`);
  if (outcome.stat.attempts < counters.sent)
    complaints.push(
      `the statistics server counted ${outcome.stat.attempts} attempts for ${counters.sent} messages sent`,
    );
  if (dkimFailed > 0) complaints.push(`${dkimFailed} of the messages looked at have no valid DKIM signature`);
  if (dkimVerified + dkimFailed < LEAST_VERIFIED) {
    complaints.push(`only ${dkimVerified + dkimFailed} messages were there to verify DKIM on`);
  }
  if (readers.byPeople.made === 0 || readers.byMachines.made === 0 || readers.unsubscribed === 0)
    complaints.push("there were too few readers to prove anything");
  return {
    accepted: counters.accepted,
    excluded: counters.excluded,
    sent: counters.sent,
    failed: counters.failed,
    pending: counters.pending + counters.deferred,
    deferredThenSent: judgement.deferredThenSent,
    lost: judgement.lost,
    duplicates: judgement.duplicates,
    duplicatesInDoubt: judgement.duplicatesInDoubt,
    dkimVerified,
    dkimFailed,
    messagesPerSecond: Math.round((counters.sent + counters.failed) / Math.max(0.001, outcome.seconds)),
    peakPerSecond: report.peak,
    firstMessageMs: outcome.firstMessageMs,
    seconds: Math.round(outcome.seconds * 100) / 100,
    failedByReason: Object.fromEntries([...judgement.failedByReason].sort(([, a], [, b]) => b - a)),
    sample: outcome.sample,
    ...outcome.stat,
    overRule,
    clicksMade: readers.clicks.made,
    clicksCounted: readers.clicks.counted,
    clicksByPeople: readers.byPeople.counted,
    clicksByMachines: readers.byMachines.counted,
    opensMade: readers.opens.made,
    opensCounted: readers.opens.counted,
    mirrorsMade: readers.mirrors.made,
    mirrorsCounted: readers.mirrors.counted,
    unsubscribed: readers.unsubscribed,
    suppressed: readers.suppressed,
    tampered: readers.tampered,
    ok: complaints.length === 0,
    complaints,
  };
}

export function table(s: Summary, report: Report): string {
  const rows: [string, string | number, string?][] = [
    ["accepted", s.accepted],
    ["  excluded", s.excluded, "suppressed before"],
    ["  sent", s.sent],
    ["    deferred, then sent", s.deferredThenSent],
    ["  failed", s.failed],
    ...Object.entries(s.failedByReason).map(([reason, count]): [string, number] => [`    ${reason}`, count]),
    ["  still pending", s.pending],
    ["messages a second", s.messagesPerSecond, `${s.peakPerSecond} in the busiest second, ${s.seconds} s in all`],
    ["time to first message", `${s.firstMessageMs} ms`],
    ["lost", s.lost],
    ["duplicates", s.duplicates, s.duplicatesInDoubt > 0 ? `and ${s.duplicatesInDoubt} recorded in doubt` : ""],
    ["attempts stat counted", s.attempts, `to ${s.sites} sites`],
    ["connections over the rule", s.overRule, `${RULE.mx} takes ${RULE.connections} at once, and a rule says so`],
    ["clicks made / counted", `${s.clicksMade} / ${s.clicksCounted}`, "each of them led where the template says"],
    ["  by people", s.clicksByPeople],
    ["  by machines", s.clicksByMachines, "security scanners, known for such"],
    ["opens made / counted", `${s.opensMade} / ${s.opensCounted}`, "one a reader, however often they look"],
    ["mirror pages", `${s.mirrorsMade} / ${s.mirrorsCounted}`],
    ["unsubscribed / suppressed", `${s.unsubscribed} / ${s.suppressed}`],
    ["links tampered with", s.tampered, "led nowhere"],
    ["DKIM verified", s.dkimVerified, `of ${s.dkimVerified + s.dkimFailed} looked at`],
  ];
  const lines = rows.map(([name, value, note = ""]) =>
    `  ${name.padEnd(26)}${String(value).padStart(11)}  ${note}`.trimEnd(),
  );
  return `${lines.join("\n")}\n\n${exchangers(report)}\n`;
}

/** What each of them has seen. */
function exchangers(report: Report): string {
  const taken = new Map(report.hosts.map(({ host, messages, overTls }) => [host, { messages, overTls }]));
  const lines = report.counts.map(({ name, connections, refused, dropped }) => {
    const { messages, overTls } = taken.get(name) ?? { messages: 0, overTls: 0 };
    const notes = [
      overTls > 0 ? `${overTls} over TLS` : "",
      refused > 0 ? `refused ${refused} ×` : "",
      dropped > 0 ? `hung up ${dropped} ×` : "",
    ].filter((note) => note !== "");
    const { says } = characterOf(`x@${domainOf(name)}`);
    const figures = `${String(messages).padStart(7)} messages ${String(connections).padStart(5)} connections`;
    return `  ${name.padEnd(24)}${figures}  ${says}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
  });
  return lines.join("\n");
}

/** Exchangers are named `mx.<domain>`, or like the domain itself. */
function domainOf(exchanger: string): string {
  return exchanger.replace(/^(mx\d?|dead)\./, "");
}
