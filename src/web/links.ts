/** GET /v1/deliveries/{id}/links: the links of a delivery, with the number statistics know them by, or why one is left alone. */
import { linksOrContent } from "../db/link-stops.ts";
import type { Content, ContentLink } from "../model/delivery.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId } from "./requests.ts";
import { addRoute } from "./route/route.ts";

export function addLinkRoutes(context: ApiContext): void {
  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/links",
    scope: "deliveries:read",
    summary: "The links of a delivery: what is tracked, what is left alone and why",
    params: byId,
    async handle({ params }) {
      const found = await linksOrContent(context.sql, params.id);
      if (found === null) throw absent();
      // One that is not tracked: what would be, were it.
      const links = "links" in found ? found.links : context.linksOf(JSON.parse(found.content) as Content);
      return { links: links.map(linkAnswer) };
    },
  });
}

export function linkAnswer({ untracked, ...link }: ContentLink): object {
  return { ...link, tracked: untracked === "", untracked: untracked === "" ? null : untracked };
}
