/**
 * The files of the embedded PostgreSQL: where they are, how they come into being, and its configuration. A cluster is made in a folder
 * of another name and renamed when it is complete, so a start that was cut off leaves nothing half made behind.
 *
 *     <base>/postgres/        the cluster (0700, its user's)
 *     <base>/postgres.json    port and password (0600, ours)
 *     <base>/postgres.owner   the process that started it and will stop it
 *     <base>/postgres.start   what the server said at its last start, before its own log began
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";
import { type Binaries, type RunAs, SYSTEM_FOLDER, credentials, reachable } from "./binaries.ts";

export interface ClusterPaths {
  readonly base: string;
  /** True when it is not under the wished folder. */
  readonly moved: boolean;
  readonly cluster: string;
  readonly access: string;
  readonly owner: string;
  readonly start: string;
}

/** What is needed to talk to it. */
export interface Access {
  readonly port: number;
  readonly password: string;
}

export const SUPERUSER = "postilion";

/**
 * The folder of the cluster for a wished `dataDir`. An existing one wins, so it does not "move" when permissions change; else
 * `dataDir`, or root's own place when the system user could not reach that.
 */
export function locate(dataDir: string, as: RunAs): ClusterPaths {
  const wished = resolve(dataDir);
  const elsewhere = join(SYSTEM_FOLDER, createHash("sha256").update(wished).digest("hex").slice(0, 12));
  const exists = (base: string): boolean => existsSync(join(base, "postgres", "PG_VERSION"));
  const here = exists(wished) || as === null || (!exists(elsewhere) && reachable(wished, as));
  const base = here ? wished : elsewhere;
  const path = (name: string): string => join(base, name);
  return {
    base,
    moved: !here,
    cluster: path("postgres"),
    access: path("postgres.json"),
    owner: path("postgres.owner"),
    start: path("postgres.start"),
  };
}

/** Whose an existing cluster is: it must be started by that user and no other. Undefined: there is none. */
export function ownerOf(paths: ClusterPaths): { uid: number; gid: number } | undefined {
  const stat = statSync(paths.cluster, { throwIfNoEntry: false });
  return stat && { uid: stat.uid, gid: stat.gid };
}

/** Makes the cluster unless it exists. Faults: DATABASE_START. */
export function create(paths: ClusterPaths, binaries: Binaries, as: RunAs, sync: boolean, log: Log): void {
  if (ownerOf(paths) !== undefined) return;
  const began = Date.now();
  const fresh = `${paths.cluster}.new-${process.pid}`;
  const passwordFile = `${fresh}.password`;
  const first = mkdirSync(paths.base, { recursive: true });
  // Whatever our umask is, the server's user must get through the folders we just made.
  if (first !== undefined) for (let at = paths.base; at.length >= first.length; at = dirname(at)) chmodSync(at, 0o755);
  try {
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o700 });
    const password = randomBytes(24).toString("base64url");
    writeFileSync(passwordFile, password, { mode: 0o600, flag: "wx" });
    if (as !== null) for (const path of [fresh, passwordFile]) chownSync(path, as.uid, as.gid);
    // The built-in locale sorts the same on every machine, whatever C library it has.
    const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    const auth = ["--username", SUPERUSER, "--auth=scram-sha-256", "--pwfile", passwordFile];
    run(binaries, "initdb", ["-D", fresh, ...auth, ...locale, "--no-instructions", ...(sync ? [] : ["--no-sync"])], as);
    appendFileSync(
      join(fresh, "postgresql.conf"),
      "\n# Written by Postilion at each start; lines below this one win.\ninclude 'postilion.conf'\n",
    );
    writeAccess(paths, { port: 0, password });
    renameSync(fresh, paths.cluster);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("DATABASE_START", `${paths.cluster} cannot be made: ${(error as Error).message}`, error);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
  log.info({ folder: paths.cluster, tookMs: Date.now() - began }, "embedded PostgreSQL made");
}

function run(binaries: Binaries, program: string, args: readonly string[], as: RunAs): void {
  const done = spawnSync(join(binaries.bin, program), args, {
    encoding: "utf8",
    cwd: "/",
    timeout: 300_000,
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
    ...credentials(as),
  });
  if (done.status === 0) return;
  throw new Fault("DATABASE_START", `${program}: ${(done.error?.message ?? `${done.stderr}\n${done.stdout}`).trim()}`);
}

/** Port and password; port 0 until the first start. Faults: DATABASE_START. */
export function readAccess(paths: ClusterPaths): Access {
  try {
    return JSON.parse(readFileSync(paths.access, "utf8")) as Access;
  } catch (error) {
    throw new Fault(
      "DATABASE_START",
      `${paths.access}, which holds the password of ${paths.cluster}, cannot be read: ${(error as Error).message}`,
      error,
    );
  }
}

export function writeAccess(paths: ClusterPaths, access: Access): void {
  const fresh = `${paths.access}.new-${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(access)}\n`, { mode: 0o600 });
  handOver(paths, fresh);
  renameSync(fresh, paths.access);
}

/** Root working in another user's folder leaves nothing there that this user could not use at the next start. */
export function handOver(paths: ClusterPaths, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(paths.base);
  chownSync(file, uid, gid);
}

/** Writes postilion.conf: our load is many short transactions, COPY, and batched updates, on a machine shared with the mta. */
export function configure(paths: ClusterPaths, as: RunAs, sync: boolean): void {
  const lines = {
    listen_addresses: "'127.0.0.1'",
    unix_socket_directories: "''",
    max_connections: "100",
    shared_buffers: "256MB",
    effective_cache_size: "1GB",
    work_mem: "16MB",
    maintenance_work_mem: "128MB",
    // Nobody replicates from it: less is written for COPY into a new table.
    wal_level: "minimal",
    max_wal_senders: "0",
    max_wal_size: "4GB",
    min_wal_size: "256MB",
    checkpoint_timeout: "15min",
    wal_buffers: "16MB",
    // This build has no lz4 or zstd, and pglz costs more CPU here than it saves disk.
    wal_compression: "off",
    synchronous_commit: "on",
    fsync: sync ? "on" : "off",
    full_page_writes: sync ? "on" : "off",
    jit: "off",
    // Our queries touch few rows; parallel workers would also need /dev/shm, which containers keep small.
    max_parallel_workers_per_gather: "0",
    random_page_cost: "1.1",
    autovacuum_naptime: "20s",
    autovacuum_vacuum_cost_limit: "2000",
    password_encryption: "'scram-sha-256'",
    timezone: "'UTC'",
    log_timezone: "'UTC'",
    lc_messages: "'C'",
    // One file a weekday, each overwritten after a week.
    logging_collector: "on",
    log_directory: "'log'",
    log_filename: "'postgresql-%a.log'",
    log_rotation_age: "1d",
    log_rotation_size: "0",
    log_truncate_on_rotation: "on",
    log_checkpoints: "off",
    log_line_prefix: "'%m [%p] %a '",
  };
  const path = join(paths.cluster, "postilion.conf");
  const text = Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(path, text.join(""), { mode: 0o600 });
  if (as !== null) chownSync(path, as.uid, as.gid);
}
