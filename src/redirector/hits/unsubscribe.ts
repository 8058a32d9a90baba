/**
 * `/u/<token>`: GET shows a page with a button and does nothing else, for scanners and prefetchers follow every link. POST unsubscribes, whatever its body
 * looks like: from a mail provider's own button (RFC 8058 §3.1: urlencoded or multipart, no cookie, no redirect) or from that page. It is answered
 * 200 when it is on the disk and not before; where that cannot be, 503, so that who asked asks again.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { verifyToken } from "../../model/token.ts";
import { isNot } from "../answers.ts";
import { readBody } from "./body.ts";
import type { HitContext } from "./context.ts";

export async function unsubscribe(
  context: HitContext,
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
): Promise<void> {
  if (isNot(request, response, "GET", "HEAD", "POST")) return;
  const { pages } = context;
  const message = verifyToken(context.keys(), token);
  if (request.method !== "POST") return pages.send(request, response, message === null ? "unknown" : "unsubscribe");
  const body = await readBody(request, context.clock);
  if (body === null) return;
  // Behind what was not read, no next request can be found.
  const last = body.whole ? [] : ["connection", "close"];
  if (message === null) return pages.send(request, response, "unknown", last);
  const hint = isOneClick(request, body.text) ? "one-click" : "page";
  const visit = { kind: "unsubscribe", message, delivery: 0, link: 0, hint, visitor: "", web: null } as const;
  context.record(request, visit, (durable) => {
    if (durable) pages.send(request, response, "unsubscribed", last);
    else pages.send(request, response, "later", ["retry-after", "60", ...last]);
  });
}

/** Urlencoded, or a part of multipart. Every repetition is bounded: the body is a stranger's, and a row of line ends took a second. */
const ONE_CLICK = /list-unsubscribe(?:=|%3d|"?[ \t]{0,8}(?:;[^\r\n]{0,200})?\r?\n\r?\n)\s{0,8}one-click/i;

/** A person at the page sends its form by a browser that navigates; anybody else is a provider's machine, whatever it sends. */
function isOneClick({ headers }: IncomingMessage, text: string): boolean {
  if (ONE_CLICK.test(text)) return true;
  return headers["sec-fetch-mode"] !== "navigate" && !/(?:^|&)page=/.test(text);
}
