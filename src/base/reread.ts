/**
 * What is in files and may be changed while the process runs (keys, certificates): read again every so often. What cannot be read is complained of,
 * and the last good version stays in use.
 */
import type { Clock, Timer } from "./clock.ts";
import type { Log } from "./log.ts";

export interface Reread<T> {
  readonly current: T;
  /** From 1; counts up with each change. */
  readonly version: number;
  close(): void;
}

export interface RereadOptions<T> {
  /** What it is called in the log: "keys". */
  readonly what: string;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
  read(): T;
  /** A text that differs when the thing does. */
  mark(value: T): string;
  /** Called after each change, not at the first reading. */
  changed?(value: T): void;
}

/** Throws what `read` throws the first time. */
export function openReread<T>({ what, everyMs, clock, log, read, mark, changed }: RereadOptions<T>): Reread<T> {
  let current = read();
  let known = mark(current);
  let version = 1;
  let timer: Timer = clock.after(everyMs, again);

  function again(): void {
    try {
      const next = read();
      const text = mark(next);
      if (text !== known) {
        known = text;
        current = next;
        version++;
        changed?.(next);
        log.info({ version }, `${what} reloaded`);
      }
    } catch (error) {
      log.error({ err: error }, `${what} cannot be read again; the last ones stay in use`);
    }
    timer = clock.after(everyMs, again);
  }

  return {
    get current() {
      return current;
    },
    get version() {
      return version;
    },
    close: () => timer.cancel(),
  };
}
