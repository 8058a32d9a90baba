/**
 * The tracking workflow: as long as this machine leads, the log of every redirection server is pulled and counted. Of several machines one
 * leads; the epoch of the leader stands in the fence of the database before it counts anything, so a machine that was frozen past its lease
 * and wakes up in the middle of a commit changes nothing any more.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { HttpAnswer, HttpAsk } from "../http/client.ts";
import { type Lead, openLeadership } from "../db/leadership.ts";
import { CHANNELS, type Sql } from "../db/sql.ts";
import { raiseFence } from "../db/tracking-sources.ts";
import { openClaims } from "./claims.ts";
import { type CountedFacts, openConsolidator } from "./consolidate.ts";
import { lookAgain } from "./second-look.ts";
import { pause, pullSource, type SourceDeps } from "./source.ts";

export interface TrackingDeps extends Pick<SourceDeps, "secret" | "pullRecords" | "pullWaitMs"> {
  readonly ask: (request: HttpAsk) => Promise<HttpAnswer>;
  readonly counted: (facts: CountedFacts) => void;
  readonly sql: Sql;
  /** Base addresses, each once. */
  readonly redirectors: readonly string[];
  /** Name of this process among those that may lead. */
  readonly server: string;
  readonly leaderMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** 0…1. */
  readonly random: () => number;
}

export interface Tracking {
  /** Does this machine do it at the moment? */
  readonly leads: boolean;
  /** Somebody gave up the lead: looks at once. */
  nudge(): void;
  /** Finishes the batch it is at and gives up the lead. Never rejects. */
  close(): Promise<void>;
}

const AGAIN_MS = 500;

export function openTracking(deps: TrackingDeps): Tracking {
  const { sql, clock, log } = deps;
  let reign: { readonly lead: Lead; readonly ended: AbortController; readonly done: Promise<unknown> } | null = null;
  /** Reigns that have ended may still be at their last batch. */
  let last: Promise<unknown> = Promise.resolve();

  async function run({ epoch }: Lead, signal: AbortSignal): Promise<void> {
    await last;
    const fence = await raised(epoch, signal);
    if (fence === null) return;
    const consolidator = openConsolidator({ sql, log, clock, fence, counted: deps.counted });
    const source = { ...deps, consolidator, claims: openClaims(clock) };
    await Promise.all([
      ...deps.redirectors.map((address) => pullSource(source, address, signal)),
      lookAgain({ sql, consolidator, clock, log }, signal),
    ]);
  }

  async function raised(epoch: number, signal: AbortSignal): ReturnType<typeof raiseFence> {
    while (!signal.aborted) {
      try {
        return await raiseFence(sql, epoch);
      } catch (err) {
        log.warn({ err }, "the tracking workflow cannot begin yet");
        await pause(clock, AGAIN_MS, signal);
      }
    }
    return null;
  }

  const leadership = openLeadership({
    table: "tracking_leader",
    channel: CHANNELS.workflow,
    what: "workflow",
    sql,
    server: deps.server,
    leaderMs: deps.leaderMs,
    clock,
    log,
    random: deps.random,
    begin(lead) {
      const ended = new AbortController();
      reign = { lead, ended, done: run(lead, ended.signal) };
      last = reign.done;
    },
    end() {
      reign?.ended.abort();
      reign = null;
    },
  });

  return {
    get leads() {
      return reign !== null;
    },
    nudge: () => leadership.nudge(),
    async close() {
      reign?.ended.abort();
      await leadership.close(async () => void (await last));
      await last;
    },
  };
}
