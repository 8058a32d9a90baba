/**
 * `postilion start`: the whole appliance on this machine. Database (embedded unless the settings name one) → migrations → keys and the
 * first API token → the modules as child processes → until told to stop → everything in reverse.
 */
import { spawn } from "node:child_process";
import { openBackoff } from "../base/backoff.ts";
import { sleep, systemClock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { type Releasers, withReleasers } from "../base/releasers.ts";
import { type StopOrder, openStopOrder } from "../base/stop.ts";
import { loadDkimKeys, loadTokenKeys } from "../config/keys.ts";
import type { Settings } from "../config/settings.ts";
import { ownRedirector } from "../config/tracking-place.ts";
import type { Embedded } from "../db/embedded.ts";
import { migrate } from "../db/migrate.ts";
import { type Database, openDatabase, requireAnswer } from "../db/open.ts";
import { openSql } from "../db/sql.ts";
import { createFirstToken } from "../db/tokens.ts";
import { ChildGone } from "./child.ts";
import { choosePorts } from "./ports.ts";
import { type WatchedModule, openWatchdog } from "./watchdog.ts";

export interface ApplianceOptions {
  readonly settings: Settings;
  /** In the order of their start. */
  readonly modules: readonly WatchedModule[];
  /** Arguments of this program that run one module. */
  readonly argumentsOf: (module: string, slot: number) => readonly string[];
  readonly log: Log;
  /** For people, not for the log: the first token. */
  readonly say: (text: string) => void;
}

/** What a parent process with an IPC channel is told once all modules are ready. */
export interface ApplianceReady {
  readonly type: "ready";
  /** Base address of the API, '' when no web module runs. */
  readonly url: string;
  readonly port: number;
  /** Base address of the redirection server, '' when none runs. */
  readonly redirector: string;
  /** The first API token when it was made by this start, else ''. */
  readonly token: string;
}

/** Runs until told to stop; resolves with the exit code. Faults: of the database, the keys, the schema. */
export async function startAppliance(options: ApplianceOptions): Promise<number> {
  const { settings, log } = options;
  let kill = (): void => {};
  const order = openStopOrder({
    child: process.send !== undefined,
    onSecond(code) {
      kill();
      process.exit(code);
    },
  });
  return withReleasers(async (releasers) => {
    releasers.add(() => order.close());
    loadDkimKeys(settings, log);
    const database = await openOwnDatabase(settings, releasers, order, log);
    loadTokenKeys(settings, log);
    const token = await prepare(database.url, log);
    if (token !== null) options.say(introduce(token));

    const ports = await choosePorts(settings);
    const watchdog = openWatchdog({
      modules: options.modules,
      launch: (module, slot) =>
        spawn(process.execPath, options.argumentsOf(module, slot), {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
          // The environment of a process can be read by its own user only; the command line by everybody.
          env: { ...process.env, POSTILION_DATABASE__URL: database.url, ...ports },
        }),
      clock: systemClock,
      log,
      ...settings.watchdog,
    });
    kill = () => watchdog.kill();
    // To a service it means: read your rules again. At a terminal it means that the terminal is gone, and ends everything as ever.
    const onHup = (): void => {
      const pid = watchdog.pids().get("stat/0") ?? 0;
      if (pid > 0) process.kill(pid, "SIGHUP");
    };
    if (!process.stdin.isTTY) {
      process.on("SIGHUP", onHup);
      releasers.add(() => void process.off("SIGHUP", onHup));
    }
    releasers.add(() => watchdog.stop());

    const code = await watch(options, order, watchdog.ready, token ?? "");
    await releasers.all();
    log.info({}, "everything is stopped");
    return code;
  });
}

async function watch(
  { settings, log }: ApplianceOptions,
  order: StopOrder,
  ready: Promise<ReadonlyMap<string, number>>,
  token: string,
): Promise<number> {
  try {
    const ports = await Promise.race([ready, order.given]);
    if (typeof ports !== "string") {
      const port = ports.get("web") ?? 0;
      const url = port === 0 ? "" : `http://${hostOf(settings)}:${port}`;
      const own = ports.get("redirector") ?? 0;
      const redirector = own === 0 ? "" : ownRedirector({ redirector: { ...settings.redirector, port: own } });
      log.info({ url, redirector, modules: [...ports.keys()].join(", ") }, "Postilion is ready");
      const message: ApplianceReady = { type: "ready", url, port, token, redirector };
      if (process.connected) process.send?.(message, undefined, undefined, () => {});
    }
  } catch (error) {
    if (!(error instanceof ChildGone)) throw error;
    log.error({ err: error }, error.message);
    return error.exitCode === EXIT.ok ? EXIT.fault : error.exitCode;
  }
  log.info({ reason: await order.given }, "stopping");
  return EXIT.ok;
}

/** An address to call from this machine. */
function hostOf({ web }: Settings): string {
  if (web.host === "0.0.0.0") return "127.0.0.1";
  if (web.host === "::") return "[::1]";
  return web.host.includes(":") ? `[${web.host}]` : web.host;
}

/** Opens the database and, when it is the embedded one, keeps it running: its death does not have to be ours. */
async function openOwnDatabase(
  settings: Settings,
  releasers: Releasers,
  order: StopOrder,
  log: Log,
): Promise<Database> {
  const { url, port } = settings.database;
  const place = { url, port, dataDir: settings.dataDir };
  const database = await openDatabase(place, log);
  if (database.embedded?.guest) {
    throw new Fault(
      "DATABASE_START",
      `another Postilion is running on ${settings.dataDir}; stop it, or give this one its own dataDir`,
    );
  }
  if (database.embedded === null) return database;
  let current: Embedded = database.embedded;
  let closing = false;
  const backoff = openBackoff({ firstMs: 250, maxMs: 30_000 });
  const guard = async (): Promise<void> => {
    for (;;) {
      await current.ended;
      if (closing) return;
      log.error({ server: current.pid }, "embedded PostgreSQL died and is started again");
      const again = await reopen();
      if (again === null) return;
      current = again;
      // The order to stop came while this one was starting: it is closed behind this loop.
      if (closing) return;
      backoff.reset();
    }
  };
  const reopen = async (): Promise<Embedded | null> => {
    while (!closing) {
      try {
        // The same port: the modules know no other.
        const again = await openDatabase({ ...place, port: Number(new URL(database.url).port) }, log);
        return again.embedded;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        log.error({ err: error }, error.message);
        await sleep(backoff.next(), order.signal);
      }
    }
    return null;
  };
  const guarding = guard();
  releasers.add(async () => {
    closing = true;
    await current.close();
    await guarding;
    await current.close();
  });
  return database;
}

/** Schema and first token; null when there was a token before. */
async function prepare(url: string, log: Log): Promise<string | null> {
  // A migration of a large table says nothing for a long time.
  const sql = openSql(url, { poolSize: 1, name: "postilion watchdog", answerMs: 3_600_000 });
  try {
    await requireAnswer(sql);
    await migrate(sql, log);
    return await createFirstToken(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function introduce(token: string): string {
  return `
The first API token, with all scopes. It is shown this once:

    ${token}

More of them, and an end to this one: postilion token create | list | revoke
`;
}
