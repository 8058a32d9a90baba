/**
 * The passing of time, as an argument. Modules never call `Date.now()` or `setTimeout` for a decision: they are
 * handed a `Clock`, so a test can turn hours in a millisecond (`test/support/clock.ts`).
 */

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds that only ever pass: for intervals. The wall clock may be put forward or back. */
  monotonic(): number;
  /** Calls `fn` once after `ms` milliseconds (0 is allowed; never synchronously). */
  after(ms: number, fn: () => void): Timer;
}

/** The machine's own clock. Timers do not keep the process alive: what is waited for does. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    // Node fires at once for delays over 2^31-1 ms: a far deadline must not become "now".
    const timer = setTimeout(fn, Math.min(Math.max(0, ms), 0x7fffffff));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after `ms`, or at once when the signal aborts (never rejects). The wait keeps the process alive. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
