/**
 * What the statistics server answers to a `query` (quota/messages.ts): the shapes that the server fills and that web and the command line
 * read. An answer is one line of the protocol, so each of them fits into MOST_ANSWER octets: lists are cut and say how much is missing.
 * Texts of strangers in them are harmless already (model/harmless.ts). All times are the server's epoch ms.
 */
import type { Hold, LaneReport, Limits } from "../model/traffic.ts";
import type { PathReport } from "./messages.ts";

/** Less than MOST_LINE: the frame around an answer needs some. */
export const MOST_ANSWER = 200 * 1024;

export const COUNTS = [
  "connects",
  "refused",
  "timedOut",
  "aborted",
  "attempts",
  "accepted",
  "deferred",
  "rejected",
  "bytes",
  "latencyMs",
] as const satisfies readonly (keyof PathReport)[];

/** Sums over a time; `latencyMs` is the sum over `attempts`. */
export type Counts = Readonly<Record<(typeof COUNTS)[number], number>>;

export const NO_COUNTS: Counts = {
  connects: 0,
  refused: 0,
  timedOut: 0,
  aborted: 0,
  attempts: 0,
  accepted: 0,
  deferred: 0,
  rejected: 0,
  bytes: 0,
  latencyMs: 0,
};

/** Everything that was tried and did not go well. */
export function errorsOf(c: Counts): number {
  return c.refused + c.timedOut + c.aborted + c.deferred + c.rejected;
}

/**
 * `held`: something keeps messages of it from going, or stops it. `errors`: a tenth or more of at least ten tries of the last hour failed.
 * `slow`: it answers in 5 s or more, or messages wait and nothing was tried for a minute. The first that is true.
 */
export const SITE_STATES = ["held", "errors", "slow", "ok"] as const;
export type SiteState = (typeof SITE_STATES)[number];

/** What the governor does (back-off, breaker, suspension, warm-up), as stat/contract.ts Measure. */
export interface MeasureAnswer {
  readonly kind: string;
  readonly site: string;
  readonly publicId: number | null;
  readonly stage: string;
  readonly by: string;
  readonly reason: string;
  readonly since: number;
  /** 0: until somebody ends it. */
  readonly until: number;
}

export interface SiteSummary {
  readonly site: string;
  /** First exchanger. */
  readonly mx: string;
  readonly publicIds: readonly number[];
  readonly state: SiteState;
  /** Messages in the lanes of all machines. What waits in the database is not among them. */
  readonly waiting: number;
  readonly inFlight: number;
  readonly sessions: number;
  readonly minute: Counts;
  readonly hour: Counts;
  readonly lastReply: string;
  /** 0: none is known. */
  readonly lastReplyAt: number;
  /** What matters most of what holds it, or null. */
  readonly hold: Hold | null;
}

export interface SitesAnswer {
  readonly now: number;
  readonly sites: readonly SiteSummary[];
  /** `after` of the next page, '' behind the last one. */
  readonly next: string;
  /** All sites together since this server began to lead. */
  readonly totals: Counts;
  /** Members that are connected, observers not counted. */
  readonly members: number;
}

export interface PathAnswer {
  readonly publicId: number;
  readonly mx: string;
  readonly ip: string;
  /** Open now; null when no counter tells the paths of the site apart. */
  readonly connections: number | null;
  readonly minute: Counts;
  readonly hour: Counts;
  readonly lastReply: string;
  readonly lastReplyAt: number;
}

/** A lane as its machine told it last. */
export interface LaneAnswer extends LaneReport {
  readonly member: string;
  /** When it was told. */
  readonly at: number;
}

/** What limits mail to an exchanger from a public id, and who says so. */
export interface LimitAnswer {
  readonly publicId: number;
  readonly mx: string;
  readonly ip: string;
  /** Rule, where it stands, and where each of its limits comes from. */
  readonly rule: string;
  readonly origin: string;
  readonly origins: Readonly<Record<string, string>>;
  readonly note: string;
  /** Those of the rule, and those in force now: back-off and warm-up change them. */
  readonly ruleLimits: Limits;
  readonly limits: Limits;
  /** Nothing may go at all. */
  readonly hold: Hold | null;
}

export interface SiteAnswer {
  readonly now: number;
  /** null: neither lanes nor statistics know it. */
  readonly summary: SiteSummary | null;
  readonly paths: readonly PathAnswer[];
  readonly morePaths: number;
  readonly limits: readonly LimitAnswer[];
  readonly measures: readonly MeasureAnswer[];
  /** Everything that keeps messages from going now, what matters most first. */
  readonly holds: readonly SiteHold[];
  readonly lanes: readonly LaneAnswer[];
  /** The last hour in twelve periods of five minutes, the oldest first; the last one is running. */
  readonly slots: readonly { readonly at: number; readonly counts: Counts }[];
}

/** A hold and whom it holds. */
export interface SiteHold extends Hold {
  /** null: all. */
  readonly publicId: number | null;
}

export interface LanesAnswer {
  readonly now: number;
  readonly lanes: readonly LaneAnswer[];
  readonly more: number;
}

export interface MemberAnswer {
  readonly member: string;
  readonly role: "member" | "observer";
  /** Since when it is connected. */
  readonly since: number;
  readonly lanes: number;
  readonly waiting: number;
  readonly inFlight: number;
  readonly sessions: number;
}

export interface MembersAnswer {
  readonly now: number;
  readonly members: readonly MemberAnswer[];
  readonly more: number;
}

export interface CounterAnswer {
  readonly counter: string;
  readonly rule: string;
  readonly publicId: number | null;
  readonly ip: string;
  readonly connections: number;
  readonly connectionLimit: number;
  readonly spent: number;
  /** 0: none. */
  readonly periodLimit: number;
  readonly periodEnd: number;
  readonly waiting: number;
}

export interface CountersAnswer {
  readonly now: number;
  readonly counters: readonly CounterAnswer[];
  readonly more: number;
}

/** Of `warm-up`: all that is being warmed up; of `explain`: what is at work for one exchanger and public id. */
export interface MeasuresAnswer {
  readonly now: number;
  readonly measures: readonly MeasureAnswer[];
}

export interface ExplainAnswer extends MeasuresAnswer {
  readonly limit: LimitAnswer;
  readonly counters: readonly CounterAnswer[];
}

/** What a server read. */
export interface ReloadedHere {
  /** How many there are now. */
  readonly rules: number;
  readonly replyRules: number;
  readonly warmUps: number;
  /** The same on two servers that go by the same. */
  readonly digest: string;
  /** What may not be meant as it is written. */
  readonly warnings: readonly string[];
  /** Names of settings that have changed and are not taken over while the server runs. */
  readonly restart: readonly string[];
}

/** Of `reload`. */
export interface ReloadAnswer extends ReloadedHere {
  /** Who answers. */
  readonly server: string;
  /** The other servers, as far as they said something in time. */
  readonly others: readonly ServerReload[];
  /** How many more the settings name. */
  readonly silent: number;
}

export interface ServerReload {
  readonly server: string;
  /** Why it goes on with what it had; '' when it has read. */
  readonly problem: string;
  /** It goes by the same as the one that answers. */
  readonly same: boolean;
}

/** The question was not understood, or cannot be answered here. */
export interface Refusal {
  readonly error: string;
}
