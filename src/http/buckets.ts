/** Token buckets: how often each of many callers may do a thing, averaged over a second or two. Bounded: the least recent caller is forgotten. */
import type { Clock } from "../base/clock.ts";

export interface Buckets {
  /** 0 when the caller may go on; else the seconds to wait. */
  take(caller: string): number;
}

interface Level {
  left: number;
  at: number;
}

/** `perSecond` on average, `burst` at once. */
export function openBuckets(clock: Clock, perSecond: number, burst: number = perSecond * 2): Buckets {
  const levels = new Map<string, Level>();
  const most = 10_000;
  return {
    take(caller) {
      const now = clock.monotonic();
      const level = levels.get(caller) ?? { left: burst, at: now };
      level.left = Math.min(burst, level.left + (Math.max(0, now - level.at) / 1000) * perSecond);
      level.at = now;
      // Last used last: the first of the map is the one to forget.
      levels.delete(caller);
      levels.set(caller, level);
      if (levels.size > most) levels.delete(levels.keys().next().value!);
      if (level.left < 1) return (1 - level.left) / perSecond;
      level.left -= 1;
      return 0;
    },
  };
}
