/**
 * Before any test: a cluster is made and migrated once. One server runs on a copy of it for the whole run, `openTestDatabase` clones its
 * database; a test that wants a server of its own copies the cluster (test/support/cluster.ts). All lives in a folder under the system's
 * temporary folder. A run that was killed leaves its server behind: the next one ends it.
 */
import { chmodSync, mkdirSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { silentLog } from "../../src/base/log.ts";
import { openEmbedded } from "../../src/db/embedded.ts";
import { identity } from "../../src/db/embedded/process.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openSql } from "../../src/db/sql.ts";
import { copyCluster } from "./cluster-copy.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Address of the run's PostgreSQL, database `postilion`: the template. Tests use openTestDatabase. */
    postgresUrl: string;
    /** A migrated cluster that nobody runs. Tests use putCluster. */
    clusterFolder: string;
  }
}

const PREFIX = "postilion-test-run-";
const MADE = "made";

let tearDown = async (): Promise<void> => {};

export async function setup(project: TestProject): Promise<void> {
  await sweep();
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  chmodSync(folder, 0o711); // as root, PostgreSQL runs as another user
  // Programs that tests start find what another has compiled: half the CPU of a start.
  process.env["NODE_COMPILE_CACHE"] = join(folder, "compiled");
  const made = join(folder, MADE);
  mkdirSync(made, { mode: 0o711 });
  await makeCluster(made);
  copyCluster(made, folder);
  const server = await openEmbedded({ dataDir: folder, port: 0, log: silentLog, sync: false });
  project.provide("postgresUrl", server.url);
  project.provide("clusterFolder", made);
  tearDown = async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  };
}

export async function teardown(): Promise<void> {
  await tearDown();
}

async function makeCluster(dataDir: string): Promise<void> {
  const server = await openEmbedded({ dataDir, port: 0, log: silentLog, sync: false });
  try {
    const sql = openSql(server.url, { poolSize: 1, name: "test template" });
    await migrate(sql, silentLog);
    await sql.end({ timeout: 5 });
  } finally {
    await server.close();
  }
}

/** Ends servers whose test run is dead, and takes their folders away. Only ours: a folder of another user is left alone. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    try {
      const base = [folder, join(folder, MADE)].find((one) => existsSync(join(one, "postgres.owner")));
      if (base === undefined) continue; // just being made
      const holder = readFileSync(join(base, "postgres.owner"), "utf8");
      if (identity(Number.parseInt(holder, 10)) === holder) continue;
      const pidFile = join(base, "postgres", "postmaster.pid");
      const pid = existsSync(pidFile) ? Number.parseInt(readFileSync(pidFile, "utf8"), 10) : 0;
      if (pid > 0 && identity(pid) !== "") process.kill(pid, "SIGQUIT");
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
      console.warn(`left alone: ${folder}: ${String(error)}`);
    }
  }
}
