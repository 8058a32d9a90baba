/**
 * A database of its own for a test file: a clone of the migrated template, on the run's PostgreSQL (test/support/global.ts).
 *
 *     const db = await openTestDatabase();   // in beforeAll
 *     afterAll(() => db.close());
 */
import { inject } from "vitest";
import { openSql, type Sql } from "../../src/db/sql.ts";

export interface TestDatabase {
  readonly url: string;
  /** A pool of 4. */
  readonly sql: Sql;
  /** Closes the pool and drops the database, whoever is still connected. */
  close(): Promise<void>;
}

let count = 0;

export async function openTestDatabase(): Promise<TestDatabase> {
  const template = inject("postgresUrl");
  const name = `test_${process.pid}_${++count}_${Date.now().toString(36)}`;
  const admin = openSql(at(template, "postgres"), { poolSize: 1, name: "test admin" });
  // file_copy: with fsync off quicker than writing every page of the template through the log.
  await admin.unsafe(`create database ${name} template postilion strategy file_copy`);
  const url = at(template, name);
  const sql = openSql(url, { poolSize: 4, name: "test" });
  return {
    url,
    sql,
    async close() {
      await sql.end({ timeout: 5 });
      await admin.unsafe(`drop database ${name} with (force)`);
      await admin.end({ timeout: 5 });
    },
  };
}

/** The same server, another database. */
function at(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${database}`;
  return other.href;
}
