/** A hit as a record of the tracking log: what it was, and what the request says of who made it. All of it is a stranger's text, cut to a bound. */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { encodeRecord, MOST_RECORD, MOST_USER_AGENT, type TrackingKind, type WebHit } from "../../model/tracking.ts";

export interface Visit {
  readonly kind: TrackingKind;
  readonly message: number;
  readonly delivery: number;
  readonly link: number;
  /** Beyond what the request's headers say; '' for nothing. */
  readonly hint: string;
  readonly visitor: string;
  readonly web: WebHit | null;
}

/**
 * The line for the log. Longer than a record may be it can only become by what a web page tells (`web.more`): then the last of that is left out until
 * it fits.
 */
export function lineOf(request: IncomingMessage, visit: Visit, at: number, ip: string): string {
  const { headers } = request;
  const { kind, message, delivery, link, visitor, web } = visit;
  const record = {
    at,
    kind,
    message,
    delivery,
    link,
    method: request.method ?? "",
    hint: visit.hint || hintOf(headers),
    ip,
    userAgent: (headers["user-agent"] ?? "").slice(0, MOST_USER_AGENT),
    visitor,
    web,
  };
  const line = encodeRecord(record);
  if (web === null || Buffer.byteLength(line) <= MOST_RECORD) return line;
  if (web.more.length === 0) return lineOf(request, { ...visit, web: { ...web, tag: "" } }, at, ip);
  return lineOf(request, { ...visit, web: { ...web, more: web.more.slice(0, -1) } }, at, ip);
}

/** Names under which browsers and mail readers say that nobody has looked yet. */
const PURPOSES = ["purpose", "sec-purpose", "x-purpose", "x-moz"] as const;

function hintOf(headers: IncomingHttpHeaders): string {
  for (const name of PURPOSES) {
    const value = headers[name];
    if (typeof value === "string" && /prefetch|preview|prerender/i.test(value)) return "prefetch";
  }
  return "";
}
