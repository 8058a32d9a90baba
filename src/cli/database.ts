/** `postilion migrate` and `postilion token …`: what an operator does to the database. Works beside a running appliance, too. */
import { openLog } from "../base/log.ts";
import { withReleasers } from "../base/releasers.ts";
import { loadSettings } from "../config/load.ts";
import { nearest } from "../config/nearest.ts";
import type { Settings } from "../config/settings.ts";
import { migrate, requireSchema } from "../db/migrate.ts";
import { openDatabase, requireAnswer } from "../db/open.ts";
import { type Sql, openSql } from "../db/sql.ts";
import { SCOPES, type Scope, createToken, listTokens, revokeToken } from "../db/tokens.ts";
import { UsageError } from "./usage.ts";

/** Brings the schema to this version. */
export async function migrateDatabase(config: string | undefined): Promise<void> {
  await withDatabase(config, async (sql) => {
    const count = await migrate(sql, openLog("migrate", { level: "info", pretty: process.stdout.isTTY }));
    console.log(count === 0 ? "the database is up to date" : `${count} migration${count === 1 ? "" : "s"} applied`);
  });
}

/** Makes a token and prints it. `scopes`: comma-separated, '' for all. */
export async function tokenCreate(config: string | undefined, name: string, scopes: string): Promise<void> {
  const wanted = scopes === "" ? [...SCOPES] : scopes.split(",").map((text) => scopeOf(text.trim()));
  await withDatabase(config, async (sql) => {
    await requireSchema(sql);
    const { id, token } = await createToken(sql, name, wanted);
    console.error(`Token ${id} (${name}): ${wanted.join(", ")}. It is shown this once:`);
    console.log(token);
  });
}

export async function tokenList(config: string | undefined): Promise<void> {
  await withDatabase(config, async (sql) => {
    await requireSchema(sql);
    for (const { id, name, scopes, createdAt, revokedAt } of await listTokens(sql)) {
      const until = revokedAt === null ? "in force" : `revoked ${new Date(revokedAt).toISOString()}`;
      console.log([id, name, new Date(createdAt).toISOString(), until, scopes.join(",")].join("\t"));
    }
  });
}

export async function tokenRevoke(config: string | undefined, text: string): Promise<void> {
  const id = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (id === 0) throw new UsageError(`${text} is not the number of a token; see 'postilion token list'`);
  await withDatabase(config, async (sql) => {
    await requireSchema(sql);
    if (!(await revokeToken(sql, id))) throw new UsageError(`no token ${id} is in force`);
    console.log(`token ${id} is revoked`);
  });
}

function scopeOf(text: string): Scope {
  const found = SCOPES.find((scope) => scope === text);
  if (found !== undefined) return found;
  const meant = nearest(text, SCOPES);
  throw new UsageError(
    `no scope ${text}; ${meant === "" ? `there are: ${SCOPES.join(", ")}` : `did you mean ${meant}?`}`,
  );
}

/** Opens the database of the settings for one command, beside a running appliance or without one. Faults: SETTINGS_*, DATABASE_*. */
export async function withDatabase(
  config: string | undefined,
  work: (sql: Sql, settings: Settings) => Promise<void>,
): Promise<void> {
  const settings = loadSettings(config, process.env);
  const { url, port } = settings.database;
  const log = openLog("postilion", { level: "warn", pretty: process.stdout.isTTY });
  await withReleasers(async (releasers) => {
    const database = await openDatabase({ url, port, dataDir: settings.dataDir }, log);
    releasers.add(() => database.close());
    const sql = openSql(database.url, { poolSize: 1, name: "postilion command", answerMs: 3_600_000 });
    releasers.add(() => sql.end({ timeout: 5 }));
    await requireAnswer(sql);
    await work(sql, settings);
    await releasers.all();
  });
}
