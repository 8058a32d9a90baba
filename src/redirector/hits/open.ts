/** `/o/<token>/<link>.gif`: the open pixel, written down and shown. It is shown also when the disk does not take the record. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { verifyLink } from "../../model/link.ts";
import { ANONYMOUS, verifyToken } from "../../model/token.ts";
import { isNot, sendPixel } from "../answers.ts";
import type { HitContext } from "./context.ts";

export function open(
  context: HitContext,
  request: IncomingMessage,
  response: ServerResponse,
  { token, link: text }: { readonly token: string; readonly link: string },
): void {
  if (isNot(request, response, "GET", "HEAD")) return;
  const keys = context.keys();
  const message = token === ANONYMOUS ? 0 : verifyToken(keys, token);
  const link = verifyLink(keys, text);
  if (message === null || link === null || link.kind !== "open")
    return context.pages.send(request, response, "unknown");
  const visitor = context.cookies.visitor(request, token);
  const visit = { kind: "open", message, delivery: link.delivery, link: 0, hint: "", visitor, web: null } as const;
  context.record(request, visit, () => sendPixel(response));
}
