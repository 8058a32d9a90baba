/**
 * The life of one process that runs one module: log → database → the module's start → ready → drain → exit code. What was opened is
 * released in reverse; the drain of the module comes first. An error nobody caught is a bug: it ends the process, and the watchdog
 * starts another.
 */
import { type Clock, systemClock } from "./base/clock.ts";
import { EXIT, exitCodeOf, told } from "./base/exit.ts";
import { type Log, openLog } from "./base/log.ts";
import { type Releasers, withReleasers } from "./base/releasers.ts";
import { openStopOrder } from "./base/stop.ts";
import type { Settings } from "./config/settings.ts";
import { requireSchema } from "./db/migrate.ts";
import { openDatabase, requireAnswer } from "./db/open.ts";
import { type Sql, openSql } from "./db/sql.ts";

/** What the start of a module is given that runs without the database. */
export interface BareContext {
  readonly settings: Settings;
  /** The settings as they stand in their file now: for what may change while a module runs. Faults SETTINGS_*. */
  readonly readSettings: () => Settings;
  readonly log: Log;
  readonly clock: Clock;
  /** Number of this process among those of the module, from 0. */
  readonly slot: number;
  /** Aborts when the drain begins. */
  readonly signal: AbortSignal;
}

/** What a module's `start` is given. */
export interface ServiceContext extends BareContext {
  /** A pool of `database.poolSize`; closed after the drain. */
  readonly sql: Sql;
  /** For connections of another kind (LISTEN). */
  readonly databaseUrl: string;
}

export interface RunningModule {
  /** Finishes what has begun, takes nothing new, gives back the rest. Called once. */
  drain(): Promise<void>;
  /** Where it listens, when it does. */
  readonly port?: number;
}

export type Start = (context: ServiceContext) => Promise<RunningModule>;
/** Of a module that has to go on when there is no database, and so never asks for one. */
export type BareStart = (context: BareContext) => Promise<RunningModule>;

export type Service = {
  readonly name: string;
  readonly slot: number;
  readonly settings: Settings;
  readonly readSettings: () => Settings;
} & ({ readonly start: Start } | { readonly bareStart: BareStart });

/** What a child tells the watchdog. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly port: number;
}

/** Runs the module until it is told to stop; resolves with the exit code and never rejects. */
export async function runService(service: Service): Promise<number> {
  const { name, slot, settings, readSettings } = service;
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
      const bare = { settings, readSettings, log, clock: systemClock, slot, signal: order.signal };
      const running =
        "bareStart" in service
          ? await service.bareStart(bare)
          : await service.start({ ...bare, ...(await openLedger(service, log, releasers)) });
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

/** The database, answering and of this version's schema. */
async function openLedger(
  { name, slot, settings }: Service,
  log: Log,
  releasers: Releasers,
): Promise<Pick<ServiceContext, "sql" | "databaseUrl">> {
  const { url, port, poolSize } = settings.database;
  const database = await openDatabase({ url, port, dataDir: settings.dataDir }, log);
  releasers.add(() => database.close());
  const sql = openSql(database.url, { poolSize, name: `postilion ${name}/${slot}` });
  releasers.add(() => sql.end({ timeout: 5 }));
  await requireAnswer(sql);
  await requireSchema(sql);
  return { sql, databaseUrl: database.url };
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
