/** What the parts of the statistics server are to each other. All of it is deterministic: time comes in, nothing asks a clock. */
import type { MxRules } from "../model/mx-rules.ts";
import type { Exchanger, Hold, Limits, Path } from "../model/traffic.ts";
import type { ClientMessage, Curb, PathReport, ReplySample, ServerMessage } from "../quota/messages.ts";

/** The quotas: who holds which connections and messages, who waits for what. No sockets, no timers: `tick` is called at `nextAt`. */
export interface Engine {
  /** A member or observer said hello and was believed. Sends `welcome` (without the proof: the server adds it) and what follows. */
  join(
    member: string,
    hello: Extract<ClientMessage, { t: "hello" }>,
    now: number,
    send: (m: ServerMessage) => void,
  ): void;
  /** Its connection is lost. Its share is kept for it until the horizon. */
  leave(member: string, now: number): void;
  /** Every message of a member but `hello`, `report`, `lanes` and `query`. An Error's message goes to the client, which is cut off. */
  handle(member: string, message: ClientMessage, now: number): void;
  /** The paths of a `report`: octets are charged to rules with a limit of them. */
  charge(member: string, paths: readonly PathReport[], now: number): void;
  setRules(rules: MxRules, now: number): void;
  /** Limits or holds of the governor changed for these (null: for all): look again at who waits and who must stop. */
  reconsider(which: { readonly site?: string; readonly publicId?: number } | null, now: number): void;
  /** Server ms of the next thing that happens by itself (a period begins, a horizon ends); Infinity for none. */
  nextAt(): number;
  tick(now: number): void;
  /** Everything that must survive a restart, as JSON. */
  snapshot(now: number): unknown;
  /**
   * The last snapshot is stored. Between two of them a member gets one share of a limit at most, and a new member nothing: so whatever
   * happens, a restored server knows what may have been granted since. Without this call hardly anything is granted.
   */
  saved(now: number): void;
  /** Somebody waits for the next snapshot to be stored: take one soon (asked after each turn; not more often than every 100 ms or so). */
  wantsSave(): boolean;
  /** Before the first join. Members in it are taken for lost at `at`: their shares are kept until the horizon. */
  restore(snapshot: unknown, now: number): void;
  counters(now: number): readonly CounterState[];
}

export interface CounterState {
  readonly counter: string;
  readonly rule: string;
  readonly publicId: number | null;
  readonly ip: string;
  readonly connections: number;
  readonly connectionLimit: number;
  /** Attempts granted in the running period (or day, minute), and their limits; 0: none. */
  readonly spent: number;
  readonly periodLimit: number;
  readonly periodEnd: number;
  readonly waiting: number;
  readonly members: readonly { readonly member: string; readonly connections: number; readonly spent: number }[];
}

/** What stands above the rules: back-off, circuit breaker, warm-up, suspensions. Asked for each path at each grant: must be cheap. */
export interface Governor {
  /** What may go on a path now, under the limits of its rule. */
  govern(site: string, path: Path, limits: Limits, now: number): Governed;
  /** Messages were granted on a path (warm-up counts them), or given back (negative). */
  granted(site: string, path: Path, messages: number, now: number): void;
  observe(report: readonly PathReport[], replies: readonly ReplySample[], now: number): void;
  nextAt(): number;
  tick(now: number): void;
  /** Called when something began, ended or changed. Set once. */
  onChange(fn: (which: { readonly site?: string; readonly publicId?: number } | null) => void): void;
  snapshot(): unknown;
  restore(snapshot: unknown, now: number): void;
  /** What is at work, for people. */
  list(now: number): readonly Measure[];
  /** And what of it machines are to keep to when they go on without the server. */
  curbs(now: number): readonly Curb[];
}

/** Measures count by site × public id, whatever the scope of the rule is: so these come beside the rule's own counters, never in them. */
export interface Governed {
  /**
   * The given limits, the same object when nothing is at work; else with tighter values, for the client and for people (the object is the
   * same one as long as nothing changes). The counters of the rule go on with the rule's own limits.
   */
  readonly limits: Limits;
  /** Nothing may go at all, and why. */
  readonly hold: Hold | null;
  /** At most so many connections at once of this site × public id; Infinity: as the rule says. */
  readonly connections: number;
  /** At most so many messages may be granted on this site × public id now (then say so by `granted`); Infinity: as the rule says. 0 only with a hold. */
  readonly messages: number;
}

/** Something the governor does now, or did. */
export interface Measure {
  readonly kind: "back-off" | "suspension" | "warm-up" | "breaker";
  readonly site: string;
  /** null: all. */
  readonly publicId: number | null;
  /** `limits`, `stop` (nothing goes), `probe` (half open), `ramp`. */
  readonly stage: "limits" | "stop" | "probe" | "ramp";
  readonly by: string;
  readonly reason: string;
  readonly since: number;
  /** 0: until somebody ends it. */
  readonly until: number;
}

/** A suspension as an operator sets it: by site, by public id, by both, by delivery. */
export interface Suspension {
  readonly id: number;
  /** '' for all. A site's name or a mask over exchanger names. */
  readonly site: string;
  readonly publicId: number | null;
  readonly reason: string;
  readonly by: string;
  readonly since: number;
  /** Epoch ms; 0: until resumed. */
  readonly until: number;
}

export type { Exchanger };
