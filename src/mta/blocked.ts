/**
 * How long nothing of a lane may go although something waits: after a second the lane is shut (nothing more is claimed for it), after ten it is
 * parked: its messages wait in the database, where they cost nothing, and it keeps one request at the quota, whose grant calls them
 * back. What comes all the same (parts of many domains) goes back for as long as the lane has been parked: 10 s to 5 min.
 */
import type { Clock } from "../base/clock.ts";
import type { Hold } from "../model/traffic.ts";

const STUCK_MS = 250;
const SHUT_MS = 1000;
const PARK_MS = 10_000;
const PARK_MOST_MS = 300_000;

export interface Blocked {
  readonly parked: boolean;
  /** Monotonic; 0: something may go. */
  readonly since: number;
  readonly shut: boolean;
  /** For longer than it takes to ask the quota. */
  readonly stuck: boolean;
  /** Nothing may go now. Returns when (monotonic) it has to be looked at again; Infinity: nothing changes by itself. */
  mark(): number;
  /** Something may go. */
  clear(): void;
  /** Until when (epoch ms) a message that is given back need not be looked at. */
  notBefore(hold: Hold | null): number;
}

/** @param parkMs when it is parked; default PARK_MS. @param since of a lane that goes on where another one was. */
export function openBlocked(clock: Clock, parkMs = PARK_MS, since = 0): Blocked {
  const forMs = (): number => (since === 0 ? 0 : clock.monotonic() - since);
  let parked = since > 0 && forMs() >= parkMs;
  return {
    get since() {
      return since;
    },
    get parked() {
      return parked;
    },
    get shut() {
      return forMs() >= SHUT_MS;
    },
    get stuck() {
      return forMs() >= STUCK_MS;
    },
    mark() {
      since ||= clock.monotonic();
      parked ||= forMs() >= parkMs;
      if (parked) return Number.POSITIVE_INFINITY;
      const next = [STUCK_MS, SHUT_MS, parkMs].find((ms) => forMs() < ms) ?? parkMs;
      return since + next;
    },
    clear() {
      since = 0;
      parked = false;
    },
    notBefore(hold) {
      const now = clock.now();
      const known = hold !== null && hold.until > now;
      const most = now + PARK_MOST_MS;
      return Math.min(most, known ? hold.until : now + Math.max(PARK_MS, forMs()));
    },
  };
}
