/** From a request to what serves it. What a handler throws is a bug: told, answered with 500, and the next request is served. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../base/log.ts";
import type { Access } from "./access.ts";
import { isNot, sendNothing, sendText } from "./answers.ts";
import type { Counts } from "./counts.ts";
import { type HealthOptions, sendHealth } from "./health.ts";
import { click } from "./hits/click.ts";
import type { HitContext } from "./hits/context.ts";
import { mirror } from "./hits/mirror.ts";
import { open } from "./hits/open.ts";
import { unsubscribe } from "./hits/unsubscribe.ts";
import { webHit } from "./hits/web-hit.ts";
import type { TrackingLog } from "./log.ts";
import { answerLog } from "./log/answer.ts";
import type { Sending } from "./mirror/sending.ts";
import type { MirrorSource } from "./mirror/source.ts";
import { type Route, routeOf } from "./route.ts";

export interface RequestContext extends HitContext {
  readonly mirrors: MirrorSource;
  readonly sending: Sending;
  readonly access: Access;
  readonly trackingLog: TrackingLog;
  readonly health: HealthOptions;
  readonly counts: Counts;
  readonly log: Log;
}

export function openRequests(context: RequestContext): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const route = routeOf(request.url ?? "");
    try {
      void serve(context, route, request, response)?.catch((error: unknown) => failed(error, route, response));
    } catch (error) {
      failed(error, route, response);
    }
  };

  function failed(err: unknown, { kind }: Route, response: ServerResponse): void {
    context.log.error({ err, kind }, "bug: a request could not be served");
    if (!response.headersSent) sendNothing(response, 500, ["connection", "close"]);
    else response.destroy();
  }
}

function serve(
  context: RequestContext,
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> | void {
  switch (route.kind) {
    case "click":
      return click(context, request, response, route);
    case "open":
      return open(context, request, response, route);
    case "unsubscribe":
      return unsubscribe(context, request, response, route.token);
    case "mirror":
      return mirror(context, context, request, response, route.token);
    case "web":
      return webHit(context, request, response, route.query);
    case "health":
      return sendHealth(context.health, context.trackingLog.facts, request, response);
    case "log":
      if (!context.access(request, response)) return;
      return answerLog(context.trackingLog, context.health.host, request, response, route.query);
    case "metrics":
      if (!context.access(request, response)) return;
      return sendMetrics(context.counts, request, response);
    case "robots":
      if (isNot(request, response, "GET", "HEAD")) return;
      return sendText(response, 200, "text/plain; charset=utf-8", "User-agent: *\nDisallow: /\n");
    case "icon":
      return sendNothing(response, 404);
    case "unknown":
      if (isNot(request, response, "GET", "HEAD")) return;
      return context.pages.send(request, response, "unknown");
  }
}

async function sendMetrics(counts: Counts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (isNot(request, response, "GET", "HEAD")) return;
  sendText(response, 200, counts.contentType, await counts.text());
}
