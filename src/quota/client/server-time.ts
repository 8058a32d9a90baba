/**
 * What the server's clock says, between two bounds. Each question answered tells that the server said `now` some time between asking and
 * hearing; from then on the bounds drift apart. A permission is used only while the later bound has not passed its end, a share only where
 * both bounds lie in one window, so no clock of this machine is ever trusted, only that it ticks.
 */

export interface ServerTime {
  /** The server said `now`; asked and heard on the monotonic clock. */
  heard(now: number, askedAt: number, at: number): void;
  /** At the monotonic time `at` the server's clock shows at least this; -Infinity before anything was heard. */
  early(at: number): number;
  /** And at most this. */
  late(at: number): number;
  /** The monotonic time at which the server's clock surely shows `time`. */
  surely(time: number, at: number): number;
  /** Another server: what was heard of the last one says nothing of it. */
  forget(): void;
}

/** Both clocks may run wrong: ours by some 0.01 %, the server's by up to 1 % while it is put right (base/server-time.ts). */
const DRIFT = 0.0105;

export function openServerTime(): ServerTime {
  let low = Number.NEGATIVE_INFINITY;
  let lowAt = 0;
  let high = Number.POSITIVE_INFINITY;
  let highAt = 0;
  const early = (at: number): number => low + (at - lowAt) * (1 - DRIFT);
  const late = (at: number): number => high + (at - highAt) * (1 + DRIFT);
  return {
    early,
    late,
    heard(now, askedAt, at) {
      if (now > early(at)) {
        low = now;
        lowAt = at;
      }
      const most = now + (at - askedAt) * (1 + DRIFT);
      if (most < late(at)) {
        high = most;
        highAt = at;
      }
    },
    surely: (time, at) => at + Math.max(0, time - early(at)) / (1 - DRIFT),
    forget() {
      low = Number.NEGATIVE_INFINITY;
      high = Number.POSITIVE_INFINITY;
    },
  };
}
