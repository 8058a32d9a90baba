/**
 * `kill -9` in the middle of clicks, again and again: every click that was answered is in the log, once, with nothing damaged; and the disk of the log full, a
 * real one: readers are served, nothing that was promised is missing, the loss is counted and shouted, and it goes on when there is room.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { askPort, link, recordsOf, token } from "../support/redirector.ts";
import { openRedirectorProcess } from "../support/redirector-process.ts";
import { until } from "../support/until.ts";

const LINK = link();

/** Clicks of messages from `first` on over so many connections, each again as soon as it is answered, until told to stop. */
function openClickers(port: number, connections: number, first: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const answered: number[] = [];
  let next = first;
  let stopped = false;
  const click = (): Promise<void> =>
    new Promise((resolve) => {
      const message = next++;
      const sent = request({ port, agent, path: `/r/${token(message)}/${LINK}` }, (response) => {
        if (response.statusCode === 302) answered.push(message);
        response.resume().once("close", resolve);
      });
      sent.once("error", () => resolve());
      sent.end();
    });
  const worker = async (): Promise<void> => {
    while (!stopped) await click();
  };
  const workers = Array.from({ length: connections }, worker);
  return {
    answered,
    async stop() {
      stopped = true;
      agent.destroy();
      await Promise.all(workers);
      return next;
    },
  };
}

test("every click that was answered is in the log, however often the server is killed", async () => {
  const server = await openRedirectorProcess({ segmentBytes: 20_000 });
  onTestFinished(() => server.close());
  const answered: number[] = [];
  let next = 1;
  for (let round = 0; round < 3; round++) {
    if (round > 0) await server.start();
    const clickers = openClickers(server.port, 32, next);
    await until(() => clickers.answered.length > 300 + round * 57, { what: "clicks", timeoutMs: 20_000 });
    await server.kill();
    next = await clickers.stop();
    answered.push(...clickers.answered);
  }
  await server.start();
  const records = await recordsOf(server.port);
  const written = records.map(({ message }) => message);
  expect(new Set(written).size).toBe(written.length);
  const missing = new Set(answered).difference(new Set(written));
  expect(missing).toEqual(new Set());
  expect(answered.length).toBeGreaterThan(900);
  // What is there beyond that was on its way back when the server was killed: never more than there were connections.
  expect(written.length - answered.length).toBeLessThanOrEqual(3 * 32);
  expect(await server.stop()).toBe(0);
});

/** Only root may mount; where nobody may, the line above the skipped test says so. */
const disk = mkdtempSync(join(tmpdir(), "postilion-small-disk-"));
const mounted =
  process.getuid?.() === 0 &&
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "postilion-test", disk], { stdio: "ignore" }).status === 0;
if (!mounted)
  console.log("skipped: the tracking log on a small disk; mounting a tmpfs needs root and permission to mount");
afterAll(() => {
  if (mounted) spawnSync("umount", [disk], { stdio: "ignore" });
  rmSync(disk, { recursive: true, force: true });
});

test.runIf(mounted)("a disk that is full costs records, not readers, and no promise", async () => {
  const server = await openRedirectorProcess({ segmentBytes: 20_000 }, join(disk, "redirector"));
  onTestFinished(() => server.close());
  const health = async (): Promise<{ status: string; lost: number }> =>
    JSON.parse((await askPort(server.port, "/r/test")).body) as { status: string; lost: number };
  const unsubscribe = (message: number) => askPort(server.port, `/u/${token(message)}`, { method: "POST" });
  const ballast = join(disk, "ballast");
  expect((await unsubscribe(1)).status).toBe(200);
  spawnSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1k", "count=200"], { stdio: "ignore" });
  const clickers = openClickers(server.port, 8, 1000);
  await until(async () => (await health()).lost > 100, { what: "the disk to be full", timeoutMs: 20_000 });
  expect(await health()).toMatchObject({ status: "log-failing" });
  // Nobody was refused, and no unsubscribe is promised that is not kept.
  expect((await unsubscribe(2)).status).toBe(503);
  const before = clickers.answered.length;
  await until(() => clickers.answered.length > before + 100, { what: "clicks on a full disk" });
  expect(server.log).toContain("the tracking log cannot be written");
  // Killed and started on the full disk, it still redirects.
  await server.kill();
  await clickers.stop();
  await server.start();
  expect((await askPort(server.port, `/r/${token(5000)}/${LINK}`)).status).toBe(302);
  rmSync(ballast);
  await until(async () => (await unsubscribe(3)).status === 200, { what: "room to be used again" });
  expect(await health()).toMatchObject({ status: "ok" });
  const records = await recordsOf(server.port);
  const unsubscribed = records.filter(({ kind }) => kind === "unsubscribe").map(({ message }) => message);
  expect(unsubscribed.filter((message) => message !== 2)).toEqual([1, 3]);
  writeFileSync(ballast, "");
});
