/** `postilion stat reload` and SIGHUP as an operator uses them: two processes `postilion run stat`, files, and the command itself. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reloadedText } from "../../src/cli/stat-reload.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-stat-reload-"));
const main = join(import.meta.dirname, "../../src/main.ts");
const started: Running[] = [];
const rulesFile = join(folder, "mx.yaml");
let db: TestDatabase;
let ports: readonly [number, number];

beforeAll(async () => {
  db = await openTestDatabase();
  ports = [await freePort(), await freePort()];
  writeFileSync(join(folder, "secret"), "a secret of more than thirty-two characters", { mode: 0o600 });
});
afterAll(async () => {
  for (const { child, end } of started) {
    child.kill("SIGKILL");
    await end;
  }
  await db.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<unknown>;
  log(): string;
}

const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_"))),
  POSTILION_DATABASE__URL: db.url,
});

const file = (server: 1 | 2): string => join(folder, `server${server}.yaml`);

function settings(server: 1 | 2, stat: object): void {
  const secretFile = join(folder, "secret");
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const all = { port: ports[server - 1], addresses, secretFile, rulesFile, leaderMs: 2000, snapshotMs: 200, ...stat };
  // Nobody answers there: an exchanger that is named has its rule all the same.
  const dns = { servers: ["127.0.0.1:1"], timeoutMs: 100, tries: 1 };
  writeFileSync(file(server), JSON.stringify({ dataDir: folder, log: { pretty: "never" }, mta: { dns }, stat: all }));
}

const rules = (connections: number): void =>
  writeFileSync(rulesFile, `rules: [{ mx: "*.test", connections: ${connections} }]\n`);

function serve(server: 1 | 2): Running {
  const child = spawn(process.execPath, [main, "--config", file(server), "run", "stat"], { env: environment() });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (log += text));
  const running = { child, log: () => log, end: new Promise((resolve) => child.once("exit", resolve)) };
  started.push(running);
  return running;
}

function call(...args: string[]): { code: number | null; out: string; err: string } {
  const done = spawnSync(process.execPath, [main, "--config", file(1), "stat", ...args], {
    encoding: "utf8",
    env: environment(),
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

test(
  "the command, a mistake on either machine, SIGHUP at the one that stands by, kill -9",
  { timeout: 60_000 },
  async () => {
    rules(2);
    settings(1, {});
    settings(2, {});
    const one = serve(1);
    await until(() => one.log().includes("this statistics server leads"), { timeoutMs: 20_000, what: one.log() });
    const two = serve(2);
    await until(() => two.log().includes('"ready"'), { timeoutMs: 20_000 });

    rules(3);
    for (const server of [1, 2] as const) settings(server, { warmUp: [{ publicId: 7 }] });
    const other = `127.0.0.1:${ports[1]}`;
    expect(call("reload")).toEqual({
      code: 0,
      out: `Read again: 61 MX rules, 41 rules on replies, 1 warm-up plan. No counter was lost.\n${other} has read the same.\n`,
      err: "",
    });
    expect(call("explain", "--exchanger", "mx.test", "--public-id", "7").out).toMatch(
      /connections +3 .*\n[^]*warm-up, limits, by warm-up/,
    );

    settings(2, { breaker: { errors: 2 } });
    const half = call("reload");
    expect(half).toMatchObject({ code: 1, err: "" });
    expect(half.out).toContain(
      `${other} goes on with what it had: The settings are not valid: ${file(2)}:1: stat.breaker.errors`,
    );
    await until(() => two.log().includes("rules and settings stay as they were"));

    writeFileSync(rulesFile, 'rules:\n  - mx: "*.test"\n    conections: 4\n');
    const refused = call("reload");
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain(`postilion: nothing has changed: A file of rules is not valid: ${rulesFile}:3:`);

    rules(4);
    settings(2, { warmUp: [{ publicId: 7 }] });
    two.child.kill("SIGHUP");
    const explained = (): string => call("explain", "--exchanger", "mx.test", "--public-id", "7").out;
    await until(() => one.log().includes("another statistics server has been told to read its rules"));
    await until(() => two.log().includes("rules and settings were read again at SIGHUP"));
    expect(explained()).not.toContain("it has not read the files");

    rules(5);
    one.child.kill("SIGKILL");
    await until(() => two.log().includes("this statistics server leads"), { timeoutMs: 20_000 });
    const after = explained();
    expect(after).toMatch(/connections +5 /);
    expect(after).not.toContain("it has not read the files");
  },
);

test("what is printed; names and mistakes of other servers are harmless", () => {
  const EVIL = "evil\u001b[2J\r\n\u202e";
  const here = { server: "a:1", rules: 61, replyRules: 1, warmUps: 0, digest: "", others: [], silent: 0 };
  expect(reloadedText({ ...here, warnings: [], restart: [] })).toBe(
    "Read again: 61 MX rules, 1 rule on replies, 0 warm-up plans. No counter was lost.",
  );
  const others = [
    { server: EVIL, problem: EVIL, same: false },
    { server: "b:1", problem: "", same: false },
  ];
  expect(
    reloadedText({ ...here, warnings: [EVIL], restart: ["stat.port", "web.port"], others, silent: 1 })
      .split("\n")
      .slice(1),
  ).toEqual([
    "evil [2J goes on with what it had: evil [2J",
    "warning: b:1 has read something else: its files or settings are not those of the server that leads",
    "1 other server of stat.addresses said nothing in time; a server that was away reads when it is back.",
    "Changed too, and not in force before Postilion is started again: stat.port, web.port",
    "warning: evil [2J",
  ]);
});
