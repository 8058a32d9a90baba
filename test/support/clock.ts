/**
 * A clock a test turns by hand: nothing passes until `advance`. Timers fire in the order of their time, and after each one the
 * promises it settled run, so a chain of timers unfolds as it would in life.
 */
import type { Clock } from "../../src/base/clock.ts";

export interface HandClock extends Clock {
  /** Moves the time on by `ms`, firing what is due on the way. */
  advance(ms: number): Promise<void>;
  /** Puts the wall clock forward, or back with a negative number. No time passes: `monotonic` and timers know nothing of it. */
  jump(ms: number): void;
  /** Timers that wait. */
  readonly pending: number;
  /** When the next one fires, epoch ms; Infinity when none waits. */
  readonly nextAt: number;
}

/** Starts at 2026-01-01T00:00:00Z unless told otherwise (epoch ms). */
export function handClock(startAt: number = Date.UTC(2026, 0, 1)): HandClock {
  let now = startAt;
  /** How far the wall clock was put forward since. */
  let ahead = 0;
  let order = 0;
  const timers = new Set<{ at: number; order: number; fn: () => void }>();
  const next = () => [...timers].sort((a, b) => a.at - b.at || a.order - b.order)[0];
  // A macrotask: everything that promises can do without time has then been done.
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    now: () => now + ahead,
    monotonic: () => now,
    after(ms, fn) {
      const timer = { at: now + Math.max(0, ms), order: order++, fn };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (let timer = next(); timer !== undefined && timer.at <= until; timer = next()) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.fn();
        await settle();
      }
      now = until;
    },
    jump(ms) {
      ahead += ms;
    },
    get pending() {
      return timers.size;
    },
    get nextAt() {
      return (next()?.at ?? Infinity) + ahead;
    },
  };
}
