/**
 * The pace of `smooth`: messages come in portions, one each turn, and what was not taken in its turn is gone. So work that comes late in a
 * window finds one portion and not all that was left of the window, whose limit goes on counting for itself (counter.ts).
 *
 * A portion is what flows in about a second, or one message where less than one does: smaller ones would be a call for each message, larger
 * ones a burst that a receiver sees. Whoever comes late in a turn, as timers do, loses nothing; that is the one portion that may be ahead.
 * Turns follow each other whatever the windows do, so limits that change in between (rules, back-off, machines that come and go) give none
 * twice. What is granted is attempted within HAND_MS or void. Hence of a rate r no more than r × (N + HAND_MS) and three portions is
 * attempted in any time N.
 */
import { createHash } from "node:crypto";

export interface Pace {
  /** Ms at which the turn began. */
  turnAt: number;
  /** Part of it that had passed then: only the first one is not whole. */
  passed: number;
  /** Messages taken in it. */
  used: number;
}

const PORTION_MS = 1000;
/**
 * Messages of a smooth rule are void so long after their grant: sessions that take one a minute would lay by dozens, and send them in one
 * go. Longer than a client keeps what it does not use (4.5 s, client.ts UNUSED_MS), so what it gives back is usually good for others.
 */
export const HAND_MS = 5000;
/** A whole number: it is saved as JSON. */
const ALL = Number.MAX_SAFE_INTEGER;

/** Nothing of the turn that runs `at` is left; `passed` (0 to 1) of it is over. */
export function openPace(at: number, passed = 0): Pace {
  return { turnAt: at, passed, used: ALL };
}

/** Messages that may be taken now where `limit` flow evenly in `lengthMs`, and when the next portion comes. */
export function paced(
  pace: Pace,
  limit: number,
  lengthMs: number,
  at: number,
  portionMs = PORTION_MS,
): { readonly left: number; readonly nextAt: number } {
  if (limit <= 0) return { left: 0, nextAt: Number.POSITIVE_INFINITY };
  const portion = Math.max(1, Math.floor((limit * portionMs) / lengthMs));
  const turnMs = (lengthMs * portion) / limit;
  let next = pace.turnAt + turnMs * (1 - pace.passed);
  if (at >= next) {
    pace.turnAt = next + Math.floor((at - next) / turnMs) * turnMs;
    pace.passed = 0;
    pace.used = 0;
    next = pace.turnAt + turnMs;
  }
  return { left: Math.max(0, portion - pace.used), nextAt: Math.max(at + 1, Math.ceil(next)) };
}

export function take(pace: Pace, messages: number): void {
  pace.used = Math.min(ALL, pace.used + messages);
}

/** Messages taken `at` come back unused: others may have them now, unless they have been void for long. */
export function giveBackTo(pace: Pace, at: number, messages: number): void {
  if (at >= pace.turnAt - HAND_MS) pace.used = Math.max(0, pace.used - messages);
}

/**
 * Which part of its first turn is over for a process that goes on by itself from `at` on: machines that lost the server together know nothing
 * of each other, and would send at the same moment, turn for turn. Another one each time, else a server that comes and goes gave more to some.
 */
export function partPassed(process: string, name: string, at: number): number {
  return (
    createHash("sha256")
      .update(`${process} ${Math.floor(at)} ${name}`)
      .digest()
      .readUInt32BE() /
    2 ** 32
  );
}
