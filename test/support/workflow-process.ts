/** A real workflow process (`postilion run workflow`), to be killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

export interface WorkflowProcess {
  readonly log: string;
  /** SIGTERM; the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface WorkflowOptions {
  readonly machine: string;
  readonly databaseUrl: string;
  readonly redirectors: readonly string[];
  readonly secret: string;
  /** More settings of `workflow`. */
  readonly workflow?: object;
  /** Of `redirector` and `tracking.url`: of a redirection server of the same machine. */
  readonly redirector?: object;
  readonly url?: string;
}

/** Resolves when it stands by. */
export async function openWorkflowProcess(options: WorkflowOptions): Promise<WorkflowProcess> {
  const folder = mkdtempSync(join(tmpdir(), `postilion-${options.machine}-`));
  const config = join(folder, "postilion.yaml");
  const secretFile = join(folder, "tracking.secret");
  writeFileSync(secretFile, options.secret, { mode: 0o600 });
  writeFileSync(
    config,
    JSON.stringify({
      dataDir: join(folder, "var"),
      machine: options.machine,
      database: { url: options.databaseUrl, poolSize: 4 },
      log: { level: "info", pretty: "never" },
      tracking: { secretFile, url: options.url ?? "" },
      ...(options.redirector === undefined ? {} : { redirector: options.redirector }),
      workflow: { redirectors: options.redirectors, ...options.workflow },
    }),
  );
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child: ChildProcess = spawn(process.execPath, [main, "run", "workflow", "--config", config], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  const hear = (chunk: Buffer): void => void (log += chunk.toString("utf8"));
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  const gone = new Promise<number | null>((resolve) =>
    child.once("close", (code) => {
      rmSync(folder, { recursive: true, force: true });
      resolve(code);
    }),
  );
  const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await until(() => over() || log.includes("stands by"), { what: "the workflow to start", timeoutMs: 30_000 });
  if (over()) throw new Error(`the workflow ended at its start: ${log}`);
  return {
    get log() {
      return log;
    },
    stop() {
      child.kill("SIGTERM");
      return gone;
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
