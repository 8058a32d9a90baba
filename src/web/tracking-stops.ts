/**
 * What operators say of links after they were sent: a delivery or one of its links is stopped, ends at a time, or leads elsewhere; and the signed list of it
 * all that redirection servers pull (they obey within redirector.stopsMs, and go on with the last list when web is away). Opens and
 * unsubscribing cannot be stopped.
 */
import { z } from "zod";
import {
  canStop,
  deleteStop,
  type KeptStop,
  linksOf,
  MOST_STOPS,
  allStops,
  putStop,
  stopsOf,
} from "../db/link-stops.ts";
import { Problem } from "../http/problem.ts";
import type { ContentLink } from "../model/delivery.ts";
import { targetOf } from "../model/link.ts";
import { ALL_LINKS, type LinkStop, openStops, signStops } from "../model/stops.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { linkAnswer } from "./links.ts";
import { byId, instant } from "./requests.ts";
import { addRoute, SERVERS } from "./route/route.ts";

const stop = z.strictObject({
  disabled: z.boolean().default(false).describe("It leads nowhere any more, or to url"),
  expiresAt: instant.nullable().default(null).describe("From then on it leads nowhere any more, or to url"),
  url: z.string().max(10_000).default("").describe("Where to instead; alone: from now on"),
});

const byLink = byId.extend({
  number: z
    .string()
    .regex(/^[0-9]{1,9}$/, "must be a number")
    .transform(Number),
});

export function addStopRoutes(context: ApiContext): void {
  addList(context);
  addDeliveryStop(context);
  addLinkStop(context);
}

function addList(context: ApiContext): void {
  const { sql, servers } = context;
  if (servers === undefined) return;
  addRoute(context, {
    method: "GET",
    url: "/v1/tracking/stops",
    scope: SERVERS,
    summary: "The signed list of stopped links",
    async handle({ reply }) {
      const list = signStops(servers.tokenKeys()[0]!, await allStops(sql));
      reply.type("application/json; charset=utf-8").header("cache-control", "no-store");
      return list;
    },
  });
}

function addDeliveryStop(context: ApiContext): void {
  const { sql, clock } = context;
  const url = "/v1/deliveries/:id/tracking";

  async function shown(id: number): Promise<object> {
    const stops = await stopsOf(sql, id);
    const whole = stops.find(({ link }) => link === ALL_LINKS);
    return {
      deliveryId: id,
      ...stopAnswer(whole),
      links: stops
        .filter(({ link }) => link !== ALL_LINKS)
        .map((one) => ({ number: one.link, ...stopAnswer(one), ...leads(stops, id, one.link, clock.now()) })),
    };
  }

  addRoute(context, {
    method: "GET",
    url,
    scope: "tracking:read",
    summary: "What holds for all links of a delivery, and for single ones",
    params: byId,
    async handle({ params }) {
      if ((await linksOf(sql, params.id)) === null) throw absent();
      return shown(params.id);
    },
  });
  addRoute(context, {
    method: "PUT",
    url,
    scope: "tracking:write",
    summary: "Stop all links of a delivery, let them end at a time, or lead elsewhere",
    params: byId,
    body: stop,
    async handle({ params, body, token }) {
      await requireStoppable(context, params.id);
      await keep(context, { delivery: params.id, link: ALL_LINKS, ...checked(context, body) }, token.name);
      return shown(params.id);
    },
  });
  addRoute(context, {
    method: "DELETE",
    url,
    scope: "tracking:write",
    summary: "The links of a delivery lead where they say again; what holds for single ones stays",
    params: byId,
    async handle({ params, token, reply }) {
      if ((await linksOf(sql, params.id)) === null) throw absent();
      await undo(context, params.id, ALL_LINKS, token.name);
      reply.code(204);
      return "";
    },
  });
}

function addLinkStop(context: ApiContext): void {
  const { sql, clock } = context;
  const url = "/v1/deliveries/:id/links/:number";

  async function required(id: number, number: number): Promise<ContentLink> {
    const links = await linksOf(sql, id);
    if (links === null) throw absent();
    const link = links.find((one) => one.number === number);
    if (link === undefined) throw new Problem(404, "the delivery has no such link");
    return link;
  }

  /** One that was never tracked leads where it leads, whatever we say. */
  async function requiredTracked(id: number, number: number): Promise<ContentLink> {
    const link = await required(id, number);
    if (link.untracked !== "") throw new Problem(409, `the link is not tracked: ${link.untracked}`);
    return link;
  }

  async function shown(id: number, link: ContentLink): Promise<object> {
    const stops = await stopsOf(sql, id);
    return {
      deliveryId: id,
      number: link.number,
      link: linkAnswer(link),
      ...stopAnswer(stops.find((one) => one.link === link.number)),
      ...leads(stops, id, link.number, clock.now()),
    };
  }

  addRoute(context, {
    method: "GET",
    url,
    scope: "tracking:read",
    summary: "A link of a delivery, and where it leads now",
    params: byLink,
    handle: async ({ params }) => shown(params.id, await required(params.id, params.number)),
  });
  addRoute(context, {
    method: "PUT",
    url,
    scope: "tracking:write",
    summary: "Stop a link, let it end at a time, or lead elsewhere",
    params: byLink,
    body: stop,
    async handle({ params, body, token }) {
      const link = await requiredTracked(params.id, params.number);
      await requireStoppable(context, params.id);
      await keep(context, { delivery: params.id, link: link.number, ...checked(context, body) }, token.name);
      return shown(params.id, link);
    },
  });
  addRoute(context, {
    method: "DELETE",
    url,
    scope: "tracking:write",
    summary: "The link leads where it says again, unless the delivery's links do not",
    params: byLink,
    async handle({ params, token, reply }) {
      await required(params.id, params.number);
      await undo(context, params.id, params.number, token.name);
      reply.code(204);
      return "";
    },
  });
}

/** What redirection servers could not obey is not promised. */
async function requireStoppable({ sql }: ApiContext, id: number): Promise<void> {
  const can = await canStop(sql, id);
  if (can === "absent") throw absent();
  if (can === "untracked") throw new Problem(409, "the delivery is not tracked: its links lead where they lead");
  if (can === "single") throw new Problem(409, "links of a single message name no delivery: they cannot be stopped");
}

async function keep({ sql, log }: ApiContext, wanted: LinkStop, by: string): Promise<void> {
  const kept = await putStop(sql, wanted, by);
  if (kept === null) throw new Problem(409, `there are ${MOST_STOPS} stops already: undo some`);
  log.info({ ...wanted, by }, "links are stopped, or lead elsewhere");
}

async function undo({ sql, log }: ApiContext, delivery: number, link: number, by: string): Promise<void> {
  const was = await deleteStop(sql, delivery, link);
  if (was !== null) log.info({ delivery, link, by, was }, "links lead where they say again");
}

function checked(
  { settings }: ApiContext,
  body: z.output<typeof stop>,
): Pick<LinkStop, "disabled" | "expiresAt" | "url"> {
  const wrong = (path: string, message: string): never => {
    throw new Problem(400, `${path}: ${message}`, { errors: [{ path, message }] });
  };
  const { disabled, expiresAt, url } = body;
  if (!disabled && expiresAt === null && url === "") wrong("disabled", "say disabled, expiresAt or url; DELETE undoes");
  if (expiresAt !== null && expiresAt <= 0) wrong("expiresAt", "is before 1970");
  if (url === "") return { disabled, expiresAt: expiresAt ?? 0, url };
  const target = targetOf(url);
  if ("refused" in target) return wrong("url", target.refused);
  // Somebody's own tracked link, copied out of a mail: it would lead back here, and count as that reader.
  const { origin } = new URL(target.url);
  const ours = [settings.tracking.url, ...settings.tracking.domains].filter((base) => base !== "");
  if (ours.some((base) => URL.parse(base)?.origin === origin)) wrong("url", "leads back to the redirection server");
  return { disabled, expiresAt: expiresAt ?? 0, url: target.url };
}

function stopAnswer(stop: KeptStop | undefined): object {
  return {
    disabled: stop?.disabled ?? false,
    expiresAt: stop === undefined || stop.expiresAt === 0 ? null : new Date(stop.expiresAt).toISOString(),
    url: stop?.url ?? "",
    by: stop?.by ?? "",
    changedAt: stop === undefined ? null : new Date(stop.changedAt).toISOString(),
  };
}

/** As a redirection server decides with this list. */
function leads(stops: readonly LinkStop[], delivery: number, link: number, now: number): object {
  const direction = openStops({ at: now, stops }).direction(delivery, link, now);
  if (direction.kind === "elsewhere") return { leads: "elsewhere", leadsTo: direction.url };
  return { leads: direction.kind === "go" ? "as-written" : "nowhere", leadsTo: null };
}
