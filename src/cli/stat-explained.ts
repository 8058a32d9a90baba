/** What `postilion stat explain` finds out (stat-explain.ts, stat-explain-now.ts), shows (stat-explain-text.ts), and prints as JSON. */
import type { LimitName } from "../model/mx-rules.ts";
import type { Hold } from "../model/traffic.ts";
import type { CounterAnswer, MeasureAnswer } from "../quota/answers.ts";

export interface Explained {
  readonly target: string;
  /** `none`: the DNS says that it takes no mail. `unanswered`: the DNS does not say where its mail goes. There are no exchangers then. */
  readonly route: "site" | "none" | "unanswered";
  /** How the exchangers were found, or why there are none. */
  readonly way: string;
  readonly exchangers: readonly ExplainedExchanger[];
  /** Outgoing IPs that were looked at. */
  readonly publicIds: readonly number[];
  readonly rules: readonly ExplainedRule[];
  readonly now: ExplainedNow;
}

export interface ExplainedExchanger {
  readonly mx: string;
  readonly addresses: readonly string[];
  /** Why there are none; '' when there are. */
  readonly problem: string;
  /** There may be some: the DNS did not answer. */
  readonly unanswered: boolean;
}

/** A rule, and whom of the exchangers and public ids it is for. */
export interface ExplainedRule {
  readonly id: string;
  readonly origin: string;
  readonly note: string;
  readonly masks: readonly string[];
  readonly range: readonly [number, number] | null;
  readonly exchangers: readonly string[];
  readonly publicIds: readonly number[];
  readonly limits: readonly { readonly name: LimitName; readonly value: string | number; readonly origin: string }[];
  /** How many times the limits of the rule are there for these exchangers and public ids: one for each counter of its scope. */
  readonly counters: number;
}

export interface ExplainedNow {
  /** Why nothing is known, '' when a server answered. */
  readonly problem: string;
  /** The server's epoch ms. */
  readonly at: number;
  readonly states: readonly ExplainedState[];
  /** How many exchangers × public ids were not asked about, to come to an end. */
  readonly unasked: number;
}

/** What is at work for one exchanger from one public id. */
export interface ExplainedState {
  readonly mx: string;
  readonly publicId: number;
  /** Limits that are not those of the rule. */
  readonly changed: readonly { readonly name: LimitName; readonly value: string | number }[];
  readonly hold: Hold | null;
  readonly measures: readonly MeasureAnswer[];
  readonly counters: readonly CounterAnswer[];
  /** Addresses that have a counter of their own by the rule (scope path), but nothing in it yet. */
  readonly uncounted: readonly string[];
  /** What the server's rule says differently from the files; '' for nothing: it has not read them since. */
  readonly differs: string;
}
