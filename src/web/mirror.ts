/**
 * GET /v1/mirror/{token}: a message as a web page, for redirection servers (they keep it for a while and count who looks). It is there as long as the
 * message is in the ledger. Stopping a delivery does not take it away: those who have the mail have the page, until the delivery's links are
 * disabled or expire (tracking-stops.ts); then it is gone, 410.
 */
import { z } from "zod";
import { contentBody } from "../db/claims.ts";
import { findMirrorMessage } from "../db/mirror.ts";
import { Problem } from "../http/problem.ts";
import type { Content } from "../model/delivery.ts";
import { verifyToken } from "../model/token.ts";
import type { ApiContext } from "./context.ts";
import { type MirrorPage, openMirrorPages } from "./mirror-pages.ts";
import { addRoute, SERVERS } from "./route/route.ts";

/** At once: far more than the connections redirection servers keep; a page takes a millisecond, that of a content not seen before some ten. */
const MOST_AT_WORK = 64;

const byToken = z.strictObject({ token: z.string().max(100) });

export function addMirrorRoute(context: ApiContext): void {
  const { sql, clock, log, servers } = context;
  if (servers === undefined) return;
  const pages = openMirrorPages();
  let atWork = 0;

  async function page(token: string): Promise<MirrorPage & { readonly deliveryId: number }> {
    const keys = servers!.tokenKeys();
    const id = verifyToken(keys, token);
    const message = id === null ? null : await findMirrorMessage(sql, id);
    // Nobody learns which tokens were genuine once.
    if (message === null) throw new Problem(404, "there is no such message");
    if (message.stopped) throw new Problem(410, "the delivery's links are stopped");
    const load = async (): Promise<Content> => JSON.parse(await contentBody(sql, message.contentHash)) as Content;
    const at = message.sentAt || clock.now();
    const made = await pages.page({ hash: message.contentHash, load }, keys, { ...message, at });
    if (typeof made === "string") {
      log.warn({ message: message.id, why: made }, "no mirror page can be made");
      throw new Problem(404, "the message cannot be shown");
    }
    return { ...made, deliveryId: message.deliveryId };
  }

  addRoute(context, {
    method: "GET",
    url: "/v1/mirror/:token",
    scope: SERVERS,
    summary: "A message as a web page",
    params: byToken,
    async handle({ params, reply }) {
      if (atWork >= MOST_AT_WORK) throw new Problem(503, "too many mirror pages are being made", { retryAfter: 1 });
      atWork++;
      try {
        const { html, ours, anonymous, deliveryId } = await page(params.token);
        reply.type("text/html; charset=utf-8").headers({
          "cache-control": "no-store",
          "x-delivery": String(deliveryId),
          ...(anonymous ? { "x-anonymous": "1" } : {}),
          "content-security-policy": ours ? OURS : SENDERS,
        });
        return html;
      } finally {
        atWork--;
      }
    },
  });
}

/** A page of ours needs nothing but its own style. */
const OURS =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** No mail reader runs scripts, so no sender misses them; what a recipient's variables brought in must not run either. */
const SENDERS = "script-src 'none'; object-src 'none'; frame-src 'none'; base-uri 'none'";
