/**
 * The embedded PostgreSQL: a real server as a child process, its files under `dataDir`, reached over 127.0.0.1 with a password.
 *
 * One process owns it: whoever started it, or took it over because the owner died (`kill -9`) and left the server running. Another
 * process that opens the same `dataDir` meanwhile is a guest: it gets the address, and its `close()` leaves the server alone.
 * The server runs in a process group of its own, so a Ctrl-C at the terminal reaches us and not it: it ends last, after our modules.
 */
import { spawn } from "node:child_process";
import { closeSync, linkSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { sleep } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { type Binaries, type RunAs, chooseUser, credentials, findBinaries } from "./embedded/binaries.ts";
import {
  type ClusterPaths,
  SUPERUSER,
  configure,
  create,
  locate,
  ownerOf,
  readAccess,
  writeAccess,
} from "./embedded/cluster.ts";
import { commandLine, identity, workingIn } from "./embedded/process.ts";
import { openSql } from "./sql.ts";

export interface EmbeddedOptions {
  /** Absolute, or relative to the working folder. */
  readonly dataDir: string;
  /** On 127.0.0.1; 0: a free one, kept for the next starts. */
  readonly port: number;
  readonly log: Log;
  /** False: does not wait for the disk. For tests: a power cut loses everything. Default true. */
  readonly sync?: boolean;
}

export interface Embedded {
  /** postgres://…/postilion */
  readonly url: string;
  /** True: another living process owns the server. */
  readonly guest: boolean;
  /** Process id of the server. */
  readonly pid: number;
  /** Resolves when the server is gone, whoever ended it. */
  readonly ended: Promise<void>;
  /** Stops the server (fast shutdown: connections are cut, data is safe) unless we are a guest. */
  close(): Promise<void>;
}

/** Recovery after a crash replays up to max_wal_size of log: minutes on a slow disk. */
const START_MS = 300_000;
const STOP_MS = 60_000;

/** Opens the server of `dataDir`: makes, starts, takes over or joins it. Faults: DATABASE_START, PORT_TAKEN. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { log } = options;
  const sync = options.sync ?? true;
  let as = chooseUser();
  const paths = locate(options.dataDir, as);
  const uid = ownerOf(paths);
  if (uid !== undefined && as === null && uid.uid !== process.getuid?.()) {
    throw new Fault("DATABASE_START", `${paths.cluster} belongs to user ${uid.uid}: run as that user or as root`);
  }
  if (uid !== undefined && as !== null && uid.uid !== as.uid && uid.uid !== 0) as = { name: String(uid.uid), ...uid };
  const binaries = findBinaries(as, log);
  if (
    uid === undefined &&
    !paths.cluster.startsWith(join(options.dataDir, "/")) &&
    as !== null &&
    paths.base.startsWith("/var/lib/")
  ) {
    log.info(
      { folder: paths.cluster, wished: options.dataDir, user: as.name },
      "embedded PostgreSQL kept where its user can reach it",
    );
  }
  create(paths, binaries, as, sync, log);

  const owner = claim(paths);
  try {
    const pid =
      (await running(paths, owner ? 0 : START_MS)) ?? (await start(paths, binaries, as, options.port, sync, log));
    const { port, password } = readAccess(paths);
    await createDatabase(`postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`);
    const url = `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postilion`;
    log.info({ port, server: pid, folder: paths.cluster, guest: !owner }, "embedded PostgreSQL is up");
    return handle(paths, pid, url, owner, log);
  } catch (error) {
    if (owner) rmSync(paths.owner, { force: true });
    throw error;
  }
}

function handle(paths: ClusterPaths, pid: number, url: string, owner: boolean, log: Log): Embedded {
  const known = identity(pid);
  const watching = new AbortController();
  const gone = async (): Promise<void> => {
    // Not every server is our child (one may be taken over), so its life is read from /proc; twice a second costs nothing.
    while (identity(pid) === known) await nap(500);
    watching.abort();
  };
  const ended = gone();
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    if (!owner) return;
    await stop(pid, log);
    rmSync(paths.owner, { force: true });
  };
  return { url, guest: !owner, pid, ended, close: () => (closing ??= close()) };
}

/** A wait that does not keep the process alive. */
function nap(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}

/** True when this process is now the one that starts and stops the server; false while another living one is. */
function claim(paths: ClusterPaths): boolean {
  const mine = identity(process.pid);
  const fresh = `${paths.owner}.new-${process.pid}`;
  writeFileSync(fresh, mine);
  try {
    for (let tries = 0; tries < 5; tries++) {
      try {
        // A link either appears with its content or fails because the name is taken.
        linkSync(fresh, paths.owner);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = readOr(paths.owner, "");
      const pid = Number.parseInt(holder, 10);
      if (holder !== mine && pid > 0 && identity(pid) === holder) return false;
      rmSync(paths.owner, { force: true });
    }
    return false;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** The process id of a server that runs in this cluster and is ready, waiting `waitMs` for one to appear; null when there is none. */
async function running(paths: ClusterPaths, waitMs: number): Promise<number | null> {
  const until = performance.now() + waitMs;
  for (;;) {
    const server = readPidFile(paths);
    // While a server lives it may still be starting: then it is worth the full wait, whoever began it.
    if (server?.alive) {
      if (server.ready) return server.pid;
      if (performance.now() > Math.max(until, START_MS)) break;
    } else if (performance.now() > until) break;
    await sleep(20);
  }
  if (waitMs > 0)
    throw new Fault("DATABASE_START", `another process owns ${paths.cluster} and its server does not become ready`);
  return null;
}

interface ServerState {
  readonly pid: number;
  readonly alive: boolean;
  readonly ready: boolean;
}

/** postmaster.pid: process id, folder, start, port, socket folder, address, shared memory, and on line 8 `ready` or what it is at. */
function readPidFile(paths: ClusterPaths): ServerState | null {
  const lines = readOr(join(paths.cluster, "postmaster.pid"), "").split("\n");
  const pid = Number.parseInt(lines[0] ?? "", 10);
  if (!(pid > 0)) return null;
  const alive = identity(pid) !== "" && commandLine(pid).includes(paths.cluster);
  return { pid, alive, ready: alive && (lines[7] ?? "").trim() === "ready" };
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return fallback;
    throw error;
  }
}

async function start(
  paths: ClusterPaths,
  binaries: Binaries,
  as: RunAs,
  wished: number,
  sync: boolean,
  log: Log,
): Promise<number> {
  await clearStale(paths, log);
  configure(paths, as, sync);
  const access = readAccess(paths);
  const port = await choosePort(wished, access.port);
  writeAccess(paths, { ...access, port });
  const output = openSync(paths.start, "w", 0o600);
  const child = spawn(join(binaries.bin, "postgres"), ["-D", paths.cluster, "-p", String(port)], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", output, output],
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
    ...credentials(as),
  });
  closeSync(output);
  child.unref();
  let end = "";
  child.once("error", (error) => (end = error.message));
  child.once("exit", (code, signal) => (end = `it ended with ${signal ?? `code ${code}`}`));
  const until = performance.now() + START_MS;
  let said = performance.now();
  while (end === "") {
    const server = readPidFile(paths);
    if (server !== null && server.pid === child.pid && server.ready) return server.pid;
    if (performance.now() > until) {
      child.kill("SIGINT");
      end = `it is not ready after ${START_MS / 1000} s`;
    } else if (performance.now() > said + 10_000) {
      said = performance.now();
      log.info(
        { folder: paths.cluster },
        "embedded PostgreSQL is still starting (recovering after a crash takes a while)",
      );
    }
    await sleep(20);
  }
  throw new Fault(
    "DATABASE_START",
    `${end}. ${readOr(paths.start, "").trim().slice(-2000)} (its log: ${paths.cluster}/log)`,
  );
}

/** After a crash: waits for the server's orphaned processes to end, and takes away a pid file whose number now means another program. */
async function clearStale(paths: ClusterPaths, log: Log): Promise<void> {
  // When a postmaster is killed its children notice at once, but one that is in the middle of a checkpoint may take seconds.
  const until = performance.now() + 30_000;
  let left = workingIn(paths.cluster);
  while (left.length > 0 && performance.now() < until) {
    await sleep(20);
    left = workingIn(paths.cluster);
  }
  if (left.length > 0)
    throw new Fault("DATABASE_START", `processes ${left.join(", ")} of a dead server still work in ${paths.cluster}`);
  const server = readPidFile(paths);
  if (server === null || server.alive || identity(server.pid) === "") return;
  // PostgreSQL itself deals with a dead number; only a number that another program now has stops it.
  log.warn(
    { folder: paths.cluster, number: server.pid },
    "stale postmaster.pid taken away: its process id belongs to another program",
  );
  rmSync(join(paths.cluster, "postmaster.pid"), { force: true });
}

async function choosePort(wished: number, last: number): Promise<number> {
  if (wished !== 0) {
    if ((await probe(wished)) === wished) return wished;
    throw new Fault("PORT_TAKEN", `127.0.0.1:${wished} (database.port)`);
  }
  if (last !== 0 && (await probe(last)) === last) return last;
  return probe(0);
}

/** The port when it can be listened on (for 0: the one the system gave), else -1. */
function probe(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(-1));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : -1));
    });
  });
}

async function createDatabase(url: string): Promise<void> {
  const sql = openSql(url, { poolSize: 1, name: "postilion start" });
  try {
    const found = await sql`select 1 from pg_database where datname = 'postilion'`;
    if (found.length === 0) await sql`create database postilion`;
  } catch (error) {
    // 42P04: another start was quicker.
    if ((error as { code?: string }).code !== "42P04") {
      throw new Fault(
        "DATABASE_START",
        `the server runs and does not answer as it should: ${(error as Error).message}`,
        error,
      );
    }
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function stop(pid: number, log: Log): Promise<void> {
  const known = identity(pid);
  // SIGINT: fast shutdown. SIGQUIT: immediate, repaired at the next start.
  for (const [signal, waitMs] of [
    ["SIGINT", STOP_MS],
    ["SIGQUIT", 10_000],
    ["SIGKILL", 10_000],
  ] as const) {
    if (known === "" || identity(pid) !== known) return;
    if (signal !== "SIGINT") log.warn({ server: pid, signal }, "embedded PostgreSQL does not stop");
    process.kill(pid, signal);
    const until = performance.now() + waitMs;
    while (identity(pid) === known && performance.now() < until) await sleep(20);
  }
}
