/** Ten thousand connections that say nothing, and one reader who clicks: the reader is served, and the crowd costs little. */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { askPort, link, SECRET, token } from "../support/redirector.ts";
import { openRedirectorProcess } from "../support/redirector-process.ts";
import { until } from "../support/until.ts";

/** As many as this process may have, where it is fewer; the server has a limit of its own of the same size. */
const files = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024);
const CROWD = Math.min(10_000, files - 500);

const memoryOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

test(`${CROWD} idle connections hurt nobody`, async () => {
  const server = await openRedirectorProcess();
  onTestFinished(() => server.close());
  const click = async (): Promise<number> => (await askPort(server.port, `/r/${token(1)}/${link()}`)).status;
  const connections = async (): Promise<number> => {
    const { body } = await askPort(server.port, "/metrics", { headers: { authorization: `Bearer ${SECRET}` } });
    return Number(/^postilion_redirector_connections\{[^}]*\} (\d+)/m.exec(body)?.[1]);
  };
  expect(await click()).toBe(302);
  const before = memoryOf(server.pid);
  const crowd: Socket[] = [];
  onTestFinished(() => {
    for (const socket of crowd) socket.destroy();
  });
  let closed = 0;
  while (crowd.length < CROWD) {
    for (let i = 0; i < 500 && crowd.length < CROWD; i++) {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {}).once("close", () => closed++);
      crowd.push(socket);
    }
    await until(() => crowd.every((socket) => !socket.connecting), { what: "the crowd to be connected" });
    expect(await click()).toBe(302);
  }
  // Some of the first may have been told to go by now: they had ten seconds to say something.
  expect((await connections()) + closed).toBeGreaterThanOrEqual(CROWD);
  expect(memoryOf(server.pid) - before).toBeLessThan(300);
  expect(await Promise.all(Array.from({ length: 200 }, click))).toEqual(Array.from({ length: 200 }, () => 302));
});
