/**
 * Brings a database to the schema of this version: `migrations/NNNN-name.sql` in order, each in a transaction of its own under one
 * lock, so machines that start together do the work once and a migration that fails leaves nothing behind.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import type { AnySql, Sql } from "./sql.ts";

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
}

/** Number of our advisory lock, arbitrary and ours for ever. */
const LOCK = 0x706f7374;

/** The migrations of a folder in order: numbered from 1 without a gap. */
export function readMigrations(folder: string = join(import.meta.dirname, "migrations")): Migration[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".sql"));
  return files.sort().map((file, index) => {
    const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file);
    if (match === null || Number(match[1]) !== index + 1) {
      throw new Error(`migration ${file}: expected number ${String(index + 1).padStart(4, "0")} and a name`);
    }
    return { version: index + 1, name: match[2] ?? "", text: readFileSync(join(folder, file), "utf8") };
  });
}

/** Before 17 the leaves of `event` would not inherit its identity column. */
const OLDEST_SERVER = 17;

async function requireServer(sql: Sql): Promise<void> {
  const [row] = await sql<{ number: string }[]>`select current_setting('server_version_num') as number`;
  const major = Math.floor(Number(row?.number ?? 0) / 10_000);
  if (major < OLDEST_SERVER)
    throw new Fault("DATABASE_SCHEMA", `PostgreSQL ${OLDEST_SERVER} or newer is needed, this one is ${major}`);
}

/** Applies what is missing and returns how many that were. Faults: DATABASE_SCHEMA when the database is newer than the code or one fails. */
export async function migrate(
  sql: Sql,
  log: Log,
  migrations: readonly Migration[] = readMigrations(),
): Promise<number> {
  await requireServer(sql);
  let applied = 0;
  await sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${LOCK})`;
    await tx`create table if not exists migration (version int primary key, name text not null, applied_at timestamptz not null default now())`;
  });
  for (const migration of migrations) {
    applied += await sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${LOCK})`;
      const at = await version(tx);
      refuseNewer(at, migrations.length);
      if (at >= migration.version) return 0;
      try {
        await tx.unsafe(migration.text).simple();
      } catch (error) {
        throw new Fault(
          "DATABASE_SCHEMA",
          `migration ${migration.version} (${migration.name}) failed: ${(error as Error).message}`,
          error,
        );
      }
      await tx`insert into migration (version, name) values (${migration.version}, ${migration.name})`;
      log.info({ version: migration.version, migration: migration.name }, "migration applied");
      return 1;
    });
  }
  return applied;
}

/** Refuses a database that is not exactly at this version's schema. Faults: DATABASE_SCHEMA. */
export async function requireSchema(sql: Sql, wanted: number = readMigrations().length): Promise<void> {
  const [table] = await sql<{ there: boolean }[]>`select to_regclass('migration') is not null as there`;
  const at = table?.there ? await version(sql) : 0;
  refuseNewer(at, wanted);
  if (at < wanted)
    throw new Fault("DATABASE_SCHEMA", `it is at version ${at}, this program needs ${wanted}: run 'postilion migrate'`);
}

async function version(sql: AnySql): Promise<number> {
  const [row] = await sql<{ version: number }[]>`select coalesce(max(version), 0)::int as version from migration`;
  return row?.version ?? 0;
}

function refuseNewer(at: number, known: number): void {
  if (at > known)
    throw new Fault(
      "DATABASE_SCHEMA",
      `it is at version ${at}, this program knows up to ${known}: a newer Postilion has used it`,
    );
}
