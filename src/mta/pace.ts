/** How fast a lane moves, from the last few seconds; what a queue of a length means in time. */
import type { Clock } from "../base/clock.ts";

export interface Pace {
  /** One message left the lane. */
  moved(): void;
  /** The lane was empty until now: what it did not do then says nothing. */
  reset(): void;
  /** How long the last of `length` messages will wait, ms; 0 while nothing is known yet. */
  waitMs(length: number): number;
  /** For a while nothing might go: what it did around that says little of what it can do. */
  interrupt(): void;
  /** What is known comes from such a time. */
  readonly interrupted: boolean;
}

const PERIOD_MS = 3000;

export function openPace(clock: Clock): Pace {
  let since = clock.monotonic();
  let count = 0;
  /** Messages per ms of the period before; -1 before the first one has passed. */
  let rate = -1;
  let interrupted = false;
  let interruptedNow = false;

  function turn(): void {
    const elapsed = clock.monotonic() - since;
    if (elapsed < PERIOD_MS) return;
    rate = count / elapsed;
    since = clock.monotonic();
    count = 0;
    interrupted = interruptedNow;
    interruptedNow = false;
  }

  return {
    moved() {
      turn();
      count++;
    },
    reset() {
      since = clock.monotonic();
      count = 0;
      rate = -1;
      interrupted = interruptedNow = false;
    },
    waitMs(length) {
      turn();
      if (rate < 0) return 0;
      return rate === 0 ? Number.POSITIVE_INFINITY : length / rate;
    },
    interrupt() {
      // The last period may lie in that time altogether.
      interrupted = interruptedNow = true;
    },
    get interrupted() {
      return interrupted;
    },
  };
}
