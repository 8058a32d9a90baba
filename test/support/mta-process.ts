/** A real mta process (`postilion run mta`) with a machine name and a folder of its own, relaying to one host; to be stopped, killed, frozen. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joinTestStat, type TestStat } from "./stat.ts";
import { until } from "./until.ts";

export interface MtaProcess {
  readonly pid: number;
  /** What it logged so far: a JSON object a line. */
  readonly log: string;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, frozen or not; its folder goes with it. */
  close(): Promise<void>;
}

export interface MtaProcessOptions {
  readonly machine: string;
  readonly databaseUrl: string;
  readonly relayPort: number;
  /** More settings of `mta`. */
  readonly mta?: object;
}

/** Resolves when it is claiming. */
export async function openMtaProcess(options: MtaProcessOptions): Promise<MtaProcess> {
  const folder = mkdtempSync(join(tmpdir(), `postilion-${options.machine}-`));
  const config = join(folder, "postilion.yaml");
  const stat = await joinTestStat(options.databaseUrl);
  writeFileSync(config, JSON.stringify(settingsOf(options, folder, stat)));
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child: ChildProcess = spawn(process.execPath, [main, "run", "mta", "--config", config], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, POSTILION_DATABASE__URL: options.databaseUrl },
  });
  let log = "";
  const hear = (chunk: Buffer): void => void (log += chunk.toString("utf8"));
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  const gone = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const opened: MtaProcess = {
    pid: child.pid ?? 0,
    get log() {
      return log;
    },
    signal: (name) => void child.kill(name),
    stop() {
      child.kill("SIGTERM");
      return gone;
    },
    async close() {
      if (!over()) child.kill("SIGKILL");
      await gone;
      await stat.leave();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await until(() => over() || log.includes("mta is claiming"), { what: "the mta to start", timeoutMs: 60_000 });
    if (over()) throw new Error(`the mta ended at its start: ${log}`);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return opened;
}

function settingsOf({ machine, relayPort, mta }: MtaProcessOptions, folder: string, stat: TestStat): object {
  return {
    dataDir: join(folder, "var"),
    machine,
    stat: { run: false, addresses: [stat.address], secretFile: stat.secretFile },
    log: { level: "info", pretty: "never" },
    mta: {
      helo: "mta.test",
      relay: { host: "127.0.0.1", port: relayPort },
      threads: 1,
      ...mta,
    },
  };
}
