/**
 * A real statistics server in the test's own process, one for all mta processes of a test database: the first who joins starts it, the last
 * who leaves ends it. Four connections to everything, in the clear; a member that falls silent keeps its share for six seconds only.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { openSql } from "../../src/db/sql.ts";
import { start } from "../../src/stat/start.ts";

export interface TestStat {
  readonly address: string;
  readonly secretFile: string;
  leave(): Promise<void>;
}

interface Shared {
  members: number;
  readonly opened: Promise<{ address: string; secretFile: string; close(): Promise<void> }>;
}

const servers = new Map<string, Shared>();

export async function joinTestStat(databaseUrl: string): Promise<TestStat> {
  let shared = servers.get(databaseUrl);
  if (shared === undefined) {
    shared = { members: 0, opened: open(databaseUrl) };
    servers.set(databaseUrl, shared);
  }
  const joined = shared;
  joined.members++;
  const { address, secretFile, close } = await joined.opened;
  let left = false;
  return {
    address,
    secretFile,
    async leave() {
      if (left) return;
      left = true;
      if (--joined.members > 0) return;
      servers.delete(databaseUrl);
      await close();
    },
  };
}

async function open(databaseUrl: string): Promise<{ address: string; secretFile: string; close(): Promise<void> }> {
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-stat-"));
  const settings = parseSettings({
    dataDir,
    stat: { port: 0, horizonMs: 1000, rules: [{ mx: "*", connections: 4, tls: "disabled" }] },
  });
  const sql = openSql(databaseUrl, { poolSize: 3, name: "test stat" });
  const stat = await start({
    settings,
    readSettings: () => settings,
    log: silentLog,
    sql,
    clock: systemClock,
    // A machine with other things to do is heard of within three seconds all the same.
    patience: { silenceMs: 5000, endingMs: 1000 },
  });
  return {
    address: `127.0.0.1:${stat.port}`,
    secretFile: join(dataDir, "keys/stat.secret"),
    async close() {
      await stat.drain();
      await sql.end({ timeout: 1 });
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
