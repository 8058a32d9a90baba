/** The embedded PostgreSQL: data survives every way of ending, one owner at a time, nothing left behind. Real servers, fsync on; the first makes its own. */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { type Embedded, openEmbedded } from "../../src/db/embedded.ts";
import { identity } from "../../src/db/embedded/process.ts";
import { openSql } from "../../src/db/sql.ts";
import { putCluster } from "../support/cluster.ts";

let dataDir: string;
const opened: Embedded[] = [];
const log = silentLog;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "postilion-embedded-"));
  chmodSync(dataDir, 0o711);
});
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function open(port = 0): Promise<Embedded> {
  const server = await openEmbedded({ dataDir, port, log });
  opened.push(server);
  return server;
}

async function query(server: Embedded, text: string): Promise<unknown[]> {
  const sql = openSql(server.url, { poolSize: 1, name: "test" });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end({ timeout: 5 });
  }
}

test("stopped and started again it has the same address and the same data", async () => {
  const first = await open();
  await query(first, "create table kept (n int); insert into kept values (42)");
  await first.close();
  await first.ended;
  expect(identity(first.pid)).toBe("");
  const second = await open();
  expect(second.url).toBe(first.url);
  expect(await query(second, "select n from kept")).toEqual([{ n: 42 }]);
  // What the ledger's promises rest on.
  const durable =
    "select current_setting('fsync') f, current_setting('synchronous_commit') s, current_setting('data_checksums') c";
  expect(await query(second, durable)).toEqual([{ f: "on", s: "on", c: "on" }]);
});

test("killed with SIGKILL it says so, and recovers what was committed", async () => {
  putCluster(dataDir);
  const first = await open();
  await query(first, "create table kept (n int); insert into kept select generate_series(1, 1000)");
  process.kill(first.pid, "SIGKILL");
  await first.ended;
  await first.close();
  const second = await open();
  expect(second.pid).not.toBe(first.pid);
  expect(await query(second, "select count(*)::int n from kept")).toEqual([{ n: 1000 }]);
});

test("a second process is a guest: its close leaves the server alone", async () => {
  putCluster(dataDir);
  const first = await open();
  const script = `
    import { openEmbedded } from ${JSON.stringify(join(import.meta.dirname, "../../src/db/embedded.ts"))};
    import { silentLog } from ${JSON.stringify(join(import.meta.dirname, "../../src/base/log.ts"))};
    const server = await openEmbedded({ dataDir: ${JSON.stringify(dataDir)}, port: 0, log: silentLog });
    console.log(JSON.stringify({ guest: server.guest, url: server.url }));
    await server.close();`;
  expect(JSON.parse(await run(script))).toEqual({ guest: true, url: first.url });
  expect(await query(first, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a server whose owner was killed is taken over, and ends with its new owner", async () => {
  putCluster(dataDir);
  const script = `
    import { openEmbedded } from ${JSON.stringify(join(import.meta.dirname, "../../src/db/embedded.ts"))};
    import { silentLog } from ${JSON.stringify(join(import.meta.dirname, "../../src/base/log.ts"))};
    const server = await openEmbedded({ dataDir: ${JSON.stringify(dataDir)}, port: 0, log: silentLog });
    console.log(server.pid);
    process.kill(process.pid, "SIGKILL");`;
  const pid = Number(await run(script));
  expect(identity(pid)).not.toBe("");
  const second = await open();
  expect(second).toMatchObject({ pid, guest: false });
  await second.close();
  expect(identity(pid)).toBe("");
});

test("an owner that goes while the next one waits for its server: that one becomes the owner, and starts one", async () => {
  putCluster(dataDir);
  const first = await open();
  await first.close();
  const going = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  writeFileSync(join(dataDir, "postgres.owner"), identity(going.pid!));
  const waiting = open();
  going.kill("SIGKILL");
  const second = await waiting;
  expect(second.guest).toBe(false);
  expect(await query(second, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a stale pid file whose number another program now has does not stop the start", async () => {
  putCluster(dataDir);
  const first = await open();
  await first.close();
  const lines = [process.pid, join(dataDir, "postgres"), 1, 5432, "", "127.0.0.1", "", "ready", ""];
  writeFileSync(join(dataDir, "postgres", "postmaster.pid"), lines.join("\n"));
  const second = await open();
  expect(await query(second, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a wished port that is taken is named; a remembered one that is taken is changed", async () => {
  putCluster(dataDir);
  const first = await open();
  const port = Number(new URL(first.url).port);
  await first.close();
  const other: Server = createServer();
  await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
  try {
    await expect(open(port)).rejects.toMatchObject({ code: "PORT_TAKEN" });
    const second = await open();
    expect(new URL(second.url).port).not.toBe(String(port));
  } finally {
    other.close();
  }
});

test("a broken configuration is told in the server's own words, and leaves no owner", async () => {
  putCluster(dataDir);
  const first = await open();
  await first.close();
  const conf = join(dataDir, "postgres", "postgresql.conf");
  writeFileSync(conf, `${readFileSync(conf, "utf8")}\nshared_buffers = lots\n`);
  await expect(open()).rejects.toThrow(/shared_buffers/);
  expect(existsSync(join(dataDir, "postgres.owner"))).toBe(false);
});

function run(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.once("error", reject);
    child.once("close", () => resolve(out.trim()));
  });
}
