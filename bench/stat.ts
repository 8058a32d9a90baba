/**
 * The statistics server: how many rounds of acquire, grant and release it does a second, and how long after room has appeared a grant is
 * where it was waited for. The server is a process of its own with everything on (lease, snapshots in PostgreSQL, statistics); the members
 * come from other processes over loopback TCP.
 *
 *     npm run bench -- stat [--rounds 5] [--seconds 2]
 *
 * `roundsPerSecond` is by the clock, members and database beside it on the same cores; `perCpuSecond` is what the server does in a second of
 * its own CPU time. `withStat` is a whole delivery's speed with stat in the loop to one whose mta asks nobody, two appliances in turns. `grantP99Ms` is measured while other members keep the server busy with a quarter of what it can do.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../src/base/log.ts";
import { openEmbedded } from "../src/db/embedded.ts";
import { migrate } from "../src/db/migrate.ts";
import { openSql } from "../src/db/sql.ts";
import type { BenchOptions } from "./bench.ts";
import { withStat } from "./stat/with-stat.ts";
import { acquireLine, openMember, releaseLine } from "./stat/member.ts";
import { median, percentile, printTable, round, spread } from "./table.ts";

const MEMBERS = 4;
const WINDOW = 64;
const RULES = [
  // One connection for everybody: whoever waits gets it when it is given back.
  { id: "scarce", mx: "scarce.example", scope: "rule", connections: 1 },
  { id: "plenty", mx: "mx*.example", scope: "path", connections: 100, messagesPerHour: 1_000_000_000 },
];

export async function stat(options: BenchOptions): Promise<Record<string, unknown>> {
  const samples = Number(options.values["rounds"] ?? (options.short ? 3 : 5));
  const seconds = Number(options.values["seconds"] ?? (options.short ? 1 : 2));
  const place = await openPlace();
  try {
    const load = await openLoad(place, 0);
    await pause(1500); // the compiler, and the first shares
    const rates: number[] = [];
    const perCpu: number[] = [];
    const shares: number[] = [];
    for (let i = 0; i < samples; i++) {
      const before = [await place.cpu(), await load.count()] as const;
      await pause(seconds * 1000);
      const after = [await place.cpu(), await load.count()] as const;
      const done = after[1].rounds - before[1].rounds;
      const tookMs = after[1].at - before[1].at;
      rates.push((done / tookMs) * 1000);
      perCpu.push(done / (after[0].seconds - before[0].seconds));
      shares.push((after[0].seconds - before[0].seconds) / (tookMs / 1000));
    }
    await load.close();
    const idle = await grantTimes(place, 1000);
    const busy = await openLoad(place, median(rates) / 4);
    await pause(500);
    const loaded = await grantTimes(place, 3000);
    await busy.close();
    const { rssMb } = await place.cpu();

    printTable(
      ["", "median", "spread"],
      [
        ["rounds/s by the clock", Math.round(median(rates)), `${Math.round(spread(rates) * 100)} %`],
        ["rounds/s of server CPU", Math.round(median(perCpu)), `${Math.round(spread(perCpu) * 100)} %`],
        ["cores the server had", round(median(shares)), ""],
        [
          "grant after room, idle: p50 / p99 ms",
          round(percentile(idle, 0.5)),
          round(percentile(idle, 0.99)).toString(),
        ],
        [
          "grant after room, busy: p50 / p99 ms",
          round(percentile(loaded, 0.5)),
          round(percentile(loaded, 0.99)).toString(),
        ],
        ["memory of the server, MB", rssMb, ""],
      ],
    );
    return {
      roundsPerSecond: Math.round(median(rates)),
      perCpuSecond: Math.round(median(perCpu)),
      grantP99Ms: round(percentile(loaded, 0.99)),
      grantIdleP99Ms: round(percentile(idle, 0.99)),
      withStat: round(await withStat(options.short ? 1 : 5, options.short ? 3000 : 15_000)),
    };
  } finally {
    await place.close();
  }
}

interface Place {
  readonly port: number;
  readonly secret: string;
  cpu(): Promise<{ readonly seconds: number; readonly rssMb: number }>;
  close(): Promise<void>;
}

async function openPlace(): Promise<Place> {
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-bench-stat-"));
  chmodSync(dataDir, 0o755); // the embedded PostgreSQL has to get through
  const secret = randomBytes(32).toString("base64url");
  mkdirSync(join(dataDir, "keys"));
  writeFileSync(join(dataDir, "keys/stat.secret"), secret, { mode: 0o600 });
  const database = await openEmbedded({ dataDir, port: 0, log: silentLog });
  const sql = openSql(database.url, { poolSize: 1, name: "bench" });
  await migrate(sql, silentLog);
  await sql.end();
  const settings = { dataDir, stat: { port: 0, rules: RULES } };
  const child = fork(join(import.meta.dirname, "stat/server.ts"), [JSON.stringify(settings), database.url]);
  const { port } = (await answer(child)) as { port: number };
  return {
    port,
    secret,
    async cpu() {
      const asked = answer(child);
      child.send("cpu");
      const { cpu, rss } = (await asked) as { cpu: NodeJS.CpuUsage; rss: number };
      return { seconds: (cpu.user + cpu.system) / 1e6, rssMb: Math.round(rss / 1e6) };
    },
    async close() {
      await ended(child);
      await database.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

interface Load {
  count(): Promise<{ readonly rounds: number; readonly at: number }>;
  close(): Promise<void>;
}

/** `pace`: rounds a second; 0: as many as can be. */
async function openLoad({ port, secret }: Place, pace: number): Promise<Load> {
  const file = join(import.meta.dirname, "stat/load.ts");
  const child = fork(file, [port, secret, MEMBERS, WINDOW, Math.round(pace)].map(String));
  await answer(child);
  return {
    async count() {
      const asked = answer(child);
      child.send("count");
      return (await asked) as { rounds: number; at: number };
    },
    close: () => ended(child),
  };
}

/** Two members take turns at one connection: from giving it back to its grant at the other, ms. */
async function grantTimes({ port, secret }: Place, times: number): Promise<number[]> {
  const taken: number[] = [];
  let releasedAt = 0;
  let wake: () => void = () => {};
  const granted = (): void => {
    if (releasedAt > 0) taken.push(performance.now() - releasedAt);
    wake();
  };
  const members = [
    await openMember(port, Buffer.from(secret), "turn0/0", granted),
    await openMember(port, Buffer.from(secret), "turn1/0", granted),
  ] as const;
  const next = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const ask = (m: 0 | 1, id: number): void => members[m].say(acquireLine(id, "scarce.example", 1, 1));
  let id = 1;
  const first = next();
  ask(0, id);
  await first;
  for (let turn = 0; taken.length < times; turn++) {
    const holder = (turn % 2) as 0 | 1;
    const held = id++;
    ask(holder === 0 ? 1 : 0, id);
    // It waits in the server by now, and the turns do not fall into step with the load.
    await pause(1 + Math.random() * 2);
    const granting = next();
    members[holder].say(releaseLine(held));
    releasedAt = performance.now();
    await granting;
  }
  for (const member of members) member.close();
  return taken;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function answer(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null): void => reject(new Error(`a process of the bench ended: ${code}`));
    child.once("exit", gone);
    child.once("message", (message) => {
      child.off("exit", gone);
      resolve(message);
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.disconnect();
  });
}
