/**
 * `postilion start` in a process group of its own, on a folder that outlives it: stopped politely, killed with everything it started, started
 * again. Its embedded PostgreSQL has a group of its own and outlives a killed appliance, as it would in life.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Api, openApi } from "../../demo/api.ts";
import { silentLog } from "../../src/base/log.ts";
import { openEmbedded } from "../../src/db/embedded.ts";
import type { ApplianceReady } from "../../src/watchdog/start.ts";
import { putCluster } from "./cluster.ts";

export interface ApplianceFolder {
  readonly path: string;
  /** Starts the appliance on it. One at a time. */
  start(): Promise<RunningAppliance>;
  /** What all of its lives logged. */
  log(): string;
  /** Ends what still runs, the database too, and removes the folder. */
  close(): Promise<void>;
}

export interface RunningAppliance {
  readonly api: Api;
  /** Base address of the redirection server; '' when `tracking.url` is not set. */
  readonly redirector: string;
  /** SIGTERM; resolves with the exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals>;
  /** SIGKILL to the watchdog and every module at once. */
  kill(): Promise<void>;
}

const START_MS = 60_000;

/** @param settings what differs from the defaults; `dataDir`, `log` and the ports of the API, of stat and of the redirection server are set here. */
export function makeApplianceFolder({
  stat = {},
  redirector = {},
  ...settings
}: {
  stat?: object;
  redirector?: object;
  [name: string]: unknown;
}): ApplianceFolder {
  const path = mkdtempSync(join(tmpdir(), "postilion-whole-"));
  chmodSync(path, 0o755); // as root, PostgreSQL runs as another user
  const config = join(path, "postilion.yaml");
  const logFile = join(path, "appliance.log");
  const dataDir = join(path, "var");
  writeFileSync(
    config,
    JSON.stringify({
      dataDir,
      log: { level: "info", pretty: "never" },
      web: { port: 0 },
      stat: { port: 0, ...stat },
      redirector: { port: 0, ...redirector },
      ...settings,
    }),
  );
  putCluster(dataDir);
  let token = "";
  let current: ChildProcess | null = null;
  const log = (): string => (existsSync(logFile) ? readFileSync(logFile, "utf8") : "");

  async function kill(): Promise<void> {
    if (current?.pid === undefined) return;
    const child = current;
    current = null;
    const gone = over(child);
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch (error) {
      // ESRCH: the last of the group is gone.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    await gone;
  }

  return {
    path,
    log,
    async start() {
      const output = openSync(logFile, "a");
      const main = join(import.meta.dirname, "../../src/main.ts");
      const child = spawn(process.execPath, [main, "--config", config, "start"], {
        stdio: ["ignore", output, output, "ipc"],
        detached: true,
        env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_"))),
      });
      closeSync(output);
      current = child;
      const ready = await readiness(child).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${log().split("\n").slice(-12).join("\n")}`, { cause: error });
      });
      token ||= ready.token;
      return {
        api: openApi(ready.url, token),
        redirector: ready.redirector,
        async stop() {
          const gone = over(child);
          child.kill("SIGTERM");
          const how = await gone;
          current = null;
          return how;
        },
        kill,
      };
    },
    async close() {
      await kill();
      // Takes over what a killed one has left, to stop it.
      if (existsSync(join(dataDir, "postgres")))
        await (await openEmbedded({ dataDir, port: 0, log: silentLog })).close();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function over(child: ChildProcess): Promise<number | NodeJS.Signals> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode ?? child.signalCode!);
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal!)));
}

function readiness(child: ChildProcess): Promise<ApplianceReady> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the appliance was not ready in time")), START_MS);
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`the appliance ended at its start: ${code ?? signal}`));
    });
    child.on("message", (message: ApplianceReady) => {
      if (message.type !== "ready") return;
      clearTimeout(timer);
      resolve(message);
    });
  });
}
