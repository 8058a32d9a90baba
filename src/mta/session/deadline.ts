/**
 * One timer for all the waits of a session. Moving the deadline is two numbers: the timer stays armed for the earliest time it was ever
 * asked for, and when it fires too early it is armed anew. A session that works moves its deadline several times a message; this way it
 * touches a real timer once in minutes.
 */
import type { Clock, Timer } from "../../base/clock.ts";

export interface Deadline {
  /** When the next wait may end, on the clock's `monotonic`; Infinity: none. */
  set(at: number): void;
  close(): void;
}

export function openDeadline(clock: Clock, passed: () => void): Deadline {
  let at = Infinity;
  let timer: Timer | null = null;
  let timerAt = Infinity;

  function arm(): void {
    timer?.cancel();
    timerAt = at;
    timer = clock.after(at - clock.monotonic(), fire);
  }
  function fire(): void {
    timer = null;
    timerAt = Infinity;
    if (at === Infinity) return;
    if (clock.monotonic() < at) return arm();
    at = Infinity;
    passed();
  }
  return {
    set(next) {
      at = next;
      if (at < timerAt) arm();
    },
    close() {
      at = Infinity;
      timer?.cancel();
      timer = null;
      timerAt = -Infinity; // never armed again
    },
  };
}
