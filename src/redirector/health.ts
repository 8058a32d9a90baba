/** `/r/test`: whether this server is well, for load balancers and people; cheap enough to be asked every second. It redirects as long as it answers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { isNot, sendJson } from "./answers.ts";
import type { LogFacts } from "./log.ts";

export interface HealthOptions {
  readonly host: string;
  readonly version: string;
  readonly clock: Clock;
}

/**
 * `status`: `ok`; `log-failing` while hits are lost; `log-nearly-full` when nobody pulls them. All of them are answered 200: to take a server that still
 * redirects out of service would lose readers for the sake of numbers.
 */
export function sendHealth(
  { host, version, clock }: HealthOptions,
  log: LogFacts,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (isNot(request, response, "GET", "HEAD")) return;
  const status = log.state !== "ok" ? "log-failing" : log.alarm ? "log-nearly-full" : "ok";
  const time = new Date(clock.now()).toISOString();
  sendJson(response, 200, { status, host, version, time, lost: log.lost + log.undecided, logBytes: log.bytes });
}
