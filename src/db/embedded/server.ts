/**
 * The server process of the embedded PostgreSQL: is one there, start it, stop it. PostgreSQL says how it is in `postmaster.pid`, which
 * is what we read: it tells the truth about a server that somebody else started, too.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { sleep } from "../../base/clock.ts";
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";
import { type Binaries, type RunAs, credentials } from "./binaries.ts";
import { type ClusterPaths, configure, handOver, readAccess, writeAccess } from "./cluster.ts";
import { commandLine, identity, workingIn } from "./process.ts";

/** Recovery after a crash replays up to max_wal_size of log: minutes on a slow disk. */
export const START_MS = 300_000;
const STOP_MS = 60_000;

export interface StartOptions {
  readonly paths: ClusterPaths;
  readonly binaries: Binaries;
  readonly as: RunAs;
  /** 0: the port of the last start, or a free one. */
  readonly port: number;
  readonly sync: boolean;
  readonly log: Log;
}

/**
 * The process id of a server that runs in this cluster and is ready, waiting `waitMs` for one to appear, while `worth` says that it is worth
 * it; null when there is none.
 */
export async function running(paths: ClusterPaths, waitMs: number, worth: () => boolean): Promise<number | null> {
  const began = performance.now();
  for (;;) {
    const server = readPidFile(paths);
    if (server?.ready) return server.pid;
    // While a server lives it may still be starting: then it is worth the full wait, whoever began it.
    if (performance.now() > began + (server?.alive ? START_MS : waitMs)) break;
    if (!worth()) return null;
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

export function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return fallback;
    throw error;
  }
}

/** Starts the server and returns its process id once it is ready. Faults: DATABASE_START, PORT_TAKEN. */
export async function start({ paths, binaries, as, port: wished, sync, log }: StartOptions): Promise<number> {
  await clearStale(paths, log);
  configure(paths, as, sync);
  const access = readAccess(paths);
  const port = await choosePort(wished, access.port);
  writeAccess(paths, { ...access, port });
  const output = openSync(paths.start, "w", 0o600);
  handOver(paths, paths.start);
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

/** Fast shutdown, then ever less polite. */
export async function stop(pid: number, log: Log): Promise<void> {
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
