/**
 * /v1/sites: what holds each site, how it goes there, and with which limits; and the error statistics of a time (spec modules.md §18.3). What is
 * at work now is asked of the statistics server; when none answers, 503 with what the database knows.
 */
import { z } from "zod";
import { type PathErrors, pathErrors } from "../db/path-statistics.ts";
import { listMeasures } from "../db/measures.ts";
import { activeSuspensions } from "../db/traffic-holds.ts";
import { Problem } from "../http/problem.ts";
import { SITE_STATES } from "../quota/answers.ts";
import type { ApiContext } from "./context.ts";
import { limit } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import {
  errorsAnswer,
  measureOfPast,
  siteAnswer,
  siteSummaryAnswer,
  suspensionAnswer,
  type SiteErrors,
} from "./sites-answers.ts";
import { answerAway } from "./why-away.ts";

const HOUR_MS = 3_600_000;
const MEASURES = 100;
const SITES = 100;
/** The page of sites may be short while there are more: so many are asked for until it is full. */
const PAGES = 20;

const sitesPage = z.strictObject({
  cursor: z.string().max(2000).default(""),
  limit: limit.pipe(z.number().max(200, "must be at most 200")),
  state: z.enum(SITE_STATES).optional().describe("Only those that are held, slow, or have errors"),
  order: z.enum(["name", "top"]).default("name").describe("top: those with most to do, one page"),
});
const bySite = z.strictObject({ site: z.string().min(1).max(2000) });
const wholeNumber = (most: number, fallback: string) =>
  z
    .string()
    .regex(/^[0-9]{1,12}$/, "must be a number")
    .transform(Number)
    .pipe(z.number().max(most, `must be at most ${most}`))
    .prefault(fallback);
const errorsQuery = z.strictObject({
  hours: wholeNumber(30 * 24, "24")
    .pipe(z.number().min(1, "must be at least 1"))
    .describe("Of the last hours"),
  site: z.string().max(2000).default(""),
  minConnections: wholeNumber(1e12, "100").describe("Only sites with so many connections or attempts at one"),
  minErrors: wholeNumber(1e12, "1").describe("… with so many errors"),
  minMessages: wholeNumber(1e12, "1000").describe("… with so many attempts at a message"),
  limit,
});

export function addSiteRoutes(context: ApiContext): void {
  const { sql, clock, stat } = context;

  addRoute(context, {
    method: "GET",
    url: "/v1/sites",
    scope: "traffic:read",
    summary: "Sites by name, or those with most to do: what holds each, what waits, how the last hour went",
    query: sitesPage,
    async handle({ query, reply }) {
      const sites: object[] = [];
      let after = query.cursor;
      for (let page = 0; page < PAGES; page++) {
        const asked = await stat.sites({
          after,
          state: query.state ?? "",
          order: query.order,
          limit: query.limit - sites.length,
        });
        if (asked.kind === "refused") throw new Problem(400, asked.why);
        if (asked.kind === "away") return answerAway(reply, asked.why, await knownSites(context, ""));
        sites.push(...asked.data.sites.map(siteSummaryAnswer));
        after = asked.data.next;
        if (after === "" || sites.length >= query.limit) break;
      }
      return { sites, nextCursor: after === "" ? null : after };
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/sites/:site",
    scope: "traffic:read",
    summary:
      "A site: what holds it, its paths, limits and where they come from, measures at work, lanes, the last hour",
    params: bySite,
    async handle({ params, reply }) {
      const asked = await stat.site(params.site, []);
      if (asked.kind === "refused") throw new Problem(400, asked.why);
      if (asked.kind === "away") return answerAway(reply, asked.why, await knownSites(context, params.site));
      const known = asked.data.summary !== null;
      if (!known && !(await everMet(context, params.site))) throw new Problem(404, "no mail has gone to such a site");
      const past = await listMeasures(sql, { site: params.site, since: clock.now() - 24 * HOUR_MS, limit: MEASURES });
      return { ...siteAnswer(params.site, asked.data), pastMeasures: past.map(measureOfPast) };
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/traffic/errors",
    scope: "traffic:read",
    summary:
      "Errors of the last hours by site, outgoing IP and exchanger address; sites below the thresholds are left out",
    query: errorsQuery,
    async handle({ query }) {
      const { hours, ...thresholds } = query;
      const until = clock.now();
      const since = until - hours * HOUR_MS;
      const found = await pathErrors(sql, { ...thresholds, since, until });
      return {
        since: new Date(since).toISOString(),
        until: new Date(until).toISOString(),
        sites: grouped(found).map(errorsAnswer),
      };
    },
  });
}

/** What the database knows when no statistics server answers: the last hour, what people suspended, what was at work. */
async function knownSites({ sql, clock }: ApiContext, site: string): Promise<object> {
  const until = clock.now();
  const since = until - HOUR_MS;
  const [errors, suspensions, measures] = await Promise.all([
    pathErrors(sql, { since, until, site, minConnections: 0, minErrors: 0, minMessages: 0, limit: SITES }),
    activeSuspensions(sql),
    listMeasures(sql, { site, since: until - 24 * HOUR_MS, limit: MEASURES }),
  ]);
  return {
    sites: grouped(errors).map(errorsAnswer),
    suspensions: suspensions.slice(0, 1000).map(suspensionAnswer),
    measures: measures.filter((one) => one.endedAt === 0).map(measureOfPast),
  };
}

async function everMet({ sql, clock }: ApiContext, site: string): Promise<boolean> {
  const found = await pathErrors(sql, {
    since: 0,
    until: clock.now(),
    site,
    minConnections: 0,
    minErrors: 0,
    minMessages: 0,
    limit: 1,
  });
  return found.length > 0;
}

/** Site → public id → path. */
function grouped(paths: readonly PathErrors[]): SiteErrors[] {
  return [...Map.groupBy(paths, (path) => path.site)].map(([site, of]) => ({
    site,
    publicIds: [...Map.groupBy(of, (path) => path.publicId)].map(([publicId, each]) => ({ publicId, paths: each })),
  }));
}
