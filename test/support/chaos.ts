/**
 * kill -9 of a real mta process at random moments in one delivery, and the oracle: what the sink has against what the ledger says. Used by
 * a test (short) and by `npm run bench -- chaos` (long). Needs nothing of vitest.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openHost, POLITE } from "../../demo/internet/host.ts";
import { silentLog } from "../../src/base/log.ts";
import { openEmbedded } from "../../src/db/embedded.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openSql, type Sql } from "../../src/db/sql.ts";
import { putDelivery } from "./ledger.ts";
import { joinTestStat, type TestStat } from "./stat.ts";
import { until } from "./until.ts";

export interface ChaosOptions {
  readonly recipients: number;
  readonly kills: number;
  readonly seed: number;
  readonly inDoubt: "retry" | "hold";
  /** A migrated one; default: a PostgreSQL of its own. */
  readonly database?: { readonly url: string; readonly sql: Sql };
}

export interface ChaosResult {
  readonly kills: number;
  readonly sent: number;
  /** Messages with an event `in-doubt`. */
  readonly inDoubt: number;
  /** Accepted, and neither at the sink nor in doubt; or not in a final status. */
  readonly lost: number;
  /** Recipients the sink has more than once. */
  readonly duplicates: number;
  /** Of those, the ones the ledger never said were in doubt. */
  readonly unexplained: number;
  readonly seconds: number;
}

export async function chaosRun(options: ChaosOptions): Promise<ChaosResult> {
  const began = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "postilion-chaos-"));
  await chmod(folder, 0o755);
  const taken = new Map<string, number>();
  let arrived = 0;
  const host = await openHost({
    name: "mx.example",
    address: "127.0.0.1",
    port: 0,
    manners: { ...POLITE, latencyMs: 4 },
    certificate: null,
    accept: ({ to }) => {
      arrived += to.length;
      for (const address of to) taken.set(address, (taken.get(address) ?? 0) + 1);
    },
  });
  const own = options.database === undefined ? await ownDatabase(join(folder, "database")) : null;
  const { sql, url } = options.database ?? own!;
  let mta: ChildProcess | undefined;
  let stat: TestStat | undefined;
  try {
    const { id } = await putDelivery(sql, {
      addresses: Array.from({ length: options.recipients }, (_, i) => `p${i}@d${i % 7}.example`),
      variables: Array.from({ length: options.recipients }, (_, i) => ({ name: `N${i}` })),
      partSize: 200,
      inDoubt: options.inDoubt,
      retry: [1],
    });
    const config = join(folder, "postilion.yaml");
    stat = await joinTestStat(url);
    await writeFile(config, settings(folder, host.port, stat));
    let kills = 0;
    const draw = draws(options.seed);
    // However fast the machine is, most kills come in the thick of its work, and the work lasts for all of them.
    const portion = Math.floor(options.recipients / (options.kills + 2));
    while (kills < options.kills && (await settled(sql, id)) < options.recipients) {
      mta = launch(config, url);
      if (draw(4) === 0) await pause(200 + draw(800));
      else {
        const enough = arrived + 1 + draw(portion);
        const running = mta;
        await until(() => arrived >= enough || running.exitCode !== null, {
          what: "messages to be sent before the next kill",
          timeoutMs: 60_000,
        });
        await pause(draw(30));
      }
      await kill(mta);
      kills++;
    }
    mta = launch(config, url);
    const limit = 60_000 + options.recipients * 5;
    await until(async () => (await settled(sql, id)) === options.recipients, {
      what: "the delivery to end",
      timeoutMs: limit,
    });
    const result = await judge(sql, id, taken);
    return { ...result, kills, seconds: Math.round((performance.now() - began) / 1000) };
  } finally {
    if (mta !== undefined) await kill(mta);
    await stat?.leave();
    await own?.close();
    await host.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function ownDatabase(dataDir: string): Promise<{ url: string; sql: Sql; close(): Promise<void> }> {
  const embedded = await openEmbedded({ dataDir, port: 0, log: silentLog });
  const sql = openSql(embedded.url, { poolSize: 4, name: "chaos" });
  await migrate(sql, silentLog);
  return {
    url: embedded.url,
    sql,
    async close() {
      await sql.end({ timeout: 5 });
      await embedded.close();
    },
  };
}

function settings(folder: string, port: number, stat: TestStat): string {
  return JSON.stringify({
    dataDir: join(folder, "var"),
    machine: "chaos",
    stat: { run: false, addresses: [stat.address], secretFile: stat.secretFile },
    log: { level: "warn", pretty: "never" },
    mta: {
      helo: "mta.test",
      relay: { host: "127.0.0.1", port },
      window: 1000,
      threads: 1,
    },
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function launch(config: string, databaseUrl: string): ChildProcess {
  const main = join(import.meta.dirname, "../../src/main.ts");
  return spawn(process.execPath, [main, "run", "mta", "--config", config], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, POSTILION_DATABASE__URL: databaseUrl },
  });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

/** Messages in a status that nothing changes by itself. */
async function settled(sql: Sql, id: number): Promise<number> {
  const [row] = await sql<{ n: number }[]>`
    select coalesce(sum(sent + failed + in_doubt + excluded), 0)::int as n from part where delivery_id = ${id}`;
  return row?.n ?? 0;
}

async function judge(
  sql: Sql,
  id: number,
  taken: ReadonlyMap<string, number>,
): Promise<Omit<ChaosResult, "kills" | "seconds">> {
  const rows = await sql<{ address: string; status: number; doubted: boolean }[]>`
    select m.address, m.status, exists (select 1 from event e where e.message_id = m.id and e.type = 5) as doubted
    from message m where m.delivery_id = ${id}`;
  let sent = 0;
  let inDoubt = 0;
  let lost = 0;
  let duplicates = 0;
  let unexplained = 0;
  for (const { address, status, doubted } of rows) {
    const count = taken.get(address) ?? 0;
    if (status === 2) sent++;
    if (doubted) inDoubt++;
    if (status === 2 ? count === 0 : status !== 7) lost++;
    if (count > 1) duplicates++;
    if (count > 1 && !doubted) unexplained++;
  }
  return { sent, inDoubt, lost, duplicates, unexplained };
}

/** Deterministic pseudo-random numbers below n (mulberry32). */
function draws(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
