/**
 * GET /v1/deliveries/{id}/events: progress as server-sent events: one at once, then one whenever something changed, at most one a second,
 * and `finished` at the end. All streams of a delivery share one look at the database a second.
 */
import { findDelivery, type DeliveryRecord } from "../db/deliveries.ts";
import { openEventStreams } from "../http/event-stream.ts";
import { Problem } from "../http/problem.ts";
import { progressAnswer } from "./answers.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId } from "./requests.ts";
import { addRoute } from "./route/route.ts";

const MOST_STREAMS = 200;
const LOOK_MS = 1_000;

export function addProgressRoute(context: ApiContext): void {
  const { sql, server, clock, log } = context;
  const streams = openEventStreams(MOST_STREAMS);
  server.addHook("preClose", async () => streams.close());
  const looks = new Map<number, { at: number; found: Promise<DeliveryRecord | null> }>();

  /** The delivery as it was at most a second ago. */
  function look(id: number): Promise<DeliveryRecord | null> {
    const last = looks.get(id);
    if (last !== undefined && clock.monotonic() - last.at < LOOK_MS - 50) return last.found;
    const found = findDelivery(sql, id);
    looks.set(id, { at: clock.monotonic(), found });
    if (looks.size > MOST_STREAMS) looks.delete(looks.keys().next().value!);
    return found;
  }

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/events",
    scope: "deliveries:read",
    summary: "Progress as server-sent events: progress, then finished",
    params: byId,
    long: true,
    async handle({ params, reply }) {
      const first = await look(params.id);
      if (first === null) throw absent();
      const stream = streams.open(reply);
      if (stream === null) throw new Problem(429, `${MOST_STREAMS} event streams are open already`, { retryAfter: 30 });
      let told = "";
      const tell = (d: DeliveryRecord): void => {
        const answer = { id: d.id, state: d.state, ...progressAnswer(d, clock.now()) };
        // The estimate moves by itself: it alone is no change.
        const now = JSON.stringify({ state: d.state, counters: d.counters });
        if (now !== told) stream.send("progress", answer);
        told = now;
        if (d.state === "finished" || d.state === "stopped") {
          stream.send("finished", answer);
          stream.end();
        }
      };
      tell(first);
      const again = (): void => {
        if (stream.signal.aborted) return;
        clock.after(LOOK_MS, () => {
          if (stream.signal.aborted) return;
          look(params.id)
            .then((d) => (d === null ? stream.end() : tell(d)))
            // The database is away for a moment: the next look tells.
            .catch((err: unknown) => log.debug({ err }, "no progress to be had"))
            .finally(again);
        });
      };
      again();
      return undefined;
    },
  });
}
