/** The whole start with real processes and a real embedded PostgreSQL; the modules are played by little programs. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { identity } from "../../src/db/embedded/process.ts";
import { openSql } from "../../src/db/sql.ts";
import { findToken } from "../../src/db/tokens.ts";
import type { ApplianceReady } from "../../src/watchdog/start.ts";
import { putCluster } from "../support/cluster.ts";
import { until } from "../support/until.ts";
import { lines } from "./programs.ts";

let folder: string;
let journal: string;
const started: Appliance[] = [];

interface Appliance {
  readonly child: ChildProcess;
  output(): string;
  /** Resolves when it says it is ready. */
  ready(): Promise<ApplianceReady>;
  /** Resolves with code or signal. */
  readonly end: Promise<number | string>;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-start-"));
  chmodSync(folder, 0o711);
  journal = join(folder, "journal");
});
afterEach(async () => {
  for (const { child, end } of started.splice(0)) {
    child.kill("SIGTERM");
    await end;
  }
  rmSync(folder, { recursive: true });
});

/** On a folder that has been started before; the first test of all makes its own. */
function appliance(...programs: string[]): Appliance {
  if (!existsSync(join(folder, "var"))) putCluster(join(folder, "var"));
  return launch(programs);
}

function launch(programs: readonly string[]): Appliance {
  const script = join(import.meta.dirname, "appliance-program.ts");
  const child = spawn(process.execPath, [script, join(folder, "var"), journal, ...programs], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let output = "";
  let message: ApplianceReady | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.on("message", (said) => (message = said as ApplianceReady));
  const end = once(child, "exit").then(([code, signal]) => (signal ?? code) as number | string);
  const ready = async (): Promise<ApplianceReady> => {
    await until(() => message !== undefined || child.exitCode !== null, { what: "ready", timeoutMs: 50_000 });
    if (message === undefined) throw new Error(output);
    return message;
  };
  const made = { child, output: () => output, ready, end };
  started.push(made);
  return made;
}

const serverPid = (): number => Number.parseInt(readFileSync(join(folder, "var/postgres/postmaster.pid"), "utf8"), 10);

function databaseUrl(): string {
  const { port, password } = JSON.parse(readFileSync(join(folder, "var/postgres.json"), "utf8")) as {
    port: number;
    password: string;
  };
  return `postgres://postilion:${password}@127.0.0.1:${port}/postilion`;
}

test("first start: schema, keys, one token that works; SIGTERM stops in reverse and takes the database along", async () => {
  const first = launch(["redirector=good", "mta=good", "web=good"]);
  const { token, ...places } = await first.ready();
  expect(places).toMatchObject({ url: "http://127.0.0.1:7", port: 7, redirector: "http://127.0.0.1:7" });
  expect(first.output()).toContain(token);
  const sql = openSql(databaseUrl(), { poolSize: 1, name: "test" });
  expect(await findToken(sql, token)).toMatchObject({ name: "first" });
  await sql.end({ timeout: 5 });
  expect(existsSync(join(folder, "var/keys/token.json"))).toBe(true);
  const pid = serverPid();
  first.child.kill("SIGTERM");
  expect(await first.end).toBe(0);
  expect(lines(journal)).toEqual([
    "redirector start",
    "mta start",
    "web start",
    "web stop",
    "mta stop",
    "redirector stop",
  ]);
  expect(identity(pid)).toBe("");

  const second = appliance("mta=good");
  expect((await second.ready()).token).toBe("");
  expect(second.output()).not.toContain("API token");
});

test("killed, it leaves no modules behind, and the next start takes the database over", async () => {
  const first = appliance("mta=orphan");
  await first.ready();
  const pid = serverPid();
  first.child.kill("SIGKILL");
  await first.end;
  await until(() => lines(journal).includes("mta stop"));
  expect(identity(pid)).not.toBe("");
  const second = appliance("mta=good");
  await second.ready();
  expect(serverPid()).toBe(pid);
  second.child.kill("SIGTERM");
  expect(await second.end).toBe(0);
  expect(identity(pid)).toBe("");
});

test("a database that dies is started again on the same port, under the running modules", async () => {
  const first = appliance("mta=good");
  await first.ready();
  const [pid, url] = [serverPid(), databaseUrl()];
  process.kill(pid, "SIGKILL");
  await until(() => first.output().includes("died and is started again"));
  const answers = async (): Promise<boolean> => {
    const sql = openSql(url, { poolSize: 1, name: "test" });
    try {
      return (await sql`select 1`).length === 1;
    } finally {
      await sql.end({ timeout: 1 });
    }
  };
  await until(answers, { timeoutMs: 20_000 });
  expect(serverPid()).not.toBe(pid);
  expect(lines(journal)).toEqual(["mta start"]);
});

test("a second start on the same folder is refused and does not disturb the first", async () => {
  const first = appliance("mta=good");
  await first.ready();
  const second = appliance("mta=good");
  expect(await second.end).toBe(1);
  expect(second.output()).toContain("another Postilion is running");
  expect(identity(serverPid())).not.toBe("");
  expect(lines(journal)).toEqual(["mta start"]);
});

test("a module whose settings are wrong ends the start with its exit code, everything stopped", async () => {
  const first = appliance("mta=good", "web=misconfigured");
  expect(await first.end).toBe(78);
  expect(lines(journal)).toEqual(["mta start", "web start", "mta stop"]);
  expect(existsSync(join(folder, "var/postgres/postmaster.pid"))).toBe(false);
});

test("told again it does not wait for a module that will not drain", async () => {
  const first = appliance("mta=deaf");
  await first.ready();
  first.child.kill("SIGTERM");
  await until(() => lines(journal).includes("mta ignored"));
  await until(() => !first.child.kill("SIGTERM"), { what: "the process to be gone" });
  expect(await first.end).toBe(143);
});
