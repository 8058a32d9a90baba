/**
 * Those who wait for the log to grow (long polls of the tracking workflow). They are called a moment after the first record, not at it: under load each
 * would otherwise get the few records of one sync, thousands of times a second.
 */
import type { Clock } from "../../base/clock.ts";

export interface Waits {
  /** Resolves when the log has grown beyond `after`, or after `ms`, or when the signal aborts, or at once when too many wait already. */
  wait(ms: number, after: number, signal: AbortSignal): Promise<void>;
  grown(end: number): void;
  /** Calls all. */
  close(): void;
}

/** Far more than there are workflows. */
const MOST = 32;
const GATHER_MS = 100;

export function openWaits(clock: Clock): Waits {
  const waiting = new Set<{ readonly after: number; readonly call: () => void }>();
  let gathering = { cancel: (): void => {} };
  let gathers = false;
  let closed = false;
  let last = 0;
  return {
    wait(ms, after, signal) {
      if (ms <= 0 || closed || signal.aborted || waiting.size >= MOST) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = clock.after(ms, call);
        const waits = { after, call };
        function call(): void {
          waiting.delete(waits);
          timer.cancel();
          signal.removeEventListener("abort", call);
          resolve();
        }
        signal.addEventListener("abort", call, { once: true });
        waiting.add(waits);
      });
    },
    grown(end) {
      last = end;
      if (gathers || waiting.size === 0) return;
      gathers = true;
      gathering = clock.after(GATHER_MS, () => {
        gathers = false;
        for (const { after, call } of waiting) if (after < last) call();
      });
    },
    close() {
      closed = true;
      gathering.cancel();
      for (const { call } of waiting) call();
    },
  };
}
