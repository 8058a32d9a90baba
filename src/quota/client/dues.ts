/** Several things that are due at a time, with one timer for the earliest. Nothing due, no timer. Times are the clock's `monotonic`. */
import type { Clock, Timer } from "../../base/clock.ts";

export interface Dues<Name extends string> {
  /** Due then, or at the earlier time it had already. */
  by(name: Name, at: number): void;
  never(name: Name): void;
  close(): void;
}

/** `run` is called with what is due, which is then no longer due. */
export function openDues<Name extends string>(clock: Clock, run: (name: Name) => void): Dues<Name> {
  const dues = new Map<Name, number>();
  let timer: Timer | null = null;
  let timerAt = Number.POSITIVE_INFINITY;
  let closed = false;

  function arm(): void {
    let at = Number.POSITIVE_INFINITY;
    for (const due of dues.values()) at = Math.min(at, due);
    // A timer that comes too early finds nothing to do and is set again: cheaper than a new one for each change.
    if (closed || at >= timerAt) return;
    timer?.cancel();
    timerAt = at;
    timer = clock.after(Math.max(0, at - clock.monotonic()), ring);
  }

  function ring(): void {
    timer = null;
    timerAt = Number.POSITIVE_INFINITY;
    const now = clock.monotonic();
    const due = [...dues].filter(([, at]) => at <= now);
    for (const [name] of due) dues.delete(name);
    for (const [name] of due) if (!closed) run(name);
    arm();
  }

  return {
    by(name, at) {
      if (at >= (dues.get(name) ?? Number.POSITIVE_INFINITY)) return;
      dues.set(name, at);
      arm();
    },
    never: (name) => void dues.delete(name),
    close() {
      closed = true;
      timer?.cancel();
      dues.clear();
    },
  };
}
