/**
 * What a client and the statistics server say to each other: one JSON object a line, at most MOST_LINE octets, over TCP (design §6). Times
 * named `until` are the server's own milliseconds; a client learns them by `ping` and never trusts its own clock for a permission.
 *
 *     server: challenge      client: hello      server: welcome, and from then on both as they like
 */
import type { Hold, Limits, Exchanger, LaneReport } from "../model/traffic.ts";

export const PROTOCOL = 1;
export const MOST_LINE = 256 * 1024;

export type ClientMessage =
  | {
      /** proof = hex HMAC-SHA256(secret, `postilion-client ${server nonce} ${nonce} ${member}`). */
      readonly t: "hello";
      readonly v: number;
      /** `machine/slot`: a process, the unit of shares and fair turns. Observers (web, command line) have role `observer` and no share. */
      readonly member: string;
      readonly role: "member" | "observer";
      readonly nonce: string;
      readonly proof: string;
      /** Connections this member still holds open from before, and messages it attempted in the current period by path (after a loss). */
      readonly held: readonly HeldConnection[];
    }
  /** One connection to any of the exchangers, and up to `messages` for it. Answered by `grant`; `wait` says why not yet. */
  | {
      readonly t: "acquire";
      readonly id: number;
      readonly site: string;
      readonly publicId: number;
      readonly exchangers: readonly Exchanger[];
      readonly messages: number;
      readonly urgent: boolean;
    }
  /** More messages for a connection that is held. Answered by `grant` with the same `conn`. */
  | { readonly t: "more"; readonly id: number; readonly conn: number; readonly messages: number; readonly urgent: boolean }
  | { readonly t: "cancel"; readonly id: number }
  /** Messages given back: not attempted. */
  | { readonly t: "return"; readonly conn: number; readonly messages: number }
  /** The connection is closed, `messages` of its grant were not attempted. */
  | { readonly t: "release"; readonly conn: number; readonly messages: number }
  | { readonly t: "report"; readonly paths: readonly PathReport[]; readonly replies: readonly ReplySample[] }
  | { readonly t: "lanes"; readonly lanes: readonly LaneReport[] }
  | { readonly t: "ping"; readonly id: number }
  /** Observers and members: what the server knows. Answered by `answer`. */
  | { readonly t: "query"; readonly id: number; readonly what: QueryName; readonly args: Readonly<Record<string, unknown>> };

export interface HeldConnection {
  readonly conn: number;
  readonly site: string;
  readonly publicId: number;
  readonly exchanger: Exchanger;
  /** Messages attempted over it in the period that was running when the server was lost, and since. */
  readonly attempted: number;
  /** Still granted and not attempted. */
  readonly messages: number;
}

/** Counts since the last report, per path. */
export interface PathReport extends Exchanger {
  readonly site: string;
  readonly publicId: number;
  readonly connects: number;
  readonly refused: number;
  readonly timedOut: number;
  readonly aborted: number;
  readonly attempts: number;
  readonly accepted: number;
  readonly deferred: number;
  readonly rejected: number;
  readonly bytes: number;
  /** Sum of latencies of attempts, ms. */
  readonly latencyMs: number;
}

/** A reply that may matter to back-off rules: every 4yz and 5yz and every failed connection, text cut to 300 characters. */
export interface ReplySample extends Exchanger {
  readonly site: string;
  readonly publicId: number;
  readonly stage: string;
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  readonly count: number;
}

export const QUERIES = ["sites", "site", "lanes", "explain", "members", "counters", "warm-up", "reload"] as const;
export type QueryName = (typeof QUERIES)[number];

export type ServerMessage =
  | { readonly t: "challenge"; readonly v: number; readonly nonce: string }
  /** proof = hex HMAC-SHA256(secret, `postilion-server ${client nonce} ${server nonce}`): the client checks whom it talks to. */
  | {
      readonly t: "welcome";
      readonly proof: string;
      readonly now: number;
      /** Members now, this one included. */
      readonly members: number;
      /** How long a member may go on by its share when the server is gone. */
      readonly horizonMs: number;
      /** Names of the `held` connections that are not accepted: close them. */
      readonly refused: readonly number[];
      /** Server numbers (conn) given anew to the accepted ones: old → new. */
      readonly renamed: readonly (readonly [old: number, now: number])[];
    }
  | {
      readonly t: "grant";
      readonly id: number;
      readonly conn: number;
      /** Index into the exchangers asked for; -1 for `more`. */
      readonly chosen: number;
      readonly limits: Limits;
      readonly messages: number;
      /** Server ms: what is not attempted before it is void. 0: no end. */
      readonly until: number;
    }
  /** Told when a request begins to wait, and when the reason changes. */
  | { readonly t: "wait"; readonly id: number; readonly hold: Hold }
  /** Attempt nothing more over these connections; close them. */
  | { readonly t: "revoke"; readonly conns: readonly number[]; readonly hold: Hold }
  /** New limits of connections that stay. */
  | { readonly t: "limits"; readonly conns: readonly number[]; readonly limits: Limits }
  /** What this member may use of each counter it takes part in while the server is away; replaces what was told for those counters. */
  | { readonly t: "shares"; readonly members: number; readonly shares: readonly Share[] }
  | { readonly t: "pong"; readonly id: number; readonly now: number }
  | { readonly t: "answer"; readonly id: number; readonly data: unknown }
  /** The server is not the leader, or is going: try the next address. */
  | { readonly t: "leave"; readonly text: string }
  | { readonly t: "error"; readonly text: string };

export interface Share {
  /** Name of the counter: `rule|publicId|ip` with '' for what the scope leaves out. */
  readonly counter: string;
  readonly connections: number;
  /** Messages of the running period that are kept for this member (attempted ones not included), and when it ends (server ms). */
  readonly messages: number;
  readonly periodEnd: number;
  /** Per later period. 0: no limit. */
  readonly perPeriod: number;
  readonly periodMs: number;
}
