/** What is known of a message, its delivery and the traffic to its site when somebody asks why it does not move, and what the answer is made of. */
import type { DeliveryState, MessageStatus } from "./delivery.ts";
import { type Hold, HOLD_KINDS } from "./traffic.ts";

/**
 * `paused`, `draft`: a command is needed. `in-doubt`: a decision is needed. `no-mta`: no machine is there to send it. `unclaimed`: it is due and
 * no machine has taken it yet. `turn`: a machine has it, and others are before it.
 */
export const WHY_KINDS = [...HOLD_KINDS, "paused", "draft", "in-doubt", "no-mta", "unclaimed", "turn"] as const;
export type WhyKind = (typeof WHY_KINDS)[number];

/** As Hold, with what only the ledger knows. */
export interface WhyHold extends Omit<Hold, "kind"> {
  readonly kind: WhyKind;
  /** null: of no or of every public id. */
  readonly publicId: number | null;
}

export interface Why {
  /** `final`: it waits for nothing any more. `unknown`: the statistics server would have to be asked, and does not answer. */
  readonly state: "final" | "waiting" | "moving" | "unknown";
  readonly sentence: string;
  /** What it waits for first; null when it is final or moving. */
  readonly hold: WhyHold | null;
  /** All that is known to hold it, that one included. */
  readonly holds: readonly WhyHold[];
}

/** The last thing that happened to a message. Texts may be hostile. */
export interface LastEvent {
  readonly type: string;
  readonly at: number;
  readonly code: number;
  readonly enhanced: string;
  readonly stage: string;
  readonly reason: string;
  readonly reply: string;
  readonly mx: string;
}

export interface DeliveryFacts {
  readonly id: number;
  readonly state: DeliveryState;
  readonly stateReason: string;
  readonly commandedBy: string;
  /** Epoch ms; 0: not known. So for all times here. */
  readonly commandedAt: number;
  readonly createdAt: number;
  readonly notBefore: number;
  readonly deadline: number;
}

export interface MessageFacts {
  readonly status: MessageStatus;
  readonly reason: string;
  readonly attempts: number;
  readonly acceptedAt: number;
  /** Of a deferred message. */
  readonly dueAt: number;
  readonly last: LastEvent | null;
  readonly delivery: DeliveryFacts;
  /** The mta that has claimed it, '' for none. */
  readonly owner: string;
  /** When its part is looked at again, 0 for a closed one. */
  readonly partDueAt: number;
  /** mtas that were seen lately, all machines together. */
  readonly mtas: number;
}

/** What is known about the traffic to the site of a domain. */
export type TrafficFacts =
  | { readonly kind: "known"; readonly site: string; readonly holds: readonly WhyHold[] }
  /** The domain takes no mail, or the DNS cannot say where its mail goes. */
  | { readonly kind: "dns"; readonly text: string }
  /** No statistics server answers; `holds`: what the database knows. */
  | { readonly kind: "away"; readonly text: string; readonly holds: readonly WhyHold[] };
