/** A hit as a record of the tracking log: what it was, and what the request says of who made it. All of it is a stranger's text, cut to a bound. */
import type { IncomingMessage } from "node:http";
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
  const said = saidBy(request.rawHeaders);
  const { kind, message, delivery, link, visitor, web } = visit;
  const record = {
    at,
    kind,
    message,
    delivery,
    link,
    method: request.method ?? "",
    hint: visit.hint || said.hint,
    ip,
    userAgent: said.userAgent.slice(0, MOST_USER_AGENT),
    visitor,
    web,
  };
  const line = encodeRecord(record);
  if (web === null || Buffer.byteLength(line) <= MOST_RECORD) return line;
  if (web.more.length === 0) return lineOf(request, { ...visit, web: { ...web, tag: "" } }, at, ip);
  return lineOf(request, { ...visit, web: { ...web, more: web.more.slice(0, -1) } }, at, ip);
}

/**
 * Read off the headers as they came: `request.headers` makes an object of all of them, which takes as long as signing. By the length of a name, because that
 * rules out nearly all of them at once. Purpose, Sec-Purpose, X-Purpose and X-Moz are how browsers and mail readers say that nobody has looked yet.
 */
function saidBy(rawHeaders: readonly string[]): { readonly userAgent: string; readonly hint: string } {
  let userAgent = "";
  let hint = "";
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    switch (name.length) {
      case 10:
        if (userAgent === "" && name.toLowerCase() === "user-agent") userAgent = rawHeaders[i + 1] as string;
        break;
      case 5:
      case 7:
      case 9:
      case 11:
        if (
          /^(?:(?:x-|sec-)?purpose|x-moz)$/i.test(name) &&
          /prefetch|preview|prerender/i.test(rawHeaders[i + 1] as string)
        )
          hint = "prefetch";
        break;
      default:
    }
  }
  return { userAgent, hint };
}
