/** Messages read back: those of a delivery, and one with everything that happened to it. */
import { findMessage, listMessages } from "../db/messages.ts";
import { Problem } from "../http/problem.ts";
import { eventAnswer, messageAnswer } from "./answers.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId, messagePage } from "./requests.ts";
import { addRoute } from "./route/route.ts";

export function addMessageRoutes(context: ApiContext): void {
  const { sql } = context;

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/messages",
    scope: "messages:read",
    summary: "Messages of a delivery, of one status or with one address if asked",
    params: byId,
    query: messagePage,
    async handle({ params, query }) {
      const found = await listMessages(sql, params.id, {
        after: query.cursor,
        status: query.status ?? "",
        address: query.address ?? "",
        limit: query.limit,
      });
      if (found === null) throw absent();
      return {
        messages: found.map(messageAnswer),
        nextCursor: found.length === query.limit ? String(found[found.length - 1]!.id) : null,
      };
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/messages/:id",
    scope: "messages:read",
    summary: "A message and its events in order",
    params: byId,
    async handle({ params }) {
      const found = await findMessage(sql, params.id);
      if (found === null) throw new Problem(404, "there is no such message");
      return { ...messageAnswer(found.message), events: found.events.map(eventAnswer) };
    },
  });
}
