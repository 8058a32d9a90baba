/** `npm start` as a person or a service manager ends it: npm passes the signal on, a terminal gives it to the whole group besides. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { putCluster } from "../support/cluster.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-npm-"));
chmodSync(folder, 0o755); // as root, PostgreSQL runs as another user
const config = join(folder, "postilion.yaml");
writeFileSync(
  config,
  JSON.stringify({ dataDir: join(folder, "var"), log: { pretty: "never" }, web: { port: 0 }, stat: { port: 0 } }),
);
putCluster(join(folder, "var"));
let npm: ChildProcess | undefined;
afterAll(async () => {
  if (npm !== undefined && npm.exitCode === null && npm.signalCode === null) process.kill(-npm.pid!, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test.each<[string, (pid: number) => void]>([
  ["SIGTERM to npm", (pid) => process.kill(pid, "SIGTERM")],
  ["Ctrl-C at a terminal", (pid) => process.kill(-pid, "SIGINT")],
])("%s drains, and nothing is left behind", { timeout: 120_000 }, async (_name, end) => {
  const environment = Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_"));
  const child = spawn("npm", ["start"], {
    cwd: join(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...Object.fromEntries(environment), POSTILION_CONFIG: config },
  });
  npm = child;
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  // Not before its last process has let go of the pipes.
  const closed = once(child, "close");
  await until(() => output.includes("Postilion is ready") || child.exitCode !== null, { timeoutMs: 60_000 });
  expect(output).toContain("Postilion is ready");
  end(child.pid!);
  expect(await closed, output).toEqual([0, null]);
  expect(output).toContain("everything is stopped");
});
