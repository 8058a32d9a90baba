/** A statistics server in a process of its own, to be killed and frozen. */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { until } from "./until.ts";

export interface StatProcess {
  readonly port: number;
  /** What it logged so far. */
  readonly log: string;
  /** Whether it leads, or did so last. */
  readonly leads: boolean;
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, frozen or not. */
  close(): Promise<void>;
}

/** Resolves when it listens. */
export async function openStatProcess(settings: object, databaseUrl: string): Promise<StatProcess> {
  const program = join(import.meta.dirname, "stat-program.ts");
  const child: ChildProcess = fork(program, [JSON.stringify(settings), databaseUrl], { silent: true });
  let log = "";
  let port = 0;
  child.stdout?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.on("message", (message) => (port = (message as { port: number }).port));
  const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const opened: StatProcess = {
    get port() {
      return port;
    },
    get log() {
      return log;
    },
    get leads() {
      return log.lastIndexOf("this statistics server leads") > log.lastIndexOf("does not lead any more");
    },
    signal: (name) => void child.kill(name),
    async close() {
      if (!over()) child.kill("SIGKILL");
      await until(over, { what: "the statistics server to end" });
    },
  };
  try {
    await until(() => port > 0 || over(), { what: "the statistics server to listen", timeoutMs: 60_000 });
    if (over()) throw new Error(`the statistics server ended at its start: ${log}`);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return opened;
}
