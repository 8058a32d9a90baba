/**
 * A PostgreSQL of one test, to be stopped, killed and started again on its port, with the normal durability: what it has committed
 * outlives a `kill -9`.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { type Embedded, openEmbedded } from "../../src/db/embedded.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openSql, type Sql } from "../../src/db/sql.ts";

export interface OwnPostgres {
  readonly url: string;
  readonly port: number;
  /** A pool of 4 of the test itself. */
  readonly sql: Sql;
  /** Fast shutdown: connections are cut. */
  stop(): Promise<void>;
  /** `kill -9` of the server process. */
  kill(): Promise<void>;
  /** Up again, on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** @param prepare puts a cluster into the folder (cluster.ts), which saves making one. */
export async function openOwnPostgres(prepare: (dataDir: string) => void = () => {}): Promise<OwnPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), "postilion-own-pg-"));
  await chmod(dataDir, 0o755); // as root, PostgreSQL runs as another user
  prepare(dataDir);
  let server: Embedded = await openEmbedded({ dataDir, port: 0, log: silentLog });
  const { url } = server;
  const port = Number(new URL(url).port);
  const sql = openSql(url, { poolSize: 4, name: "test" });
  await migrate(sql, silentLog);
  return {
    url,
    port,
    sql,
    stop: () => server.close(),
    async kill() {
      process.kill(server.pid, "SIGKILL");
      await server.ended;
    },
    async start() {
      server = await openEmbedded({ dataDir, port, log: silentLog });
    },
    async close() {
      await sql.end({ timeout: 1 });
      await server.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
