/**
 * How many sessions a lane wants: along limit × (1 − e^(−0.023 × demand)) (the curve KumoMTA uses: 1 for 1 message, a quarter for 12, 90 %
 * for 100). When some are open and another one is refused, the lane has found the site's own limit: it goes on with what it has
 * and tries one more after half a minute.
 */
const CEILING_MS = 30_000;

export interface Growth {
  /** Sessions for so many messages under a limit. `now` is monotonic. */
  wish(limit: number, demand: number, sessions: number, now: number): number;
  /** One more than `sessions` was refused. */
  refused(sessions: number, now: number): void;
  /** When one more is tried; Infinity while the site has shown no limit of its own. */
  readonly againAt: number;
}

export function openGrowth(): Growth {
  let ceiling = Number.POSITIVE_INFINITY;
  let againAt = Number.POSITIVE_INFINITY;
  return {
    wish(limit, demand, sessions, now) {
      if (now >= againAt) {
        ceiling = sessions + 1;
        againAt = ceiling < limit ? now + CEILING_MS : Number.POSITIVE_INFINITY;
        if (ceiling >= limit) ceiling = Number.POSITIVE_INFINITY;
      }
      return Math.min(demand, Math.ceil(limit * (1 - Math.exp(-0.023 * demand))), limit, ceiling);
    },
    refused(sessions, now) {
      ceiling = Math.max(1, sessions);
      againAt = now + CEILING_MS;
    },
    get againAt() {
      return againAt;
    },
  };
}
