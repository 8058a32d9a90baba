/** What the tests of the governor share: rules, a report in one line, and a governor that writes down what it says. */
import { parseSettings } from "../../src/config/settings.ts";
import type { StatSettings, WarmUpSettings } from "../../src/config/stat-settings.ts";
import type { Remedy, ReplyRule } from "../../src/model/reply-rules.ts";
import type { Limits, Path } from "../../src/model/traffic.ts";
import type { PathReport, ReplySample } from "../../src/quota/messages.ts";
import type { Governed, Measure } from "../../src/stat/contract.ts";
import { type TrafficGovernor, createGovernor } from "../../src/stat/governor.ts";

/** A Thursday, 10:00 UTC: the begin of a period, an hour, but not of a day. */
export const T0 = Date.UTC(2026, 0, 1, 10);
export const MIN = 60_000;
export const HOUR = 3_600_000;
export const DAY = 86_400_000;
export const SITE = "example.com/mx";
export const MX = "mx1.example.com";

export const LIMITS: Limits = {
  rule: "*",
  scope: "ip",
  connections: 16,
  messagesPerConnection: 100,
  messagesPerMinute: 0,
  messagesPerHour: 12_000,
  messagesPerDay: 0,
  bytesPerSecond: 0,
  pacing: "periods",
  tls: "opportunistic",
  connectMs: 0,
  dataMs: 0,
  replyMs: 0,
};

const AS_IS = { share: 1, value: 0 };
export const REMEDY: Remedy = {
  action: "limits",
  limits: {
    connections: { share: 1, value: 1 },
    messagesPerConnection: AS_IS,
    messagesPerMinute: AS_IS,
    messagesPerHour: { share: 0.1, value: 0 },
  },
  durationMs: HOUR,
  mostMs: 4 * HOUR,
  probe: 5,
  stepMs: 5 * MIN,
};

export function rule(
  id: string,
  text: string,
  parts: Partial<ReplyRule> = {},
  remedy: Partial<Remedy> = {},
): ReplyRule {
  return {
    id,
    match: { codes: [], enhanced: [], texts: [text], mx: [], stages: [] },
    threshold: { count: 4, share: 0, attempts: 0, sites: 1, windowMs: 10 * MIN },
    scope: "pair",
    remedy: { ...REMEDY, ...remedy },
    examples: [],
    origin: "test",
    note: "",
    ...parts,
  };
}

export const RULES: readonly ReplyRule[] = [
  rule("grey", "greylisted", { remedy: null }),
  rule("slow", "slow down"),
  rule("stop", "go away", {}, { action: "stop" }),
  rule("site", "whole site", { scope: "site" }, { action: "stop" }),
  rule(
    "listed",
    "on a list",
    { scope: "ip", threshold: { count: 2, share: 0, attempts: 0, sites: 3, windowMs: HOUR } },
    { action: "stop" },
  ),
  rule("share", "a tenth", { threshold: { count: 4, share: 0.1, attempts: 40, sites: 1, windowMs: 10 * MIN } }),
];

export function report(parts: Partial<PathReport>): PathReport {
  const counts = {
    connects: 0,
    refused: 0,
    timedOut: 0,
    aborted: 0,
    accepted: 0,
    deferred: 0,
    rejected: 0,
    bytes: 0,
    latencyMs: 0,
  };
  const { accepted = 0, deferred = 0, rejected = 0 } = parts;
  return {
    site: SITE,
    publicId: 1,
    mx: MX,
    ip: "192.0.2.9",
    ...counts,
    attempts: accepted + deferred + rejected,
    ...parts,
  };
}

export function sample(text: string, parts: Partial<ReplySample> = {}): ReplySample {
  return {
    site: SITE,
    publicId: 1,
    mx: MX,
    ip: "192.0.2.9",
    stage: "rcpt",
    code: 451,
    enhanced: "4.7.1",
    text,
    count: 1,
    ...parts,
  };
}

export function path(publicId = 1, mx: string = MX): Path {
  return { publicId, mx, ip: "192.0.2.9" };
}

export interface Told {
  readonly governor: TrafficGovernor;
  /** `began back-off slow`, `ended …`: what was recorded. */
  readonly history: string[];
  readonly recorded: { measure: Measure; ended: boolean }[];
  readonly changes: ({ readonly site?: string; readonly publicId?: number } | null)[];
  govern(now: number, site?: string, publicId?: number, mx?: string): Governed;
  /** The stage of the only course of a place, '' for none. */
  stage(now: number): string;
  /** Turns the time to `now`, doing what is due on the way. */
  run(from: number, to: number): void;
}

export function told(
  settings: { breaker?: Partial<StatSettings["breaker"]>; warmUp?: readonly Partial<WarmUpSettings>[] } = {},
  rules: readonly ReplyRule[] = RULES,
): Told {
  const recorded: { measure: Measure; ended: boolean }[] = [];
  const changes: Told["changes"] = [];
  const governor = createGovernor({
    replyRules: rules,
    settings: parseSettings({ stat: settings }).stat,
    record: (measure, ended) => void recorded.push({ measure, ended }),
  });
  governor.onChange((which) => void changes.push(which));
  return {
    governor,
    recorded,
    changes,
    get history() {
      return recorded.map(({ measure, ended }) => `${ended ? "ended" : "began"} ${measure.kind} ${measure.by}`);
    },
    govern: (now, site = SITE, publicId = 1, mx = MX) => governor.govern(site, path(publicId, mx), LIMITS, now),
    stage: (now) =>
      governor
        .list(now)
        .map(({ stage }) => stage)
        .join(),
    run(from, to) {
      for (let now = governor.nextAt(); now <= to; now = governor.nextAt()) {
        governor.tick(Math.max(from, now));
        // The same time twice means that something was due and was not done.
        if (governor.nextAt() <= Math.max(from, now)) throw new Error(`stands still at ${now}`);
      }
      governor.tick(to);
    },
  };
}
