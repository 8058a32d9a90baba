/** A real redirection server (`postilion run redirector`) on a folder that outlives it, without a database anywhere: to be stopped, killed, started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { KEY, SECRET } from "./redirector.ts";
import { until } from "./until.ts";

export interface RedirectorProcess {
  readonly port: number;
  readonly pid: number;
  /** What it logged so far, over all its lives: a JSON object a line. */
  readonly log: string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Starts it again on the same folder and port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** What such a server shares with an appliance, put under the dataDir of either (ops/tracking.md: what to copy). */
export function putKeys(dataDir: string): void {
  const secret = Buffer.from(KEY.secret).toString("base64");
  mkdirSync(join(dataDir, "keys"), { mode: 0o700, recursive: true });
  writeFileSync(join(dataDir, "keys/tracking.secret"), SECRET, { mode: 0o600 });
  writeFileSync(join(dataDir, "keys/token.json"), JSON.stringify({ keys: [{ id: KEY.id, secret }] }), { mode: 0o600 });
}

/** @param redirector of the settings; @param folder where its files are to be, instead of a folder of its own */
export async function openRedirectorProcess(redirector: object = {}, folder = ""): Promise<RedirectorProcess> {
  const home = mkdtempSync(join(tmpdir(), "postilion-redirector-process-"));
  putKeys(home);
  const port = await freePort();
  const config = join(home, "postilion.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      dataDir: home,
      log: { pretty: "never" },
      // Nobody is at either address: it needs neither.
      database: { url: "postgres://nobody@127.0.0.1:9/none" },
      tracking: { url: "http://t.example.com" },
      redirector: { port, web: "http://127.0.0.1:9", folder, ...redirector },
    }),
  );
  let log = "";
  let child: ChildProcess | null = null;
  let gone: Promise<number | null> = Promise.resolve(null);

  async function start(): Promise<void> {
    const main = join(import.meta.dirname, "../../src/main.ts");
    const own = spawn(process.execPath, [main, "run", "redirector", "--config", config], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = own;
    gone = new Promise((resolve) => own.once("close", (code) => resolve(code)));
    const from = log.length;
    for (const stream of [own.stdout, own.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => (log += text));
    const over = (): boolean => own.exitCode !== null || own.signalCode !== null;
    const listens = (): boolean => log.includes("the redirection server listens", from);
    await until(() => over() || listens(), { what: "the redirection server to listen", timeoutMs: 60_000 });
    if (over()) throw new Error(`the redirection server ended at its start: ${log.slice(from)}`);
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    child?.kill(signal);
    return gone;
  }

  await start();
  return {
    port,
    get pid() {
      return child?.pid ?? 0;
    },
    get log() {
      return log;
    },
    kill: () => end("SIGKILL").then(() => {}),
    stop: () => end("SIGTERM"),
    start,
    async close() {
      await end("SIGKILL");
      rmSync(home, { recursive: true, force: true });
    },
  };
}
