/**
 * `/r/<token>/<link>`: written down, then sent where the link says. There is nowhere else to be sent: the URL comes out of a link of ours that verifies or
 * out of the signed list of stops, and goes through `targetOf` again, whoever signed it. Token and link are both looked at whatever the first one
 * is, so the time says nothing. A disk that does not take the record costs the record, not the reader.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Link, targetOf, verifyLink } from "../../model/link.ts";
import { ANONYMOUS, verifyToken } from "../../model/token.ts";
import { isNot, redirect, sendNothing } from "../answers.ts";
import type { HitContext } from "./context.ts";

export function click(
  context: HitContext,
  request: IncomingMessage,
  response: ServerResponse,
  { token, link: text }: { readonly token: string; readonly link: string },
): void {
  if (isNot(request, response, "GET", "HEAD")) return;
  const keys = context.keys();
  const message = token === ANONYMOUS ? 0 : verifyToken(keys, token);
  const link = verifyLink(keys, text);
  if (message === null || link === null || link.kind === "open")
    return context.pages.send(request, response, "unknown");
  const url = whereTo(context, link);
  if (url === null && link.kind !== "trap") return context.pages.send(request, response, "gone");
  const { visitor, set } = context.cookies.click(request, token);
  const visit = {
    kind: "click",
    message,
    delivery: link.delivery,
    link: link.number,
    hint: link.kind === "trap" ? "trap" : "",
    visitor,
    web: null,
  } as const;
  context.record(request, visit, () => {
    // A trap need not lead anywhere: no person is on it.
    if (url === null) sendNothing(response, 204);
    else redirect(response, context.redirectStatus, url, set);
  });
}

/** null: nowhere (any more). */
function whereTo(context: HitContext, link: Link): string | null {
  const direction = context.stops().direction(link.delivery, link.number, context.clock.now());
  if (direction.kind === "elsewhere") return direction.url;
  if (direction.kind === "gone") return null;
  const target = targetOf(link.url);
  return "url" in target ? target.url : null;
}
