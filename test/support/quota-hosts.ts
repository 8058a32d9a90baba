/**
 * Three mta hosts and a stat host on one quota: real processes in network namespaces (netns.ts), one outgoing public id for all three, one
 * rule, a sink that counts by its own clock. The hosts are cut off and killed by a script of events while they send.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFastSink } from "./fast-sink.ts";
import { openForward } from "./forward.ts";
import { putDelivery } from "./ledger.ts";
import { type Host, openHosts } from "./netns.ts";
import { openOwnPostgres } from "./own-postgres.ts";
import { until } from "./until.ts";

const STAT_PORT = 7777;

export interface QuotaHostsOptions {
  /** The one rule, as in a rule file; it matches everything. */
  readonly rule: object;
  readonly recipients: number;
  readonly horizonMs?: number;
  /** Of its PostgreSQL (own-postgres.ts). */
  readonly prepare?: (dataDir: string) => void;
}

export interface QuotaHosts {
  /** Epoch ms of every message the sink took. */
  readonly arrivals: readonly number[];
  /** Most connections the sink had open at once. */
  readonly mostConnections: number;
  /** Connections by the address of their host, in the order of the hosts. */
  connectionsByHost(): number[];
  /** Between mta host `n` and stat nothing passes any more. */
  cutFromStat(n: number): void;
  mend(n: number): void;
  /** `kill -9`. */
  killStat(): Promise<void>;
  startStat(): Promise<void>;
  logOf(name: "stat" | "mta0" | "mta1" | "mta2"): string;
  close(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
}

export async function openQuotaHosts(options: QuotaHostsOptions): Promise<QuotaHosts> {
  const folder = mkdtempSync(join(tmpdir(), "postilion-hosts-"));
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).toReversed()) await one();
  };
  const logs = new Map<string, string>();
  const running = new Map<string, Running>();
  try {
    const net = openHosts(4);
    closers.push(() => net.close());
    const [statHost, ...mtaHosts] = net.hosts as [Host, ...Host[]];
    const postgres = await openOwnPostgres(options.prepare);
    closers.push(() => postgres.close());
    const database = await openForward(net.address, postgres.port);
    closers.push(() => database.close());
    const arrivals: number[] = [];
    const sink = await openFastSink({}, () => void arrivals.push(Date.now()));
    closers.push(() => sink.close());
    const mx = await openForward(net.address, sink.port);
    closers.push(() => mx.close());
    const url = new URL(postgres.url);
    url.host = `${net.address}:${database.port}`;
    const secretFile = join(folder, "stat.secret");
    writeFileSync(secretFile, "a secret of at least thirty-two octets for three hosts\n", { mode: 0o600 });

    async function start(name: string, module: string, host: Host, settings: object, ready: string): Promise<void> {
      const config = join(folder, `${name}.yaml`);
      writeFileSync(
        config,
        JSON.stringify({
          dataDir: join(folder, name),
          machine: name,
          log: { level: "info", pretty: "never" },
          database: { url: url.href },
          ...settings,
        }),
      );
      const main = join(import.meta.dirname, "../../src/main.ts");
      const { program, args } = host.command(process.execPath, [main, "run", module, "--config", config]);
      const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
      const before = (logs.get(name) ?? "").length;
      const hear = (chunk: Buffer): void => void logs.set(name, (logs.get(name) ?? "") + chunk.toString("utf8"));
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      running.set(name, { child, gone });
      const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
      await until(() => over() || (logs.get(name) ?? "").slice(before).includes(ready), {
        what: `${name} to start`,
        timeoutMs: 60_000,
      });
      if (over()) throw new Error(`${name} ended at its start: ${logs.get(name)}`);
    }
    async function kill(name: string): Promise<void> {
      const there = running.get(name);
      if (there === undefined) return;
      running.delete(name);
      there.child.kill("SIGKILL");
      await there.gone;
    }
    closers.push(async () => {
      for (const name of running.keys()) await kill(name);
    });

    const stat = {
      addresses: [`${statHost.address}:${STAT_PORT}`],
      secretFile,
      horizonMs: options.horizonMs ?? 300_000,
    };
    const startStat = (): Promise<void> =>
      start(
        "stat",
        "stat",
        statHost,
        {
          stat: {
            ...stat,
            host: "0.0.0.0",
            port: STAT_PORT,
            rules: [{ id: "one", mx: "*", tls: "disabled", ...options.rule }],
          },
        },
        "this statistics server leads",
      );
    await startStat();
    const addresses = Array.from({ length: options.recipients }, (_, i) => `r${i}@receiver.example`);
    await putDelivery(postgres.sql, { addresses, partSize: 20 });
    await Promise.all(
      mtaHosts.map((host, i) =>
        start(
          `mta${i}`,
          "mta",
          host,
          {
            stat: { ...stat, run: false },
            mta: {
              threads: 1,
              window: 60,
              partSize: 20,
              helo: "mta.sender.example",
              relay: { host: net.address, port: mx.port },
              affinities: [{ name: "default", ips: [{ publicId: 1 }] }],
            },
          },
          "mta is claiming",
        ),
      ),
    );
    return {
      arrivals,
      get mostConnections() {
        return mx.most;
      },
      connectionsByHost: () => mtaHosts.map((host) => mx.from.get(host.address) ?? 0),
      cutFromStat(n) {
        // Both ways: neither side hears that the other has lost it.
        mtaHosts[n]!.cutFrom(statHost.address);
        statHost.cutFrom(mtaHosts[n]!.address);
      },
      mend(n) {
        mtaHosts[n]!.mend(statHost.address);
        statHost.mend(mtaHosts[n]!.address);
      },
      killStat: () => kill("stat"),
      startStat,
      logOf: (name) => logs.get(name) ?? "",
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Most arrivals in any stretch of `ms`. */
export function mostWithin(arrivals: readonly number[], ms: number): number {
  const sorted = arrivals.toSorted((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < sorted.length; to++) {
    while (sorted[to]! - sorted[from]! >= ms) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

/** Most arrivals in any period of `ms` by the clock. */
export function mostInPeriod(arrivals: readonly number[], ms: number): number {
  const counts = new Map<number, number>();
  for (const at of arrivals) counts.set(Math.floor(at / ms), (counts.get(Math.floor(at / ms)) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

/** By how many messages the arrivals of a period were ahead of an even pace of `limit` a period, at most. */
export function mostAhead(arrivals: readonly number[], limit: number, ms: number): number {
  let most = Number.NEGATIVE_INFINITY;
  const counts = new Map<number, number>();
  for (const at of arrivals.toSorted((a, b) => a - b)) {
    const start = Math.floor(at / ms) * ms;
    const count = (counts.get(start) ?? 0) + 1;
    counts.set(start, count);
    most = Math.max(most, count - (limit * (at - start)) / ms);
  }
  return most;
}
