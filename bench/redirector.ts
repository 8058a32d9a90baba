/**
 * Durable clicks a second on one core: ours against a bare node:http server that answers a constant 302 after a group-synced append, and against one that only
 * answers. All three in short turns, each in a process bound to one core, the load on another. Then what becomes of the clicks: hits of the log a second into
 * PostgreSQL, by the tracking workflow. Last, what a forged token costs.
 *
 *     npm run bench -- redirector [--rounds 12] [--seconds 2] [--connections 64] [--hits 500000] [--profile]
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { signLink } from "../src/model/link.ts";
import { signToken, type TokenKey } from "../src/model/token.ts";
import type { BenchOptions } from "./bench.ts";
import { measureOracle } from "./redirector/oracle.ts";
import { consolidate, type Consolidated } from "./redirector/consolidate.ts";
import { hasWrk, type Load, runLoad } from "./redirector/load.ts";
import { median, printTable, round, spread } from "./table.ts";

const SERVERS = ["ours", "bare, group-synced", "bare"] as const;
type Server = (typeof SERVERS)[number];

const KEY: TokenKey = { id: 1, secret: Buffer.alloc(32, 7) };
const SECRET = "secret-of-the-bench-0123456789-0123456789";

export async function redirector(options: BenchOptions): Promise<Record<string, unknown>> {
  const rounds = Number(options.values["rounds"] ?? (options.short ? 4 : 12));
  const seconds = Number(options.values["seconds"] ?? (options.short ? 1 : 2));
  const connections = Number(options.values["connections"] ?? 64);
  const folder = mkdtempSync(join(tmpdir(), "postilion-bench-redirector-"));
  const wrk = hasWrk();
  const several = availableParallelism() > 1 && spawnSync("taskset", ["-V"], { stdio: "ignore" }).error === undefined;
  const pin = (core: number): string[] => (several ? ["taskset", "-c", String(core)] : []);
  console.log(
    `load by ${wrk ? "wrk" : "undici (no wrk here)"}${several ? ", bound to another core" : ", on the same core"}`,
  );
  try {
    const paths = prepare(folder);
    const loads = new Map<Server, Measured[]>(SERVERS.map((name) => [name, []]));
    const servers = new Map<Server, RunningServer>();
    try {
      for (const name of SERVERS)
        servers.set(name, await openServer(name, folder, pin(0), options.values["profile"] === "true"));
      let clicks = 0;
      // All of them stand on the core at once; those that are not asked cost nothing. Round 0 is for the compiler.
      for (let round = 0; round <= rounds; round++) {
        for (const [name, server] of servers) {
          const before = server.cpuMs();
          const load = await runLoad({ port: server.port, connections, paths, pinned: pin(1), seconds }, wrk);
          const cpuMicros = ((server.cpuMs() - before) / load.requests) * 1000;
          if (load.errors > 0) throw new Error(`${name}: ${load.errors} requests were not answered with 302`);
          if (name === "ours") clicks += load.requests;
          if (round > 0) loads.get(name)!.push({ ...load, cpuMicros });
        }
      }
      await requireDurable(servers.get("ours")!.port, clicks);
    } finally {
      for (const server of servers.values()) await server.close();
    }
    const clicks = told(loads);
    return { ...clicks, ...(await measureConsolidation(options)), ...measureOracle(KEY) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Hits of the log into rows, by the tracking workflow; the median of the rounds. */
async function measureConsolidation({ short, values }: BenchOptions): Promise<{ consolidatedPerSecond: number }> {
  const hits = Number(values["hits"] ?? (short ? 150_000 : 500_000));
  const runs: Consolidated[] = [];
  for (let i = 0; i < (short ? 1 : 3); i++) runs.push(await consolidate({ hits, messages: 200_000, pull: 10_000 }));
  const speeds = runs.map(({ consolidatedPerSecond }) => consolidatedPerSecond);
  printTable(
    ["hits counted a second", "median", "lowest", "highest", "CPU µs", "of database"],
    [
      [
        `${hits.toLocaleString("en-US")} into PostgreSQL`,
        median(speeds),
        Math.min(...speeds),
        Math.max(...speeds),
        median(runs.map(({ processUs }) => processUs)),
        median(runs.map(({ databaseUs }) => databaseUs)),
      ],
    ],
  );
  return { consolidatedPerSecond: median(speeds) };
}

/** With the processor time a click took: the one number that others on the machine change little. */
type Measured = Load & { readonly cpuMicros: number };

function told(loads: ReadonlyMap<Server, readonly Measured[]>): Record<string, unknown> {
  const speeds = (name: Server): number[] => loads.get(name)!.map(({ requests, seconds }) => requests / seconds);
  const middle = (name: Server, of: (load: Measured) => number): number => median(loads.get(name)!.map(of));
  printTable(
    ["clicks a second, 64 connections, one core", "median", "lowest", "highest", "p50 ms", "p99 ms", "CPU µs"],
    SERVERS.map((name) => [
      name,
      Math.round(median(speeds(name))),
      Math.round(Math.min(...speeds(name))),
      Math.round(Math.max(...speeds(name))),
      round(middle(name, ({ p50Ms }) => p50Ms)),
      round(middle(name, ({ p99Ms }) => p99Ms)),
      round(middle(name, ({ cpuMicros }) => cpuMicros)),
    ]),
  );
  const ratios = (name: Server): number[] => speeds("ours").map((speed, i) => speed / speeds(name)[i]!);
  const [ofSynced, ofBare] = [ratios("bare, group-synced"), ratios("bare")];
  console.log(`of group-synced ${round(median(ofSynced))} (spread ${round(spread(ofSynced))}), wanted 0.60`);
  return {
    clicksPerSecond: Math.round(median(speeds("ours"))),
    ofGroupSynced: round(median(ofSynced)),
    ofBare: round(median(ofBare)),
    p99Ms: round(middle("ours", ({ p99Ms }) => p99Ms)),
  };
}

/** Keys, secret, and 50,000 clicks: each of another message, on one of 200 links. Returns the file of paths. */
function prepare(folder: string): string {
  mkdirSync(join(folder, "keys"), { mode: 0o700 });
  const secret = Buffer.from(KEY.secret).toString("base64");
  writeFileSync(join(folder, "keys/token.json"), JSON.stringify({ keys: [{ id: KEY.id, secret }] }), { mode: 0o600 });
  writeFileSync(join(folder, "keys/tracking.secret"), SECRET, { mode: 0o600 });
  const links = Array.from({ length: 200 }, (_, i) =>
    signLink(KEY, {
      kind: "click",
      delivery: 4711,
      number: i + 1,
      url: `https://www.example.com/offers/spring?product=${1000 + i}&utm_source=newsletter&utm_campaign=may`,
    }),
  );
  const file = join(folder, "paths");
  const path = (_: unknown, i: number): string => `/r/${signToken(KEY, 1_000_000 + i)}/${links[i % links.length]}\n`;
  writeFileSync(file, Array.from({ length: 50_000 }, path).join(""));
  return file;
}

interface RunningServer {
  readonly port: number;
  /** Processor time it has used, all threads; 0 where the system does not tell. */
  cpuMs(): number;
  close(): Promise<void>;
}

async function openServer(
  name: Server,
  folder: string,
  pinned: readonly string[],
  profile: boolean,
): Promise<RunningServer> {
  const script = join(import.meta.dirname, "redirector", name === "ours" ? "ours.ts" : "bare.ts");
  const argument = name === "ours" ? folder : name === "bare" ? "" : join(folder, "bare.log");
  const flags = profile ? ["--cpu-prof", `--cpu-prof-dir=${tmpdir()}`] : [];
  const [program = "", ...args] = [...pinned, process.execPath, ...flags, script, argument];
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve((message as { port: number }).port));
    child.once("exit", (code) => reject(new Error(`${name} ended at its start: ${code}`)));
  });
  return {
    port,
    cpuMs: () => cpuMsOf(child.pid ?? 0),
    async close() {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    },
  };
}

/** proc(5): fields 14 and 15, in hundredths of a second. */
function cpuMsOf(pid: number): number {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return 0;
  const text = readFileSync(file, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Every click that was answered is in the log. */
async function requireDurable(port: number, clicks: number): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${SECRET}` } });
  const page = await answer.text();
  const value = (metric: string): number =>
    Number(new RegExp(`^postilion_${metric}\\{[^}]*\\} (\\d+)`, "m").exec(page)?.[1]);
  const written = value("redirector_log_records_total");
  if (!(written >= clicks) || value("redirector_log_lost") !== 0)
    throw new Error(`${clicks} clicks were answered, ${written} are in the log`);
}
