/** Waiting times between tries: doubling, bounded, with jitter so that what broke together does not come back together. */

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** 0…1, for tests. */
  readonly random?: () => number;
}

export interface Backoff {
  /** The next wait in ms: between half and all of the step. */
  next(): number;
  /** Starts over: things went well for long enough. */
  reset(): void;
}

export function openBackoff({ firstMs, maxMs, random = Math.random }: BackoffOptions): Backoff {
  let step = firstMs;
  return {
    next() {
      const wait = step * (0.5 + random() / 2);
      step = Math.min(step * 2, maxMs);
      return wait;
    },
    reset() {
      step = firstMs;
    },
  };
}
