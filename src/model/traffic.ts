/**
 * Permission to use the wire, as the mta asks for it and the statistics server gives it. An mta that was granted nothing waits to be
 * called; it never asks again in a loop.
 */
import type { Outcome } from "./outcome.ts";

/** One address of one exchanger. */
export interface Exchanger {
  /** Exchanger's name, lower case: what the masks of rules are held against. */
  readonly mx: string;
  readonly ip: string;
}

/** A path (design §1): one outgoing IP to one remote exchanger IP. */
export interface Path extends Exchanger {
  readonly publicId: number;
}

/** Which messages share one counter of a rule: those of a path, of an outgoing IP, or all the rule matches. */
export const SCOPES = ["path", "ip", "rule"] as const;
export type Scope = (typeof SCOPES)[number];

export const TLS_MODES = ["opportunistic", "required", "disabled"] as const;
export type TlsMode = (typeof TLS_MODES)[number];

/**
 * `periods`: the hour in twelve periods of five minutes, each as fast as possible (modules.md §6.5). `smooth`: evenly inside a period and a
 * minute too, in portions of about a second; what was not used within its portion's time does not come back in a burst (quota/pace.ts).
 */
export const PACINGS = ["periods", "smooth"] as const;
export type Pacing = (typeof PACINGS)[number];

/** What limits a path now: the first rule that matches, changed by back-off and warm-up where these are at work. 0 is "no limit". */
export interface Limits {
  /** Id of the MX rule. */
  readonly rule: string;
  readonly scope: Scope;
  /** At least 1. */
  readonly connections: number;
  /** Then the session is closed and a new one opened. At least 1. */
  readonly messagesPerConnection: number;
  readonly messagesPerMinute: number;
  readonly messagesPerHour: number;
  readonly messagesPerDay: number;
  readonly bytesPerSecond: number;
  readonly pacing: Pacing;
  readonly tls: TlsMode;
  /** Time-outs in ms; 0: those of the settings. `replyMs` is for everything that is neither connect nor the final dot. */
  readonly connectMs: number;
  readonly dataMs: number;
  readonly replyMs: number;
}

export interface LaneKey {
  readonly site: string;
  /** First exchanger's name. */
  readonly mx: string;
  readonly publicId: number;
  /** Local address of the outgoing IP, '' for the system's choice. */
  readonly localAddress: string;
}

/**
 * What something waits for:
 * `quota` a rule's messages per period, `connections` a rule's connections, `back-off`, `warm-up`, `suspension`, `stat` (no server and the
 * share is used up), `dns`, `tls-policy`, `unreachable` (the site rests), `schedule` (retry time, notBefore).
 */
export const HOLD_KINDS = [
  "quota",
  "connections",
  "back-off",
  "warm-up",
  "suspension",
  "stat",
  "dns",
  "tls-policy",
  "unreachable",
  "schedule",
] as const;
export type HoldKind = (typeof HOLD_KINDS)[number];

/** Why nothing moves, for a person. */
export interface Hold {
  readonly kind: HoldKind;
  /** Who or what set it: a rule's id, `operator alice`, a reply rule's id, … */
  readonly by: string;
  /** One sentence; hostile text in it is already made harmless. */
  readonly text: string;
  /** Epoch ms. 0: not known. */
  readonly since: number;
  /** Epoch ms at which it moves by itself; 0: not known (a connection must be given back, somebody must resume it). */
  readonly until: number;
}

/** A permission to hold one connection open to one exchanger address, and to attempt messages over it. */
export interface ConnectionGrant {
  readonly exchanger: Exchanger;
  /** As they are now: rules may change while the connection is open. */
  readonly limits: Limits;
  /** No more messages over this connection: it was revoked, or a rule no longer allows it. What is in flight may end. */
  readonly revoked: boolean;
  /**
   * How many of `wanted` messages may be attempted over it now (0…wanted). With 0 `wake` is called once when asking again is worth it.
   * When the grant is revoked the last `wake` is called, whatever was given. What was given and is not attempted goes back by `unused`.
   */
  messages(wanted: number, wake: () => void): number;
  unused(count: number): void;
  /** Gives the connection back, once. */
  close(): void;
}

export interface Traffic {
  /**
   * One connection to one of `exchangers` (in order of preference), now or when there is room. null once `signal` aborts. Waiters of a
   * lane are served in order. `urgent`: before the others of this process.
   */
  connection(
    lane: LaneKey,
    exchangers: readonly Exchanger[],
    urgent: boolean,
    signal: AbortSignal,
  ): Promise<ConnectionGrant | null>;
  /** What this lane waits for at the quota, or null: it waits for nothing there. */
  hold(lane: LaneKey): Hold | null;
  /** What an attempt, or an attempt at a connection, came to: for statistics, back-off, warm-up. `site`: '' or not given, the last one asked for there. */
  observe(path: Path & { readonly site?: string }, outcome: Outcome, bytes: number): void;
  /** Called whenever a hold of a lane of this public id and site begins or ends, so that weights can be renormalised. */
  onChange(fn: (lane: Pick<LaneKey, "site" | "publicId">) => void): void;
  /** Lane states for "why", told to stat every few seconds: replaces what was told before. */
  tellLanes(lanes: readonly LaneReport[]): void;
  close(): void;
}

/** A lane as its mta sees it. */
export interface LaneReport {
  readonly site: string;
  readonly mx: string;
  readonly publicId: number;
  readonly waiting: number;
  readonly inFlight: number;
  readonly sessions: number;
  /** What the mta itself waits for (DNS, an unreachable site, a TLS policy), or null. */
  readonly hold: Hold | null;
}
