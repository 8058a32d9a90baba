/**
 * The HTTP API put together: server, gate, routes. Building is not listening, so a test calls the whole API with `inject()`. A new resource is
 * one file and one line here.
 */
import { findToken } from "../db/tokens.ts";
import { openIdPool } from "../db/volumes.ts";
import { openLoad } from "../http/load.ts";
import { openDocument } from "../http/openapi.ts";
import { Problem } from "../http/problem.ts";
import { openServer, type Server } from "../http/server.ts";
import { rememberGood } from "./content.ts";
import type { ApiContext, ApiDeps } from "./context.ts";
import { addDeliveryRoutes } from "./deliveries.ts";
import { openGate } from "./route/gate.ts";
import { addHealthRoutes } from "./health.ts";
import { addLinkRoutes } from "./links.ts";
import { addMessageRoutes } from "./messages.ts";
import { addMirrorRoute } from "./mirror.ts";
import { addPreviewRoute } from "./preview.ts";
import { addProgressRoute } from "./progress.ts";
import { addReactionRoutes } from "./reactions.ts";
import { addRecipientRoutes, LIST_TYPES } from "./recipients.ts";
import { addSendRoute } from "./send.ts";
import { addSiteRoutes } from "./sites.ts";
import { addSuppressionRoutes } from "./suppressions.ts";
import { addSuspensionRoutes } from "./traffic-suspensions.ts";
import { addTrackingEventsRoute } from "./tracking-events.ts";
import { addStopRoutes } from "./tracking-stops.ts";
import { addWhyRoutes } from "./why.ts";
import { openStatAnswers } from "./why/ask.ts";
import { openExchangers } from "./why/exchangers.ts";

/** Requests at work at once, uploads and event streams apart; the pool of the database has far fewer connections, the rest wait for them. */
const MOST_AT_WORK = 512;

/** Ready to `listen` or `inject`; `close` ends what it opened. */
export async function buildApi(deps: ApiDeps): Promise<Server> {
  const { settings, sql, log, clock } = deps;
  const server = openServer({
    bodyLimitBytes: settings.web.bodyLimitBytes,
    streamed: LIST_TYPES,
    explain: explainDatabase,
    // Who reads the log is not to unsubscribe readers: a mirror page is asked for by their token.
    report: (err, { url, ...request }) =>
      log.error({ err, ...request, url: url.replace(/^\/v1\/mirror\/.*/, "/v1/mirror/…") }, "a request failed"),
  });
  const document = await openDocument(server, {
    title: "Postilion",
    version: deps.version,
    description: "Submit deliveries, watch them, and read what happened to every message.",
  });
  const load = deps.load ?? openLoad(MOST_AT_WORK);
  server.addHook("onClose", async () => load.close());
  const stat = openStatAnswers(deps.askStat, clock);
  const exchangers = deps.exchangers ?? openExchangers(settings.mta, clock);
  const context: ApiContext = {
    ...deps,
    checkContent: rememberGood(deps.checkContent),
    stat,
    why: { sql, clock, mta: settings.mta, stat, exchangers },
    server,
    load,
    gate: openGate({
      clock,
      requestsPerSecond: settings.web.requestsPerSecond,
      find: (token) => findToken(sql, token),
      ...(deps.servers === undefined ? {} : { trackingSecret: deps.servers.secret }),
    }),
    ids: openIdPool(sql, clock),
    defaults: {
      affinities: settings.mta.affinities.map((affinity) => affinity.name),
      returnPathDomain: settings.returnPathDomain,
      tracking: settings.tracking,
      contentLimitBytes: settings.web.contentLimitBytes,
    },
    explain: explainDatabase,
  };
  addDeliveryRoutes(context);
  addRecipientRoutes(context);
  addProgressRoute(context);
  addPreviewRoute(context);
  addMessageRoutes(context);
  addSendRoute(context);
  addSuppressionRoutes(context);
  addSiteRoutes(context);
  addSuspensionRoutes(context);
  addReactionRoutes(context);
  addTrackingEventsRoute(context);
  addLinkRoutes(context);
  addStopRoutes(context);
  addMirrorRoute(context);
  addWhyRoutes(context);
  addHealthRoutes(context, () => document.describe());
  return server;
}

/** Codes of a connection that could not be had or was cut: of Node, of the driver, of PostgreSQL (classes 08 and 57P, and 53300). */
const AWAY =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED)|DATABASE_UNREACHABLE|08...|57P0.|53300)$/;
/** PostgreSQL is out of disk or memory. */
const FULL = /^53[12]00$/;

/** 503 while the database is away or full: what was not answered with success did not happen, so trying again is right. */
function explainDatabase(error: unknown): Problem | null {
  const code = String((error as { code?: unknown }).code ?? "");
  if (AWAY.test(code)) return new Problem(503, "the database does not answer", { retryAfter: 5 });
  if (FULL.test(code)) return new Problem(503, "the database has no room", { retryAfter: 60 });
  return null;
}
