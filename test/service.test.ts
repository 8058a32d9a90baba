/** The life of one process: ready, drained in order, and the exit code that tells why it ended. Real processes, real PostgreSQL. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type TestDatabase, openTestDatabase } from "./support/database.ts";
import { freePort } from "./support/free-port.ts";
import { until } from "./support/until.ts";

let db: TestDatabase;
let folder: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-service-"));
});
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<number | string>;
  output(): string;
  journal(): string[];
  readonly messages: unknown[];
}

function service(does: string, options: { url?: string; ipc?: boolean } = {}): Running {
  const path = join(folder, "journal");
  const args = [join(import.meta.dirname, "service-program.ts"), does, options.url ?? db.url, path];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe", ...(options.ipc === false ? [] : ["ipc" as const])],
  });
  started.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  const messages: unknown[] = [];
  child.on("message", (message) => messages.push(message));
  return {
    child,
    messages,
    end: once(child, "exit").then(([code, signal]) => (signal ?? code) as number | string),
    output: () => output,
    journal: () => (existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : []),
  };
}

test("tells its parent when it is ready; SIGTERM drains it with the database still there, exit code 0", async () => {
  const play = service("work");
  await until(() => play.messages.length > 0);
  expect(play.messages).toEqual([{ type: "ready", port: 25 }]);
  play.child.kill("SIGTERM");
  expect(await play.end).toBe(0);
  expect(play.journal()).toEqual(["start", "abort", "drain 1"]);
  expect(play.output()).toContain('"slot":3');
});

test("a child leaves Ctrl-C to the watchdog; alone it drains by it", async () => {
  const child = service("work");
  await until(() => child.messages.length > 0);
  child.child.kill("SIGINT");
  child.child.kill("SIGTERM");
  expect(await child.end).toBe(0);
  const alone = service("work", { ipc: false });
  await until(() => alone.output().includes('"ready"'));
  alone.child.kill("SIGINT");
  expect(await alone.end).toBe(0);
});

test("whoever signals again does not wait for a drain that hangs", async () => {
  const play = service("stuck");
  await until(() => play.messages.length > 0);
  play.child.kill("SIGTERM");
  await until(() => play.journal().includes("drain 1"));
  await until(() => !play.child.kill("SIGTERM"), { what: "the process to be gone" });
  expect(await play.end).toBe(143);
});

test("the parent gone, it drains and ends by itself", async () => {
  const play = service("work");
  await until(() => play.messages.length > 0);
  play.child.disconnect();
  expect(await play.end).toBe(0);
  expect(play.journal()).toEqual(["start", "abort", "drain 1"]);
});

test.each([
  ["fault", 1, "PORT_TAKEN"],
  ["bug", 70, "undefined is not a function"],
  ["crash", 70, "nobody caught this"],
])("%s ends with exit code %i and says why", async (does, code, text) => {
  const play = service(does);
  expect(await play.end).toBe(code);
  expect(play.output()).toContain(text);
});

test("no database, or one with another schema: a fault, not a bug, and no password in the log", async () => {
  const away = service("work", { url: `postgres://app:s3cr3t@127.0.0.1:${await freePort()}/mail` });
  expect(await away.end).toBe(1);
  expect(away.output()).toMatch(/DATABASE_UNREACHABLE/);
  expect(away.output()).not.toContain("s3cr3t");
  const bare = new URL(db.url);
  bare.pathname = "/postgres";
  const empty = service("work", { url: bare.href });
  expect(await empty.end).toBe(1);
  expect(empty.output()).toMatch(/postilion migrate/);
});
