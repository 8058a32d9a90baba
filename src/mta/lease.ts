/**
 * The lease of everything this mta has claimed: renewed four times in its length, and trusted a tenth less than it lasts. It is held
 * against the wall clock as well as the monotonic one, because a machine that was suspended comes back with the second one unmoved; whoever
 * wakes up after its lease must not write a dot before it has asked.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";

export interface Lease {
  /** True while the parts claimed are ours for certain. */
  holds(): boolean;
  close(): void;
}

export interface LeaseDeps {
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly log: Log;
  /** Prolongs the lease of all parts; throws when the database does not answer. */
  renew(): Promise<void>;
  /** The lease had run out and has been renewed: what is in memory must be held against the database. */
  regained(): void;
}

export function openLease(deps: LeaseDeps): Lease {
  const { clock, leaseMs, log } = deps;
  let until = clock.now() + leaseMs;
  let untilMonotonic = clock.monotonic() + leaseMs;
  let expired = false;
  let closed = false;
  let timer: Timer | null = null;

  const holds = (): boolean => {
    const margin = leaseMs / 10;
    return clock.now() < until - margin && clock.monotonic() < untilMonotonic - margin;
  };

  async function beat(): Promise<void> {
    if (closed) return;
    const began = clock.now();
    const beganMonotonic = clock.monotonic();
    if (!holds() && !expired) {
      expired = true;
      log.warn({}, "the lease ran out: nothing is sent until it is renewed");
    }
    try {
      await inTime(deps.renew());
      until = began + leaseMs;
      untilMonotonic = beganMonotonic + leaseMs;
      if (expired) {
        expired = false;
        deps.regained();
      }
    } catch (error) {
      log.warn({ err: error }, "the lease cannot be renewed");
    }
    if (!closed) timer = clock.after(leaseMs / 4, () => void beat());
  }

  /** A connection that swallows everything would hold the beat for as long as TCP hopes, though the database is back. */
  function inTime(work: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<never>();
    const limit = clock.after(leaseMs / 2, () => late.reject(new Error("the database does not answer in time")));
    return Promise.race([work, late.promise]).finally(() => limit.cancel());
  }

  timer = clock.after(leaseMs / 4, () => void beat());
  return {
    holds,
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}
