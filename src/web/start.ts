/** The module web: the HTTP API, listening. Reading this file is reading what it is made of. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { openMetrics } from "../base/metrics.ts";
import { rereadTokenKeys } from "../config/keys.ts";
import type { Settings } from "../config/settings.ts";
import { statPlace } from "../config/stat-place.ts";
import { loadStatSecret } from "../config/stat-secret.ts";
import { loadTrackingSecret } from "../config/tracking-place.ts";
import { forgetOldKeys } from "../db/idempotency.ts";
import type { Sql } from "../db/sql.ts";
import { askStat } from "../quota/link/ask.ts";
import { buildApi } from "./api.ts";
import { openRenderer } from "./renderer.ts";
import { openServers } from "./servers.ts";
import { addStatMetrics } from "./stat-metrics.ts";
import { type AskStat, openStatAnswers } from "./why/ask.ts";

/** What of the process's context this module uses. */
export interface WebContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly sql: Sql;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const HOUR_MS = 3_600_000;
/** How long what is under way (an upload, say) may go on once the process is told to end; what was committed stays. */
const DRAIN_MS = 10_000;

/** Faults: PORT_TAKEN. */
export async function start(context: WebContext): Promise<{ drain(): Promise<void>; port: number }> {
  const { settings, log, sql, clock, signal } = context;
  const metrics = openMetrics("web");
  const ask = statOf(settings, clock, log);
  const readStat = addStatMetrics(metrics, openStatAnswers(ask, clock), clock);
  const servers = openServers({
    clock,
    log,
    readSecret: () => loadTrackingSecret(settings, log),
    readKeys: () => rereadTokenKeys(settings, log),
  });
  const server = await buildApi({
    settings,
    log,
    sql,
    clock,
    version: readVersion(),
    metrics: () => readStat().then(metrics.text),
    askStat: ask,
    servers,
    ...openRenderer(clock),
  });
  try {
    await server.listen({ host: settings.web.host, port: settings.web.port });
  } catch (error) {
    await server.close();
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Fault("PORT_TAKEN", `${settings.web.host}:${settings.web.port} (web.port)`, error);
  }
  const tidy = (): void => {
    if (signal.aborted) return;
    forgetOldKeys(sql).catch((err: unknown) => log.warn({ err }, "old idempotency keys are not forgotten yet"));
    clock.after(HOUR_MS, tidy);
  };
  tidy();
  const { port } = server.server.address() as AddressInfo;
  log.info({ host: settings.web.host, port }, "the API listens");
  return {
    port,
    async drain() {
      const cut = clock.after(DRAIN_MS, () => server.server.closeAllConnections());
      // A connection whose last request ends now would be kept alive for the next one.
      const idle = setInterval(() => server.server.closeIdleConnections(), 50);
      await server.close();
      clearInterval(idle);
      cut.cancel();
      servers.close();
      metrics.close();
    },
  };
}

/** A question is a connection of its own: they are few, and a person waits. */
const ASK_MS = 2_000;

/** Secret and places are read when somebody asks: the API works without them, and says what is wrong with them. */
function statOf(settings: Settings, clock: Clock, log: Log): AskStat {
  return async (what, args) => {
    const options = { ...statPlace(settings.stat), secret: loadStatSecret(settings, log), clock, name: "web" };
    return askStat(options, what, args, ASK_MS);
  };
}

function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
