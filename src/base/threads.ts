/**
 * A pool of threads for work that is only computing, and the only importer of piscina. A thread waits for its next task on a lock
 * (an idle one runs no event loop: no socket or timer may live in it). A task that takes too long loses its thread, and another is started.
 */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { move, Piscina, transferableSymbol, valueSymbol } from "piscina";

export interface Threads<Task, Result> {
  readonly count: number;
  /** Tasks at work or waiting. */
  readonly running: number;
  /** Rejects with what the task threw, or with a TimeoutError after `timeoutMs`; then its thread was ended. */
  run(task: Task, timeoutMs: number): Promise<Result>;
  close(): Promise<void>;
}

/** @param file the worker: its default export is called with a task and returns the result. */
export function openThreads<Task, Result>(file: string, count: number): Threads<Task, Result> {
  const pool = new Piscina<Task, Result>({
    filename: file,
    minThreads: count,
    maxThreads: count,
    concurrentTasksPerWorker: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    atomics: "sync",
    // A small nursery is swept often, and with it the memory of messages that were handed over or sent: with V8's own size 80 MB
    // of them a second wait for the collector.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  let running = 0;
  return {
    count,
    get running() {
      return running;
    },
    async run(task, timeoutMs) {
      running++;
      // A timer of its own, not AbortSignal.timeout: ten thousand of those a minute would wait for the collector.
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), timeoutMs);
      try {
        return await pool.run(task, { signal: late.signal });
      } catch (error) {
        throw late.signal.aborted ? new DOMException(`no result in ${timeoutMs} ms`, "TimeoutError") : error;
      } finally {
        clearTimeout(timer);
        running--;
      }
    },
    close: () => pool.destroy(),
  };
}

/** For a worker's result: the memory named goes over to the caller instead of being copied, the rest is cloned. */
export function handOver<T extends object>(result: T, memory: readonly ArrayBuffer[]): T {
  const moved = {
    get [transferableSymbol]() {
      return memory;
    },
    get [valueSymbol]() {
      return result;
    },
  };
  return move(moved as unknown as Parameters<typeof move>[0]) as unknown as T;
}

/**
 * Called in a thread: makes it give way to the others of the process by `by` steps of niceness, so that the event loop, which answers
 * sockets, comes first. Where the system does not allow it, nothing changes.
 */
export function giveWay(by: number): void {
  try {
    const id = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    if (Number.isInteger(id)) setPriority(id, by);
  } catch {
    return; // no /proc, or no right to: only the order of work changes
  }
}
