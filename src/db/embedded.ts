/**
 * The embedded PostgreSQL: a real server as a child process, its files under `dataDir`, reached over 127.0.0.1 with a password.
 *
 * One process owns it: whoever started it, or took it over because the owner died (`kill -9`) and left the server running. Another
 * process that opens the same `dataDir` meanwhile is a guest: it gets the address, and its `close()` leaves the server alone.
 * The server runs in a process group of its own, so a Ctrl-C at the terminal reaches us and not it: it ends last, after our modules.
 */
import { linkSync, rmSync, writeFileSync } from "node:fs";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { chooseUser, findBinaries } from "./embedded/binaries.ts";
import { type ClusterPaths, SUPERUSER, create, handOver, locate, ownerOf, readAccess } from "./embedded/cluster.ts";
import { identity } from "./embedded/process.ts";
import { START_MS, readOr, running, start, stop } from "./embedded/server.ts";
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

/** Opens the server of `dataDir`: makes, starts, takes over or joins it. Faults: DATABASE_START, PORT_TAKEN. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { log } = options;
  const sync = options.sync ?? true;
  let as = chooseUser();
  const paths = locate(options.dataDir, as);
  const existing = ownerOf(paths);
  if (existing !== undefined && as === null && existing.uid !== process.getuid?.()) {
    throw new Fault("DATABASE_START", `${paths.cluster} belongs to user ${existing.uid}: run as that user or as root`);
  }
  if (existing !== undefined && as !== null && existing.uid !== 0) as = { ...existing, name: `user ${existing.uid}` };
  const binaries = findBinaries(as, log);
  if (existing === undefined && paths.moved) {
    const text = "embedded PostgreSQL kept where its user can reach it";
    log.info({ folder: paths.cluster, wished: options.dataDir, user: as?.name }, text);
  }
  create(paths, binaries, as, sync, log);

  let owner = claim(paths);
  let pid: number | null = null;
  try {
    pid = await running(paths, owner ? 0 : START_MS, () => owner || isHeld(paths));
    // The owner was on its way out when we came, and has taken its server along: nobody else starts one.
    while (pid === null && !owner) {
      owner = claim(paths);
      pid = await running(paths, owner ? 0 : START_MS, () => owner || isHeld(paths));
    }
    pid ??= await start({ paths, binaries, as, port: options.port, sync, log });
    const { port, password } = readAccess(paths);
    const base = `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}`;
    await createDatabase(`${base}/postgres`);
    log.info({ port, server: pid, folder: paths.cluster, guest: !owner }, "embedded PostgreSQL is up");
    return handle(paths, pid, `${base}/postilion`, owner, log);
  } catch (error) {
    if (owner && pid !== null) await stop(pid, log);
    if (owner) rmSync(paths.owner, { force: true });
    throw error;
  }
}

function handle(paths: ClusterPaths, pid: number, url: string, owner: boolean, log: Log): Embedded {
  const known = identity(pid);
  const ended = Promise.withResolvers<void>();
  const watch = async (): Promise<void> => {
    // Not every server is our child (one may be taken over), so its life is read from /proc; twice a second costs nothing.
    while (identity(pid) === known) await nap(500);
    ended.resolve();
  };
  void watch();
  const close = async (): Promise<void> => {
    if (!owner) return;
    await stop(pid, log);
    rmSync(paths.owner, { force: true });
    ended.resolve();
  };
  let closing: Promise<void> | undefined;
  return { url, guest: !owner, pid, ended: ended.promise, close: () => (closing ??= close()) };
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
  handOver(paths, fresh);
  try {
    for (let tries = 0; tries < 5; tries++) {
      try {
        // A link either appears with its content or fails because the name is taken.
        linkSync(fresh, paths.owner);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      if (isHeld(paths)) return false;
      rmSync(paths.owner, { force: true });
    }
    return false;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Another process owns the server, and lives. */
function isHeld(paths: ClusterPaths): boolean {
  const holder = readOr(paths.owner, "");
  const pid = Number.parseInt(holder, 10);
  return pid > 0 && pid !== process.pid && identity(pid) === holder;
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
