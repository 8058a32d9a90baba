/**
 * The appliance as an operator starts it: a settings file, a DKIM key, `postilion start` as a process of its own. What it logs goes to a
 * file. It is told to stop the way systemd would, and it is also stopped by our death: the IPC channel closes.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateDkimKey } from "../src/smtp/dkim.ts";
import type { ApplianceReady } from "../src/watchdog/start.ts";

export const SENDER = { domain: "news.sender.example", selector: "demo", helo: "mta.sender.example" } as const;

export interface SigningKey {
  readonly pem: string;
  /** The name and the value of the TXT record to publish. */
  readonly name: string;
  readonly record: string;
}

export interface ApplianceOptions {
  readonly folder: string;
  readonly key: SigningKey;
  /** What differs from the defaults; `dataDir`, `log` are set here. `dkim.pem` in the folder is the key. */
  readonly settings: Record<string, unknown>;
  /** The program; src/main.ts when not given. */
  readonly main?: string;
}

export interface Appliance {
  /** Base address of the API. */
  readonly url: string;
  /** Base address of the redirection server. */
  readonly redirector: string;
  readonly token: string;
  /** Rejects when the appliance ends before `close()`. */
  readonly died: Promise<never>;
  /** The last warnings and errors of its log, '' for none. */
  trouble(): Promise<string>;
  close(): Promise<void>;
}

/** Initialising PostgreSQL takes a second; on a machine that does much else, a dozen. */
const START_MS = 120_000;
/** More than the appliance's own patience with its modules. */
const STOP_MS = 40_000;
const TAIL_LINES = 12;
const TROUBLE_LINES = 5;
const LINE_CHARS = 400;

export function makeSigningKey(): SigningKey {
  const { pem, record } = generateDkimKey("rsa", 2048);
  return { pem, record, name: `${SENDER.selector}._domainkey.${SENDER.domain}` };
}

/** Resolves when it is ready; rejects with the end of its log when it does not get there. */
export async function startAppliance(options: ApplianceOptions): Promise<Appliance> {
  const { folder } = options;
  const config = join(folder, "postilion.yaml");
  const logFile = join(folder, "appliance.log");
  await writeFile(join(folder, "dkim.pem"), options.key.pem, { mode: 0o600 });
  await writeFile(config, settingsFile(options));
  const log = openSync(logFile, "a");
  const main = options.main ?? fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const child = fork(main, ["--config", config, "start"], { stdio: ["ignore", log, log, "ipc"], env: environment() });
  closeSync(log);
  let closing = false;
  const { promise: died, reject: dies } = Promise.withResolvers<never>();
  // Whoever waits for something else meanwhile races against it; nobody has to.
  died.catch(() => {});
  child.once("exit", (code, signal) => {
    if (!closing) void withTail(`the appliance ended by itself (${signal ?? `code ${code}`})`, logFile).then(dies);
  });
  const close = async (): Promise<void> => {
    closing = true;
    await stop(child);
  };
  try {
    const { url, token, redirector } = await Promise.race([ready(child, logFile), died]);
    if (token === "") throw new Error("the appliance gave no API token");
    return { url, redirector, token, died, close, trouble: () => lastTrouble(logFile) };
  } catch (error) {
    await close();
    throw error;
  }
}

function ready(child: ChildProcess, logFile: string): Promise<ApplianceReady> {
  return new Promise((resolve, reject) => {
    const late = `the appliance was not ready in ${START_MS / 1000} s`;
    const timer = setTimeout(() => void withTail(late, logFile).then(reject), START_MS);
    child.once("exit", () => clearTimeout(timer));
    child.on("message", (message: ApplianceReady) => {
      if (message.type !== "ready") return;
      clearTimeout(timer);
      resolve(message);
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exited;
  clearTimeout(timer);
}

/** JSON is YAML. Only what differs from the defaults. */
function settingsFile({ folder, settings }: ApplianceOptions): string {
  const all = {
    dataDir: join(folder, "var"),
    log: { level: "info", pretty: "never" },
    ...settings,
    stat: { port: 0, ...(settings["stat"] as object | undefined) },
  };
  return `${JSON.stringify(all, null, 2)}\n`;
}

/** Settings of an appliance on this machine must not become those of the demo. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_")));
}

async function lastTrouble(logFile: string): Promise<string> {
  const log = await readFile(logFile, "utf8").catch(() => "");
  // pino's levels: 40 is a warning, 50 an error.
  const grave = log.split("\n").filter((line) => /^\{"level":[4-9]0,/.test(line));
  return grave
    .slice(-TROUBLE_LINES)
    .map((line) => line.slice(0, LINE_CHARS))
    .join("\n");
}

async function withTail(text: string, logFile: string): Promise<Error> {
  const log = await readFile(logFile, "utf8").catch(() => "");
  const tail = log.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
  return new Error(`${text}; the end of its log:\n${tail}`);
}
