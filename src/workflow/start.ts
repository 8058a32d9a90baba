/** The module workflow: the technical workflows of the appliance, done by one machine at a time. */
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../config/settings.ts";
import { loadTrackingSecret, ownRedirector, redirectorsOf } from "../config/tracking-place.ts";
import { CHANNELS, type Sql } from "../db/sql.ts";
import { openHttpClient } from "../http/client.ts";
import { openTracking } from "./tracking.ts";

export interface WorkflowContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly sql: Sql;
  readonly clock: Clock;
  readonly slot: number;
}

/** Faults: KEY_UNREADABLE. */
export async function start({ settings, log, sql, clock, slot }: WorkflowContext): Promise<{ drain(): Promise<void> }> {
  const { workflow } = settings;
  const redirectors = redirectorsOf(settings);
  const client = openHttpClient({ clock, connections: 2, own: ownRedirector(settings) });
  const tracking = openTracking({
    ask: client.ask,
    sql,
    redirectors,
    server: `${settings.machine || hostname()}/${slot}`,
    leaderMs: workflow.leaderMs,
    secret: loadTrackingSecret(settings, log).toString("utf8"),
    pullRecords: workflow.pullRecords,
    pullWaitMs: workflow.pullWaitMs,
    clock,
    log,
    random: Math.random,
    counted: (facts) => log.debug(facts, "hits counted"),
  });
  const listening = await sql.listen(CHANNELS.workflow, () => tracking.nudge(), tracking.nudge);
  log.info({ redirectors }, "the tracking workflow stands by");
  return {
    async drain() {
      await Promise.allSettled([listening.unlisten()]);
      await tracking.close();
      await client.close();
    },
  };
}
