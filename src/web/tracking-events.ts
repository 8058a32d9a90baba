/**
 * GET /v1/events: every hit of every delivery, in order, a JSON object a line, behind a cursor.
 *
 * Nothing is ever skipped: one process at a time consolidates, and each batch takes its ids behind the fence, which it holds until it is committed
 * (db/tracking-commit.ts). So where an id can be seen all lower ones can be seen, and reading on behind the highest misses none. (With
 * several writers a lower id could be committed later than a higher one.) An answer is the rows up to an id that is fixed before the first is
 * sent: `x-next-cursor`.
 */
import { Readable } from "node:stream";
import { z } from "zod";
import { endOfEvents, type EventQuery, trackingEvents } from "../db/tracking-events.ts";
import type { ApiContext } from "./context.ts";
import { EVENT_NAMES, kindOf, trackingEventAnswer } from "./reactions-answers.ts";
import { cursor } from "./requests.ts";
import { openPlaces } from "./route/places.ts";
import { addRoute } from "./route/route.ts";

const MOST_STREAMS = 16;
const PAGE = 1_000;
/** Pages that are read before they are asked for. */
const AHEAD = { highWaterMark: 1 };

const page = z.strictObject({
  cursor: cursor.describe("The x-next-cursor of the last answer; absent: from the beginning"),
  delivery: z
    .string()
    .regex(/^[0-9]{1,16}$/, "must be a number")
    .transform(Number)
    .refine((id) => id > 0, "must be the number of a delivery")
    .optional(),
  type: z.enum(EVENT_NAMES).optional(),
  limit: z
    .string()
    .regex(/^[0-9]{1,6}$/, "must be a number")
    .transform(Number)
    .pipe(z.number().min(1).max(100_000))
    .prefault("1000"),
});

export function addTrackingEventsRoute(context: ApiContext): void {
  const { sql } = context;
  const streams = openPlaces(MOST_STREAMS, "readers are at it");

  addRoute(context, {
    method: "GET",
    url: "/v1/events",
    scope: "tracking:read",
    summary:
      "Opens, clicks, unsubscriptions and the rest in order, a JSON object a line; x-next-cursor is where to go on",
    query: page,
    long: true,
    async handle({ query, reply }) {
      const wanted: EventQuery = {
        after: query.cursor,
        delivery: query.delivery ?? 0,
        kind: query.type === undefined ? "" : kindOf(query.type),
        limit: query.limit,
      };
      const end = await endOfEvents(sql, wanted);
      const stream = streams.take(() => Readable.from(lines(sql, wanted, end), AHEAD));
      reply
        .type("application/x-ndjson; charset=utf-8")
        .headers({ "x-next-cursor": String(end), "cache-control": "no-store" });
      return reply.send(stream);
    },
  });
}

async function* lines(sql: ApiContext["sql"], query: EventQuery, end: number): AsyncGenerator<string, void, undefined> {
  let { after } = query;
  let left = query.limit;
  while (left > 0 && after < end) {
    const limit = Math.min(left, PAGE);
    const rows = await trackingEvents(sql, { ...query, after, limit });
    // What was committed since belongs to the next answer.
    const told = rows.filter(({ id }) => id <= end);
    if (told.length > 0) yield told.map((row) => `${JSON.stringify(trackingEventAnswer(row))}\n`).join("");
    if (told.length < limit) return;
    left -= told.length;
    after = told.at(-1)!.id;
  }
}
