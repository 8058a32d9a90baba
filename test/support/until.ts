/**
 * Waiting for a condition in a test, instead of sleeping: asks again every few milliseconds and gives up with a sentence that
 * says what was waited for.
 */

export interface UntilOptions {
  /** Default 20 s: a machine may be slow, and have other things to do. */
  readonly timeoutMs?: number;
  /** What is waited for; part of the error. */
  readonly what?: string;
}

/** Resolves to the first truthy value of `cond`; rejects after the timeout, with the error of the last call if it threw. */
export async function until<T>(cond: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 20_000;
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(25, pauseMs + 2)) {
    let cause: unknown;
    try {
      const value = await cond();
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${options.what ?? "a condition"}`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
