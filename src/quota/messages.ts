/**
 * What a client and the statistics server say to each other: one JSON object a line, at most MOST_LINE octets, over TCP (design §6). Times
 * named `until` are the server's own milliseconds; a client learns them by `ping` and never trusts its own clock for a permission.
 *
 *     server: challenge      client: hello      server: welcome      client: used, and from then on both as they like
 */
import type { MxRules } from "../model/mx-rules.ts";
import type { BackOffLimits } from "../model/reply-rules.ts";
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
      /** Drawn when the process began, 8 to 64 letters of hex: the same member with another one has forgotten what it held. */
      readonly process: string;
      /** The process before this one may have used its share without a server, and its counts are lost. Not given: true. */
      readonly unsure?: boolean;
      /** Connections this member still holds open from before. Messages follow in `used`. */
      readonly held: readonly HeldConnection[];
    }
  /**
   * After each welcome, before anything else: what this process was granted, or took by its share, in the windows that run now. In as many
   * lines as it takes; nothing is granted to it before the last one.
   */
  | { readonly t: "used"; readonly counters: readonly UsedCounter[]; readonly last: boolean }
  /**
   * One connection to any of the exchangers, and up to `messages` for it. Answered by `grant`; `wait` says why not yet. The connection is
   * named by `id`, which this process uses once.
   */
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
  | {
      readonly t: "more";
      readonly id: number;
      readonly conn: number;
      readonly messages: number;
      readonly urgent: boolean;
    }
  | { readonly t: "cancel"; readonly id: number }
  /** Messages given back: not attempted. */
  | { readonly t: "return"; readonly conn: number; readonly back: readonly GivenBack[] }
  /** The connection is closed, and what of its grants was not attempted. */
  | { readonly t: "release"; readonly conn: number; readonly back: readonly GivenBack[] }
  /** The `shares` with this number, and all before, are obeyed from now on. */
  | { readonly t: "told"; readonly seq: number }
  | { readonly t: "report"; readonly paths: readonly PathReport[]; readonly replies: readonly ReplySample[] }
  | { readonly t: "lanes"; readonly lanes: readonly LaneReport[] }
  | { readonly t: "ping"; readonly id: number }
  /** Observers and members: what the server knows. Answered by `answer`. */
  | {
      readonly t: "query";
      readonly id: number;
      readonly what: QueryName;
      readonly args: Readonly<Record<string, unknown>>;
    };

export interface HeldConnection {
  readonly conn: number;
  readonly site: string;
  readonly publicId: number;
  readonly exchanger: Exchanger;
  /** Messages granted for it so far, those given back left out. */
  readonly granted: number;
}

/** Messages not attempted, and the `at` of the grant they came with: they count in the windows of that time. */
export type GivenBack = readonly [at: number, messages: number];

/** Messages of a counter in the minute, the period of five minutes and the day that run: server ms at which each began, and how many. */
export interface UsedCounter {
  readonly counter: string;
  readonly used: readonly [minute: Used, period: Used, day: Used];
}
export type Used = readonly [start: number, messages: number];

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
      /** A member of which nothing was heard for so long is lost. */
      readonly silenceMs: number;
    }
  | {
      readonly t: "grant";
      readonly id: number;
      readonly conn: number;
      /** Index into the exchangers asked for; -1 for `more`. */
      readonly chosen: number;
      /** null for `more`: as before. */
      readonly limits: Limits | null;
      readonly messages: number;
      /** Server ms of the grant. */
      readonly at: number;
      /** Server ms: what is not attempted before it is void, and given back by `return` all the same. */
      readonly until: number;
    }
  /** Told when a request begins to wait, and when the reason changes. */
  | { readonly t: "wait"; readonly id: number; readonly hold: Hold }
  /** Attempt nothing more over these connections; close them. */
  | { readonly t: "revoke"; readonly conns: readonly number[]; readonly hold: Hold }
  /** New limits of connections that stay. */
  | { readonly t: "limits"; readonly conns: readonly number[]; readonly limits: Limits }
  /** Gives back what it holds of messages at once (`return`) and asks anew: the rules have changed. */
  | { readonly t: "void"; readonly conns: readonly number[] }
  /** The rules now, in as many lines as it takes: with them a member knows its share of a counter it never asked for. */
  | { readonly t: "rules"; readonly first: boolean; readonly last: boolean; readonly rules: MxRules }
  /** Curbs that have begun or changed, and ids of those that are over. `all`: there are no others. */
  | { readonly t: "curbs"; readonly all: boolean; readonly curbs: readonly Curb[]; readonly over: readonly string[] }
  /**
   * What this member may use while the server is away: its share of each counter it has a stake in, see Share. Answered by `told`. `all`: of
   * no other counter. `members`: its share is limit ÷ members; 0: it has none yet.
   */
  | {
      readonly t: "shares";
      readonly seq: number;
      readonly members: number;
      readonly all: boolean;
      readonly shares: readonly Share[];
    }
  | { readonly t: "pong"; readonly id: number; readonly now: number }
  | { readonly t: "answer"; readonly id: number; readonly data: unknown }
  /** The server is not the leader, or is going: try the next address. */
  | { readonly t: "leave"; readonly text: string }
  | { readonly t: "error"; readonly text: string };

/**
 * A stake: in each window, this one included, the member may come to floor(limit ÷ (members × 2^halvings)) messages, those granted before
 * counted, and to as many connections. The server keeps that free for it until it was told otherwise and has said so.
 */
export interface Share {
  /** Name of the counter: `rule|publicId|ip` with '' for what the scope leaves out. */
  readonly counter: string;
  /** -1: no stake. */
  readonly halvings: number;
}

/**
 * What a measure above the rules (back-off, breaker, warm-up, suspension) leaves to members that have to go on without the server: nothing, or
 * a second set of limits of which each takes its share, as of a rule's. With the server there, the server itself sees to it.
 */
export interface Curb {
  /** Another one with this id takes its place. */
  readonly id: string;
  /** A site's name; '' for all. Not `exact`: or a mask over exchanger names. */
  readonly site: string;
  readonly exact: boolean;
  /** null: all. */
  readonly publicId: number | null;
  /** Server ms: in force from then on; and until then, 0: as long as nobody says otherwise. */
  readonly from: number;
  readonly until: number;
  readonly hold: Hold;
  /** null: nothing may go. */
  readonly limits: BackOffLimits | null;
  /** Messages an hour that a share is taken of where the rule has no limit. */
  readonly base: number;
}
