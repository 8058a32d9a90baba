/**
 * Before any test: one embedded PostgreSQL for the whole run and a migrated database in it, which `openTestDatabase` clones. It lives
 * in a folder of its own under the system's temporary folder. A run that was killed leaves its server behind: the next one ends it.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { silentLog } from "../../src/base/log.ts";
import { openEmbedded } from "../../src/db/embedded.ts";
import { identity } from "../../src/db/embedded/process.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openSql } from "../../src/db/sql.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Address of the run's PostgreSQL, database `postilion`: the template. Tests use openTestDatabase. */
    postgresUrl: string;
  }
}

const PREFIX = "postilion-test-run-";

let tearDown = async (): Promise<void> => {};

export async function setup(project: TestProject): Promise<void> {
  await sweep();
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  chmodSync(folder, 0o711); // as root, PostgreSQL runs as another user
  const server = await openEmbedded({ dataDir: folder, port: 0, log: silentLog, sync: false });
  const sql = openSql(server.url, { poolSize: 1, name: "test template" });
  await migrate(sql, silentLog);
  await sql.end({ timeout: 5 });
  project.provide("postgresUrl", server.url);
  tearDown = async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  };
}

export async function teardown(): Promise<void> {
  await tearDown();
}

/** Ends servers whose test run is dead, and takes their folders away. Only ours: a folder of another user is left alone. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const owner = join(folder, "postgres.owner");
    try {
      if (!existsSync(owner)) continue; // just being made
      const holder = readFileSync(owner, "utf8");
      if (identity(Number.parseInt(holder, 10)) === holder) continue;
      const pid = Number.parseInt(readFileSync(join(folder, "postgres", "postmaster.pid"), "utf8"), 10);
      if (identity(pid) !== "") process.kill(pid, "SIGQUIT");
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    } catch (error) {
      console.warn(`left alone: ${folder}: ${String(error)}`);
    }
  }
}
