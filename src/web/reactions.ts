/** /v1/deliveries/{id}/reactions: what the readers of a delivery did: indicators, hits by link and time, and every single hit as a file. */
import { Readable } from "node:stream";
import { z } from "zod";
import { findDelivery } from "../db/deliveries.ts";
import { linksOf } from "../db/link-stops.ts";
import { type AddressedEvent, deliveryEvents } from "../db/tracking-events.ts";
import { linkStatistics, MOST_ROWS, PERIOD_MS, reactionsOf } from "../db/tracking-reports.ts";
import { csvText } from "../http/csv.ts";
import { Problem } from "../http/problem.ts";
import type { ContentLink } from "../model/delivery.ts";
import { harmless } from "../model/harmless.ts";
import { MOST_USER_AGENT } from "../model/tracking.ts";
import { ruleText } from "../model/visitor.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { linkReactionsAnswer, nameOf, type Period, reactionsAnswer } from "./reactions-answers.ts";
import { byId, instant } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { openPlaces } from "./route/places.ts";

const PERIOD_S = PERIOD_MS / 1000;

const course = z.strictObject({
  from: instant.optional().describe("Default: when the delivery was made"),
  to: instant.optional().describe("Default: now"),
  step: z
    .string()
    .regex(/^[0-9]{1,8}$/, "must be seconds")
    .transform(Number)
    .refine((seconds) => seconds % PERIOD_S === 0, `must be a multiple of ${PERIOD_S}, or 0 for the whole`)
    .optional()
    .describe("Seconds, a multiple of 300; 0: only sums; default: what divides the time into at most 300"),
});

/** Files of hits at once; each reads a page at a time. */
const MOST_FILES = 4;
const PAGE = 2_000;
/** Pages that are read before they are asked for. */
const AHEAD = { highWaterMark: 1 };

export function addReactionRoutes(context: ApiContext): void {
  const { sql, clock } = context;
  const files = openPlaces(MOST_FILES, "files of hits are being written");

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/reactions",
    scope: "tracking:read",
    summary: "Opens, clicks, unsubscriptions: over all hits, and over those a person is behind",
    params: byId,
    async handle({ params }) {
      const [delivery, reactions] = await Promise.all([findDelivery(sql, params.id), reactionsOf(sql, params.id)]);
      if (delivery === null || reactions === null) throw absent();
      return reactionsAnswer(params.id, reactions, delivery.counters);
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/reactions/links",
    scope: "tracking:read",
    summary: "Clicks by link and time, opens and the rest by time",
    params: byId,
    query: course,
    async handle({ params, query }) {
      const [delivery, links] = await Promise.all([findDelivery(sql, params.id), linksOf(sql, params.id)]);
      if (delivery === null || links === null) throw absent();
      const period = periodOf(query, delivery.createdAt.getTime(), clock.now());
      const { from, to, step } = period;
      const rows = await linkStatistics(sql, params.id, new Date(from), new Date(to), step * 1000);
      if (rows.length >= MOST_ROWS)
        throw new Problem(400, "step: the answer would be too long; choose a longer step or less time", {
          errors: [{ path: "query.step", message: "is too short for so much time and so many links" }],
        });
      return linkReactionsAnswer(params.id, period, links, rows);
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/reactions.csv",
    scope: "tracking:read",
    summary: "Every hit on a delivery with the recipient's address, as CSV",
    params: byId,
    long: true,
    async handle({ params, reply }) {
      const links = await linksOf(sql, params.id);
      if (links === null) throw absent();
      const stream = files.take(() => Readable.from(csvPages(sql, params.id, links), AHEAD));
      reply
        .type("text/csv; charset=utf-8")
        .header("content-disposition", `attachment; filename="reactions-${params.id}.csv"`);
      return reply.send(stream);
    },
  });
}

/** Steps that are chosen for who names none, in seconds. */
const STEPS = [PERIOD_S, 900, 3600, 21_600, 86_400, 7 * 86_400];
const MOST_PERIODS = 300;

/** Whole periods of five minutes: what was asked for and no less. */
function periodOf(asked: z.output<typeof course>, createdAt: number, now: number): Period {
  const from = Math.floor((asked.from ?? createdAt) / PERIOD_MS) * PERIOD_MS;
  const to = Math.ceil((asked.to ?? now) / PERIOD_MS) * PERIOD_MS;
  if (to < from) {
    throw new Problem(400, "query.to: is before from", { errors: [{ path: "query.to", message: "is before from" }] });
  }
  const chosen = STEPS.find((step) => (to - from) / 1000 / step <= MOST_PERIODS) ?? STEPS.at(-1)!;
  return { from, to, step: asked.step ?? chosen };
}

const COLUMNS =
  "id,at,type,address,message_id,link,link_label,link_category,link_url,class,reason,uncounted,hint,ip,user_agent,visitor,tag,amount,articles,more";

async function* csvPages(
  sql: ApiContext["sql"],
  id: number,
  links: readonly ContentLink[],
): AsyncGenerator<string, void, undefined> {
  const known = new Map(links.map((link) => [link.number, link]));
  yield `${COLUMNS}\r\n`;
  for (let after = 0; ;) {
    const page = await deliveryEvents(sql, id, { after, limit: PAGE });
    if (page.length > 0) yield page.map((event) => `${rowOf(event, known.get(event.link))}\r\n`).join("");
    if (page.length < PAGE) return;
    after = page.at(-1)!.id;
  }
}

function rowOf(e: AddressedEvent, link: ContentLink | undefined): string {
  return [
    e.id,
    e.at.toISOString(),
    nameOf(e.kind),
    cell(e.address),
    e.messageId || "",
    e.link || "",
    cell(link?.label ?? ""),
    cell(link?.category ?? ""),
    cell(link?.url ?? ""),
    e.class,
    cell(ruleText(e.rule)),
    e.uncounted,
    cell(e.hint),
    cell(e.ip),
    cell(e.userAgent),
    cell(e.visitor),
    cell(e.web?.tag ?? ""),
    e.web?.amount ?? "",
    e.web?.articles ?? "",
    e.web === null || e.web.more.length === 0 ? "" : cell(JSON.stringify(e.web.more)),
  ].join(",");
}

/** No formula, also where a spreadsheet takes the semicolon for the end of a cell and so cuts a user agent in pieces. */
function cell(text: string): string {
  return csvText(harmless(text, 4 * MOST_USER_AGENT).replaceAll(/;(?=[=+\-@])/g, "; "));
}
