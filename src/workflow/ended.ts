/**
 * When deliveries ended. A hit that comes later than that was not made on the way to the reader, so nobody has to look up when its message was sent:
 * most hits do. What has ended is remembered for a minute (a message in doubt may still be sent again), and not too much of it.
 */
import type { Clock } from "../base/clock.ts";
import type { Sql } from "../db/sql.ts";
import { readEnded } from "../db/tracking-state.ts";

export interface EndedDeliveries {
  /** Epoch ms by delivery, of those of the asked that have ended. */
  of(deliveries: Iterable<number>): Promise<ReadonlyMap<number, number>>;
}

const KEPT_MS = 60_000;
const MOST = 10_000;

export function openEndedDeliveries(sql: Sql, clock: Pick<Clock, "monotonic">): EndedDeliveries {
  let ended = new Map<number, number>();
  let since = clock.monotonic();
  return {
    async of(deliveries) {
      if (ended.size > MOST || clock.monotonic() - since > KEPT_MS) {
        ended = new Map();
        since = clock.monotonic();
      }
      const wanted = new Set(deliveries);
      const unknown = [...wanted].filter((id) => id !== 0 && !ended.has(id));
      for (const [id, at] of await readEnded(sql, unknown)) ended.set(id, at);
      return ended;
    },
  };
}
