/**
 * The life of one process that runs one module: log → database → the module's start → ready → drain → exit code. What was opened is
 * released in reverse; the drain of the module comes first. An error nobody caught is a bug: it ends the process, and the watchdog
 * starts another.
 */
import { type Clock, systemClock } from "./base/clock.ts";
import { EXIT, exitCodeOf, told } from "./base/exit.ts";
import { type Log, openLog } from "./base/log.ts";
import { withReleasers } from "./base/releasers.ts";
import { openStopOrder } from "./base/stop.ts";
import type { Settings } from "./config/settings.ts";
import { requireSchema } from "./db/migrate.ts";
import { openDatabase, requireAnswer } from "./db/open.ts";
import { type Sql, openSql } from "./db/sql.ts";

/** What a module's `start` is given. */
export interface ServiceContext {
  readonly settings: Settings;
  readonly log: Log;
  /** A pool of `database.poolSize`; closed after the drain. */
  readonly sql: Sql;
  /** For connections of another kind (LISTEN). */
  readonly databaseUrl: string;
  readonly clock: Clock;
  /** Number of this process among those of the module, from 0. */
  readonly slot: number;
  /** Aborts when the drain begins. */
  readonly signal: AbortSignal;
}

export interface RunningModule {
  /** Finishes what has begun, takes nothing new, gives back the rest. Called once. */
  drain(): Promise<void>;
  /** Where it listens, when it does. */
  readonly port?: number;
}

export type Start = (context: ServiceContext) => Promise<RunningModule>;

export interface Service {
  readonly name: string;
  readonly slot: number;
  readonly settings: Settings;
  readonly start: Start;
}

/** What a child tells the watchdog. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly port: number;
}

/** Runs the module until it is told to stop; resolves with the exit code and never rejects. */
export async function runService({ name, slot, settings, start }: Service): Promise<number> {
  const log = openLog(name, logOptions(settings)).child(slot === 0 ? {} : { slot });
  const child = process.send !== undefined;
  const order = openStopOrder({ child, onSecond: (code) => process.exit(code) });
  const onBug = (error: unknown): void => {
    log.error({ err: error }, "bug: the process ends");
    process.exit(EXIT.bug);
  };
  process.on("uncaughtException", onBug);
  process.on("unhandledRejection", onBug);
  try {
    await withReleasers(async (releasers) => {
      releasers.add(() => order.close());
      const { url, port } = settings.database;
      const database = await openDatabase({ url, port, dataDir: settings.dataDir }, log);
      releasers.add(() => database.close());
      const sql = openSql(database.url, { poolSize: settings.database.poolSize, name: `postilion ${name}/${slot}` });
      releasers.add(() => sql.end({ timeout: 5 }));
      await requireAnswer(sql);
      await requireSchema(sql);
      const context = { settings, log, sql, databaseUrl: database.url, clock: systemClock, slot, signal: order.signal };
      const running = await start(context);
      releasers.add(() => running.drain());
      tellParent({ type: "ready", port: running.port ?? 0 });
      log.info(running.port === undefined ? {} : { port: running.port }, "ready");
      const reason = await order.given;
      log.info({ reason }, "draining");
      const began = performance.now();
      await releasers.all();
      log.info({ tookMs: Math.round(performance.now() - began) }, "stopped");
    });
    return EXIT.ok;
  } catch (error) {
    log.error({ err: error }, told(error).split("\n")[0] ?? "failed");
    return exitCodeOf(error);
  }
}

function tellParent(message: ReadyMessage): void {
  // The parent may have died this instant: then `disconnect` says so, and this failure is no news.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

/** How this process writes its log. */
export function logOptions({ log }: Settings): { level: string; pretty: boolean } {
  return {
    level: log.level,
    pretty: log.pretty === "always" || (log.pretty === "auto" && process.stdout.isTTY === true),
  };
}
