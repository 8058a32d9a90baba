/**
 * Messages per period where the governor has its own limit: the hour in periods of five minutes (a longer one when the hour has fewer than
 * twelve messages), or the minute. A period begins at a multiple of its length; what was not used in it is gone. Under a smooth rule they
 * go evenly inside of it (quota/pace.ts), in portions of five seconds: each of them makes the engine look at everybody who waits.
 */
import { type Pace, giveBackTo, openPace, paced, take } from "../../quota/pace.ts";

export interface Meter {
  /** Length and begin of the period that `spent` counts. */
  ms: number;
  at: number;
  spent: number;
  /** When the period ends that is used up; 0: none is. */
  /** … or the next portion comes. */
  fullUntil: number;
  readonly pace: Pace;
}

const HOUR = 3_600_000;
const PERIOD = 300_000;
const MINUTE = 60_000;
const PORTION_MS = 5000;

export function createMeter(): Meter {
  return { ms: PERIOD, at: 0, spent: 0, fullUntil: 0, pace: openPace(0) };
}

/** How many are left in the running period of a limit per hour, or of the portion that is due. */
export function leftOfHour(meter: Meter, perHour: number, smooth: boolean, now: number): number {
  const ms = perHour * PERIOD >= HOUR ? PERIOD : Math.ceil(HOUR / Math.max(1, perHour));
  return left(meter, ms, Math.max(1, Math.floor((perHour * ms) / HOUR)), smooth, now);
}

export function leftOfMinute(meter: Meter, perMinute: number, smooth: boolean, now: number): number {
  return left(meter, MINUTE, Math.max(1, Math.floor(perMinute)), smooth, now);
}

function left(meter: Meter, ms: number, quota: number, smooth: boolean, now: number): number {
  const at = now - (now % ms);
  meter.ms = ms;
  const rest = Math.max(0, quota - (meter.at === at ? meter.spent : 0));
  meter.fullUntil = rest === 0 ? at + ms : 0;
  if (!smooth || rest === 0) return rest;
  const portion = paced(meter.pace, quota, ms, now, PORTION_MS);
  if (portion.left === 0) meter.fullUntil = portion.nextAt;
  return Math.min(rest, portion.left);
}

/** Messages were granted, or given back (negative). What comes back after its period has ended is gone. */
export function spend(meter: Meter, messages: number, now: number): void {
  const at = now - (now % meter.ms);
  if (meter.at !== at) {
    meter.at = at;
    meter.spent = 0;
  }
  meter.spent = Math.max(0, meter.spent + messages);
  if (messages > 0) take(meter.pace, messages);
  else giveBackTo(meter.pace, now, -messages);
}
