/**
 * A leader's time: the database's clock, so that one leader after another counts the same periods, carried on by a clock that only ever
 * passes. What the database says later moves it by a hundredth at most: a clock that is put forward by an hour must not end a dozen
 * periods at once, and one that is put back must not end none for an hour.
 */
import type { Clock } from "./clock.ts";

export interface ServerTime {
  /** Epoch ms. Never goes back. */
  now(): number;
  /** The database said `now` in answer to a question asked at `askedAt` (the clock's `monotonic`). How far this one was from it, ms. */
  hear(now: number, askedAt: number): number;
  /** An earlier leader stopped at `at`: time goes on from there when the database's clock was put back since. */
  goOnFrom(at: number): void;
}

const SLEW = 0.01;

export function openServerTime(clock: Clock, databaseNow: number, askedAt: number): ServerTime {
  const middle = (askedAt + clock.monotonic()) / 2;
  let offset = databaseNow - middle;
  let heardAt = middle;
  let last = 0;
  return {
    now() {
      last = Math.max(last, Math.round(clock.monotonic() + offset));
      return last;
    },
    hear(now, asked) {
      const at = (asked + clock.monotonic()) / 2;
      const error = now - at - offset;
      const most = Math.max(0, at - heardAt) * SLEW;
      offset += Math.min(most, Math.max(-most, error));
      heardAt = at;
      return error;
    },
    goOnFrom(at) {
      offset += Math.max(0, at - (clock.monotonic() + offset));
    },
  };
}
