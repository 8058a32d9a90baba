/**
 * How fast hits become rows: the real tracking workflow and the embedded PostgreSQL, with its normal durability, on this machine's cores; the log of
 * a redirection server is made beforehand and handed over packed, as it comes over the wire.
 *
 *     node bench/redirector/consolidate.ts [--hits 500000] [--messages 200000] [--pull 10000]
 */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs, promisify } from "node:util";
import { gunzip, gzipSync } from "node:zlib";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Sql } from "../../src/db/sql.ts";
import { openSql } from "../../src/db/sql.ts";
import type { HttpAnswer, HttpAsk } from "../../src/http/client.ts";
import { openTracking } from "../../src/workflow/tracking.ts";
import { openOwnPostgres } from "../../test/support/own-postgres.ts";
import { round } from "../table.ts";
import { openHits } from "./hits.ts";

export interface ConsolidateOptions {
  readonly hits: number;
  readonly messages: number;
  readonly pull: number;
}

export interface Consolidated {
  readonly consolidatedPerSecond: number;
  readonly seconds: number;
  readonly hits: number;
  /** Time of the processor for a hit, µs: of this process, of the database's. Tells more than a second does when others use the machine. */
  readonly processUs: number;
  readonly databaseUs: number;
  /** Of this process, above what it was before the first pull. */
  readonly grownMb: number;
}

const DELIVERIES = 20;

export async function consolidate({ hits, messages, pull }: ConsolidateOptions): Promise<Consolidated> {
  const postgres = await openOwnPostgres();
  const sql = openSql(postgres.url, { poolSize: 10, name: "bench" });
  try {
    const deliveries = await fillLedger(sql, Math.ceil(messages / DELIVERIES));
    const log = packedLog(openHits({ deliveries, startAt: Date.now() - 3_600_000, seed: 7 }), hits, pull);
    const before = process.memoryUsage.rss();
    const databaseCpu = await databaseMicros(sql);
    const cpu = process.cpuUsage();
    let began = 0;
    let counted = 0;
    const done = Promise.withResolvers<void>();
    const tracking = openTracking({
      ask: (request) => {
        if (began === 0 && new URL(request.url).searchParams.get("after") === "0") began = performance.now();
        return log(request);
      },
      sql,
      redirectors: ["http://bench"],
      server: "bench",
      leaderMs: 10_000,
      secret: "",
      pullRecords: pull,
      pullWaitMs: 1000,
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      counted: ({ records }) => {
        counted += records;
        if (counted >= hits) done.resolve();
      },
    });
    await done.promise;
    const seconds = (performance.now() - began) / 1000;
    const spent = process.cpuUsage(cpu);
    const databaseUs = (await databaseMicros(sql)) - databaseCpu;
    const grownMb = Math.round((process.memoryUsage.rss() - before) / 1e6);
    await tracking.close();
    const [row] = await sql<{ n: number }[]>`select count(*) as n from tracking`;
    if (row?.n !== hits) throw new Error(`${row?.n} rows of ${hits} hits`);
    return {
      consolidatedPerSecond: Math.round(hits / seconds),
      seconds: round(seconds),
      hits,
      processUs: round((spent.user + spent.system) / hits),
      databaseUs: round(databaseUs / hits),
      grownMb,
    };
  } finally {
    await sql.end({ timeout: 1 });
    await postgres.close();
  }
}

/** Time of the processor that all processes of the database have used, as far as they are still there. */
async function databaseMicros(sql: Sql): Promise<number> {
  const rows = await sql<{ pid: number }[]>`select pid from pg_stat_activity where pid is not null`;
  let ticks = 0;
  for (const { pid } of rows) {
    const path = `/proc/${pid}/stat`;
    if (!existsSync(path)) continue;
    const fields = readFileSync(path, "utf8").split(") ")[1]!.split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  // USER_HZ is 100 on every Linux there is.
  return ticks * 10_000;
}

async function fillLedger(
  sql: Sql,
  each: number,
): Promise<{ readonly id: number; readonly firstId: number; readonly messages: number }[]> {
  await sql`insert into content (hash, body) values ('\\x00', '{"html":"x"}')`;
  const [volume] = await sql<{ id: number }[]>`select open_volume(true) as id`;
  const first = volume!.id * 2 ** 32;
  const made = [];
  for (let i = 0; i < DELIVERIES; i++) {
    const firstId = first + i * each;
    const [delivery] = await sql<{ id: number }[]>`
      insert into delivery (content_hash, from_address, volume, state, priority, affinity, in_doubt, retry, validity, finished_at)
      values ('\\x00', 'a@b.example', ${volume!.id}, 'finished', 2, 'default', 'retry', '{300}', 432000, now() - interval '2 hours')
      returning id`;
    await sql`
      insert into ${sql(`message_${volume!.id}`)} (id, delivery_id, status, address)
      select id, ${delivery!.id}, 2, 'reader' || id || '@example.com' from generate_series(${firstId}::bigint, ${firstId + each - 1}::bigint) id`;
    await sql`
      insert into ${sql(`event_${volume!.id}`)} (message_id, at, type, code, reply)
      select id, now() - interval '3 hours', 2, 250, '250 2.0.0 Ok: queued as 4A1B2C3D4E' from generate_series(${firstId}::bigint, ${firstId + each - 1}::bigint) id`;
    made.push({ id: delivery!.id, firstId, messages: each });
  }
  await sql`analyze`;
  return made;
}

/** A redirection server's answers, made beforehand: one piece for each question, in order. */
function packedLog(
  make: (count: number) => Buffer,
  hits: number,
  pull: number,
): (request: HttpAsk) => Promise<HttpAnswer> {
  const pieces = new Map<number, { readonly packed: Buffer; readonly next: number }>();
  let at = 0;
  for (let left = hits; left > 0; left -= pull) {
    const body = make(Math.min(pull, left));
    pieces.set(at, { packed: gzipSync(body, { level: 1 }), next: at + body.length });
    at += body.length;
  }
  return async ({ url, signal }) => {
    const after = Number(new URL(url).searchParams.get("after"));
    const headers = { "x-log": "bench", "x-host": "bench", "x-lost": "0" };
    const piece = pieces.get(after);
    if (piece === undefined) {
      await new Promise((resolve) => signal?.addEventListener("abort", resolve, { once: true }));
      return { kind: "stopped", text: "" };
    }
    const body = await promisify(gunzip)(piece.packed);
    return { kind: "answer", status: 200, headers: { ...headers, "x-next": String(piece.next) }, body };
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      hits: { type: "string", default: "500000" },
      messages: { type: "string", default: "200000" },
      pull: { type: "string", default: "10000" },
    },
  });
  console.log(
    JSON.stringify(
      await consolidate({ hits: Number(values.hits), messages: Number(values.messages), pull: Number(values.pull) }),
    ),
  );
}
