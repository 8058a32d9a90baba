/**
 * settle(): the one place that decides what the outcome of an attempt means for the message. Pure: same input, same answer.
 *
 * - A remote that speaks of this message (4yz, 5yz at MAIL, RCPT, DATA or the dot) decides for this message.
 * - A session that broke before the dot is tried again on another path at once, twice at most, then the message is deferred.
 * - 421 says "not on this connection" (RFC 5321 §3.8): on a session that had delivered before, the message moves to another one.
 * - Codes under 550 without a status are about the session or the syntax, not about the recipient: deferred, not failed
 *   (spec modules.md §4.5: only 550–599 fail a message).
 * - What stopped a message on our own side (stage `local`) is no attempt: it goes back as it was.
 */
import type { InDoubtPolicy, RetrySchedule } from "./delivery.ts";
import type { Outcome } from "./outcome.ts";
import { type Judge, type Reason, reasonOf } from "./reason.ts";

/** What is known of the message besides the outcome. Times in epoch ms. */
export interface Attempted {
  /** Attempts before this one. */
  readonly attempts: number;
  /** How often it was moved to another path since it was claimed. */
  readonly moves: number;
  /** Messages the session had delivered before this one. */
  readonly deliveredBefore: number;
  readonly retry: RetrySchedule;
  readonly deadline: number;
  readonly inDoubt: InDoubtPolicy;
}

export type Settlement =
  /** Send it again now, on another session or exchanger. */
  | { readonly next: "move" }
  /** Nothing happened that counts: back to where it came from. */
  | { readonly next: "hold" }
  | {
      readonly next: "record";
      readonly status: "sent" | "deferred" | "failed" | "in-doubt";
      readonly event: "sent" | "deferred" | "failed" | "in-doubt";
      /** Of the next try; 0 when there is none. */
      readonly dueAt: number;
      readonly reason: Reason | "";
    };

const MOVES = 2;
/** ±10 %: messages deferred together must not come back together. */
const JITTER = 0.1;

/**
 * @param random in [0, 1), for the jitter of the next try.
 * @param judge the bounce rules in force: they name the reason, and decide nothing of what becomes of the message.
 */
export function settle(outcome: Outcome, message: Attempted, now: number, random: number, judge: Judge): Settlement {
  switch (outcome.kind) {
    case "accepted":
      return record("sent", "sent", 0, "");
    case "in-doubt":
      return settleDoubt(message, now, random);
    case "unroutable":
    case "unrenderable":
    case "expired":
      return record("failed", "failed", 0, reasonOf(outcome, judge));
    case "unreachable":
      if (outcome.stage === "local") return { next: "hold" };
      if (outcome.stage !== "resolve" && message.moves < MOVES) return { next: "move" };
      return defer(outcome, message, now, random, judge);
    case "deferred":
      if (outcome.code === 421 && message.deliveredBefore > 0 && message.moves < MOVES) return { next: "move" };
      return defer(outcome, message, now, random, judge);
    case "rejected":
      if (outcome.code < 550 && !outcome.enhanced.startsWith("5.")) return defer(outcome, message, now, random, judge);
      return record("failed", "failed", 0, reasonOf(outcome, judge));
  }
}

function settleDoubt(message: Attempted, now: number, random: number): Settlement {
  if (message.inDoubt === "hold") return record("in-doubt", "in-doubt", 0, "in-doubt");
  if (message.inDoubt === "assume-sent") return record("sent", "in-doubt", 0, "in-doubt");
  const dueAt = nextTry(message, now, random);
  return dueAt === 0
    ? record("in-doubt", "in-doubt", 0, "in-doubt")
    : record("deferred", "in-doubt", dueAt, "in-doubt");
}

function defer(outcome: Outcome, message: Attempted, now: number, random: number, judge: Judge): Settlement {
  const dueAt = nextTry(message, now, random);
  // The last answer is what the sender wants to know of a message that ran out of time, so it keeps its own reason in the event.
  return dueAt === 0
    ? record("failed", "failed", 0, "expired")
    : record("deferred", "deferred", dueAt, reasonOf(outcome, judge));
}

/** When the next try is due, 0 when that is after the deadline. */
function nextTry(message: Attempted, now: number, random: number): number {
  const delays = message.retry;
  const delay = delays[Math.min(message.attempts, delays.length - 1)] ?? 3600;
  const at = Math.round(now + delay * 1000 * (1 + JITTER * (2 * random - 1)));
  return at > message.deadline ? 0 : at;
}

function record(
  status: "sent" | "deferred" | "failed" | "in-doubt",
  event: "sent" | "deferred" | "failed" | "in-doubt",
  dueAt: number,
  reason: Reason | "",
): Settlement {
  return { next: "record", status, event, dueAt, reason };
}
