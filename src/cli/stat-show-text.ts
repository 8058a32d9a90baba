/** What `postilion stat show` and `stat members` print. Texts of strangers are harmless in the answers already, and made so here once more. */
import { harmless } from "../model/harmless.ts";
import { sentenceOf, stamp } from "../model/why-text.ts";
import { type Counts, errorsOf, type MembersAnswer, type SiteAnswer, type SitesAnswer } from "../quota/answers.ts";
import { table } from "./table.ts";

const MORE = 10;

export function sitesText({ now, sites, totals, members }: SitesAnswer): string {
  const head = `${stamp(now)}   ${members} member${members === 1 ? "" : "s"}   ${totals.attempts} attempts, ${totals.accepted} accepted since it leads`;
  if (sites.length === 0) return `${head}\n\nNothing goes anywhere, and nothing waits.`;
  const rows = sites.map((s) => [
    name(s.site),
    s.state,
    s.waiting,
    s.sessions,
    s.minute.attempts,
    s.hour.attempts,
    errorsOf(s.hour),
    latency(s.hour),
    s.hold === null ? harmless(s.lastReply, 80) : harmless(sentenceOf({ ...s.hold, publicId: null }), 240),
  ]);
  return [
    head,
    "",
    ...table([
      ["site", "state", "waiting", "open", "minute", "hour", "errors", "ms", "held by, or the last reply"],
      ...rows,
    ]),
  ].join("\n");
}

export function siteText(asked: string, answer: SiteAnswer): string {
  const { now, summary, paths, morePaths, limits, measures, holds, lanes, slots } = answer;
  if (summary === null && measures.length === 0)
    return `${harmless(asked, 200)}: the statistics server knows nothing of it; no mail has gone there in the last hour.`;
  const lines = [`${harmless(summary?.site ?? asked, 600)}   ${summary?.state ?? ""}   ${stamp(now)}`];
  const say = (title: string, rows: readonly string[]): void => {
    if (rows.length > 0) lines.push("", title, ...rows.map((row) => `  ${row}`));
  };
  say(
    "Held by",
    holds.map((hold) => `${hold.publicId === null ? "" : `public id ${hold.publicId}: `}${harmless(sentenceOf(hold))}`),
  );
  say(
    "At work",
    measures.map(
      (m) =>
        `${m.kind}, ${m.stage}${m.publicId === null ? "" : `, public id ${m.publicId}`}, by ${harmless(m.by, 100)}, since ${stamp(m.since)}${m.until === 0 ? "" : `, until ${stamp(m.until)}`}: ${harmless(m.reason)}`,
    ),
  );
  if (limits.length > 0)
    say(
      "Limits",
      table([
        ["public id", "exchanger", "address", "rule", "connections", "an hour", "where it stands"],
        ...limits
          .slice(0, MORE)
          .map((l) => [
            String(l.publicId),
            harmless(l.mx, 60),
            l.ip,
            harmless(l.rule, 40),
            changed(l.limits.connections, l.ruleLimits.connections),
            changed(l.limits.messagesPerHour, l.ruleLimits.messagesPerHour),
            harmless(l.origin, 100),
          ]),
      ]),
    );
  if (paths.length > 0)
    say(
      `Paths, the last hour${morePaths > 0 ? ` (${morePaths} more)` : ""}`,
      table([
        [
          "public id",
          "address",
          "open",
          "attempts",
          "accepted",
          "deferred",
          "rejected",
          "refused",
          "timed out",
          "aborted",
          "ms",
          "last reply",
        ],
        ...paths
          .slice(0, MORE)
          .map((p) => [
            String(p.publicId),
            p.ip,
            p.connections === null ? "?" : String(p.connections),
            p.hour.attempts,
            p.hour.accepted,
            p.hour.deferred,
            p.hour.rejected,
            p.hour.refused,
            p.hour.timedOut,
            p.hour.aborted,
            latency(p.hour),
            harmless(p.lastReply, 120),
          ]),
      ]),
    );
  if (lanes.length > 0)
    say(
      "Lanes",
      table([
        ["machine", "public id", "waiting", "in flight", "sessions", "held by"],
        ...lanes
          .slice(0, MORE)
          .map((l) => [
            harmless(l.member, 60),
            String(l.publicId),
            l.waiting,
            l.inFlight,
            l.sessions,
            l.hold === null ? "" : harmless(`${l.hold.kind}: ${l.hold.text}`, 160),
          ]),
      ]),
    );
  say(
    "The last hour, in five minutes: attempts and what failed",
    table([
      ["from", "attempts", "failed", ""],
      ...slots.map(({ at, counts }) => [
        stamp(at).slice(11, 16),
        counts.attempts,
        errorsOf(counts),
        bar(
          counts,
          slots.map((s) => s.counts),
        ),
      ]),
    ]),
  );
  return lines.join("\n");
}

export function membersText({ now, members: all, more }: MembersAnswer): string {
  // Whoever asks is connected too, for as long as it takes.
  const members = all.filter(({ member, role }) => role === "member" || !member.startsWith("command/"));
  if (members.length === 0) return "Nobody is connected.";
  const rows = members.map((m) => [
    harmless(m.member, 60),
    m.role,
    m.lanes,
    m.waiting,
    m.inFlight,
    m.sessions,
    stamp(m.since),
  ]);
  const lines = table([["member", "role", "lanes", "waiting", "in flight", "sessions", "connected since"], ...rows]);
  return [`${stamp(now)}`, "", ...lines, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

function name(site: string): string {
  const names = site.split(",");
  return `${harmless(names[0] ?? "", 36)}${names.length > 1 ? ` +${names.length - 1}` : ""}`;
}

const latency = (counts: Counts): number | string =>
  counts.attempts > 0 ? Math.round(counts.latencyMs / counts.attempts) : "";

const changed = (now: number, rule: number): string => {
  const text = (n: number): string => (n === 0 ? "no limit" : String(n));
  return now === rule ? text(now) : `${text(now)} (of ${text(rule)})`;
};

/** `█` what went well, `░` what failed, of the busiest period. */
function bar(counts: Counts, all: readonly Counts[]): string {
  const most = Math.max(1, ...all.map((one) => Math.max(one.attempts, errorsOf(one))));
  const length = (n: number): number => Math.ceil((n / most) * 40);
  const failed = Math.min(length(errorsOf(counts)), 40);
  return "█".repeat(Math.max(0, length(counts.attempts) - failed)) + "░".repeat(failed);
}
