/**
 * `/m/<token>`: the message as a page. Its HTML is the sender's, and shows what recipients' variables brought into it: so it runs no script, sends no form, is
 * framed by nobody, and stands in a sandbox of its own, out of which only links lead.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ANONYMOUS, verifyToken } from "../../model/token.ts";
import { isNot } from "../answers.ts";
import type { Sending } from "../mirror/sending.ts";
import type { MirrorSource } from "../mirror/source.ts";
import type { HitContext } from "./context.ts";

const POLICY =
  "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; " +
  "script-src 'none'; object-src 'none'; frame-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

export async function mirror(
  context: HitContext,
  { mirrors: source, sending }: { readonly mirrors: MirrorSource; readonly sending: Sending },
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
): Promise<void> {
  if (isNot(request, response, "GET", "HEAD")) return;
  const { pages } = context;
  const message = verifyToken(context.keys(), token);
  if (message === null) return pages.send(request, response, "unknown");
  const mirror = await source.page(token);
  if (mirror.kind === "away") return pages.send(request, response, "later", ["retry-after", "60"]);
  if (mirror.kind !== "page") return pages.send(request, response, mirror.kind);
  const { html, delivery, policy, anonymous } = mirror.page;
  if (context.stops().isOver(delivery, context.clock.now())) return pages.send(request, response, "gone");
  if (!sending.take(response, html.length)) return pages.send(request, response, "later", ["retry-after", "60"]);
  const visitor = context.cookies.visitor(request, anonymous ? ANONYMOUS : token);
  const whose = anonymous ? 0 : message;
  const visit = { kind: "mirror", message: whose, delivery, link: 0, hint: "", visitor, web: null } as const;
  context.record(request, visit, () => {
    response.writeHead(200, [
      "content-type",
      "text/html; charset=utf-8",
      "content-length",
      String(html.length),
      "cache-control",
      "no-store",
      // Both hold: ours, and what web says of this page.
      "content-security-policy",
      policy === "" ? POLICY : `${POLICY}, ${policy}`,
      "x-content-type-options",
      "nosniff",
      "referrer-policy",
      "no-referrer",
      "x-robots-tag",
      "noindex",
    ]);
    response.end(html);
  });
}
