/** POST /v1/deliveries/{id}/preview: one recipient in, the message it would get out. Nothing is kept and nothing is sent. */
import { contentOfDelivery } from "../db/deliveries.ts";
import { Problem } from "../http/problem.ts";
import type { Content } from "../model/delivery.ts";
import { parseAddress } from "../smtp/addresses.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId, preview as request } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { isDeeperThan, MOST_DEPTH } from "./intake/rows.ts";

export function addPreviewRoute(context: ApiContext): void {
  addRoute(context, {
    method: "POST",
    url: "/v1/deliveries/:id/preview",
    scope: "deliveries:read",
    summary: "The message one recipient would get",
    params: byId,
    body: request,
    async handle({ params, body }) {
      const parsed = parseAddress(body.address);
      if (typeof parsed === "string") {
        throw new Problem(400, `address: ${parsed}`, { errors: [{ path: "address", message: parsed }] });
      }
      if (isDeeperThan(body.variables ?? {}, MOST_DEPTH)) {
        throw new Problem(400, `variables: is nested deeper than ${MOST_DEPTH}`);
      }
      const stored = await contentOfDelivery(context.sql, params.id);
      if (stored === null) throw absent();
      const made = await context.preview(JSON.parse(stored) as Content, {
        address: parsed.address,
        variables: JSON.stringify(body.variables ?? {}),
        deliveryId: params.id,
      });
      if (typeof made === "string") throw new Problem(422, made, { errors: [{ path: "variables", message: made }] });
      const raw = Buffer.from(made.raw);
      const head = raw.subarray(0, Math.max(0, raw.indexOf("\r\n\r\n"))).toString("utf8");
      return {
        subject: made.subject,
        html: made.html,
        ...(made.amp === "" ? {} : { amp: made.amp }),
        text: made.text,
        headers: head
          .replaceAll(/\r\n(?=[ \t])/g, "")
          .split("\r\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
        size: raw.length,
        // base64: the bytes as they are, whatever is in them.
        raw: raw.toString("base64"),
      };
    },
  });
}
