/**
 * Messages per period where the governor has its own limit: the hour in periods of five minutes (a longer one when the hour has fewer than
 * twelve messages), or the minute. A period begins at a multiple of its length; what was not used in it is gone.
 */
export interface Meter {
  /** Length and begin of the period that `spent` counts. */
  ms: number;
  at: number;
  spent: number;
  /** When the period ends that is used up; 0: none is. */
  fullUntil: number;
}

const HOUR = 3_600_000;
const PERIOD = 300_000;
const MINUTE = 60_000;

export function createMeter(): Meter {
  return { ms: PERIOD, at: 0, spent: 0, fullUntil: 0 };
}

/** How many are left in the running period of a limit per hour. */
export function leftOfHour(meter: Meter, perHour: number, now: number): number {
  const ms = perHour * PERIOD >= HOUR ? PERIOD : Math.ceil(HOUR / Math.max(1, perHour));
  return left(meter, ms, Math.max(1, Math.floor((perHour * ms) / HOUR)), now);
}

export function leftOfMinute(meter: Meter, perMinute: number, now: number): number {
  return left(meter, MINUTE, Math.max(1, Math.floor(perMinute)), now);
}

function left(meter: Meter, ms: number, quota: number, now: number): number {
  const at = now - (now % ms);
  meter.ms = ms;
  const rest = Math.max(0, quota - (meter.at === at ? meter.spent : 0));
  meter.fullUntil = rest === 0 ? at + ms : 0;
  return rest;
}

/** Messages were granted, or given back (negative). What comes back after its period has ended is gone. */
export function spend(meter: Meter, messages: number, now: number): void {
  const at = now - (now % meter.ms);
  if (meter.at !== at) {
    meter.at = at;
    meter.spent = 0;
  }
  meter.spent = Math.max(0, meter.spent + messages);
}
