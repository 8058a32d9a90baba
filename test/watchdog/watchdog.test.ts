/** The watchdog with real child processes: order, restarts, giving up, stubborn children. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { type Child, openChild } from "../../src/watchdog/child.ts";
import { openWatchdog } from "../../src/watchdog/watchdog.ts";
import { until } from "../support/until.ts";
import { type Program, launch, lines } from "./programs.ts";

let folder: string;
let journal: string;
const open: { kill(): void; stop(): Promise<void> }[] = [];
const warned: string[] = [];
const log: Log = { ...silentLog, warn: (_fields, text) => void warned.push(text) };
const options = { clock: systemClock, log, readyMs: 20_000, drainMs: 20_000, backoff: { firstMs: 10, maxMs: 50 } };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-watchdog-"));
  journal = join(folder, "journal");
  warned.length = 0;
});
afterEach(async () => {
  for (const one of open.splice(0)) {
    one.kill();
    await one.stop();
  }
  rmSync(folder, { recursive: true });
});

function child(program: Program, more: Partial<typeof options> = {}): Child {
  const made = openChild({ ...options, ...more, name: program, launch: () => launch(program, program, journal) });
  open.push(made);
  return made;
}

describe("a child", () => {
  test("that is ready says its port, and drains when told to", async () => {
    const good = child("good");
    expect(await good.ready).toBe(7);
    expect(good.pid).toBeGreaterThan(0);
    await Promise.all([good.stop(), good.stop()]);
    expect(lines(journal)).toEqual(["good start", "good stop"]);
    expect(good.pid).toBe(0);
  });

  test("that ends after it was ready is started again, until it stays", async () => {
    const shaky = child("shaky");
    await shaky.ready;
    await until(() => lines(journal).length === 3 && shaky.pid > 0);
    await shaky.stop();
    expect(lines(journal)).toEqual(["shaky start", "shaky start", "shaky start"]);
  });

  test("killed from outside is started again with another process id", async () => {
    const good = child("good");
    await good.ready;
    const { pid } = good;
    process.kill(pid, "SIGKILL");
    await until(() => good.pid !== pid && lines(journal).length === 2);
  });

  test("that never was ready is given up after three tries, with its exit code", async () => {
    await expect(child("broken").ready).rejects.toMatchObject({ exitCode: 3 });
    expect(lines(journal)).toHaveLength(3);
  });

  test("whose settings are wrong is not tried again", async () => {
    await expect(child("misconfigured").ready).rejects.toMatchObject({ exitCode: 78 });
    expect(lines(journal)).toHaveLength(1);
  });

  test("that is not ready in time is killed", async () => {
    await expect(child("mute", { readyMs: 300 }).ready).rejects.toThrow("SIGKILL");
    expect(warned).toContain("child is not ready in time and is killed");
  });

  test("that does not drain is killed", async () => {
    const deaf = child("deaf", { drainMs: 300 });
    await deaf.ready;
    await deaf.stop();
    expect(lines(journal)).toEqual(["deaf start", "deaf ignored"]);
    expect(warned).toContain("child does not finish draining and is killed");
  });

  test("whose program does not exist is given up", async () => {
    const { spawn } = await import("node:child_process");
    const none = openChild({ ...options, name: "none", launch: () => spawn(join(folder, "none")) });
    open.push(none);
    await expect(none.ready).rejects.toThrow("ENOENT");
  });

  test("stopped while it starts does not come back", async () => {
    const mute = child("mute");
    const ready = mute.ready;
    await until(() => lines(journal).length === 1);
    await mute.stop();
    await expect(ready).rejects.toThrow("told to stop");
    expect(mute.pid).toBe(0);
  });
});

describe("all of them", () => {
  const watch = (programs: Record<string, Program>, processes = 1) => {
    const modules = Object.keys(programs).map((name) => ({ name, processes }));
    const start = (name: string, slot: number) => launch(programs[name] ?? "broken", `${name}/${slot}`, journal);
    const dog = openWatchdog({ ...options, modules, launch: start });
    open.push(dog);
    return dog;
  };

  test("start in order, each when the one before is ready, and stop in reverse", async () => {
    const dog = watch({ a: "good", b: "good", c: "good" });
    expect(await dog.ready).toEqual(
      new Map([
        ["a", 7],
        ["b", 7],
        ["c", 7],
      ]),
    );
    expect([...dog.pids().keys()]).toEqual(["a/0", "b/0", "c/0"]);
    await dog.stop();
    const order = ["a/0 start", "b/0 start", "c/0 start", "c/0 stop", "b/0 stop", "a/0 stop"];
    expect(lines(journal)).toEqual(order);
  });

  test("several processes of a module start together", async () => {
    const dog = watch({ a: "good" }, 3);
    await dog.ready;
    await dog.stop();
    const expected = [0, 1, 2].flatMap((slot) => [`a/${slot} start`, `a/${slot} stop`]);
    expect(lines(journal).toSorted()).toEqual(expected);
  });

  test("one that does not start keeps the later ones from starting", async () => {
    const dog = watch({ a: "good", b: "misconfigured", c: "good" });
    await expect(dog.ready).rejects.toMatchObject({ exitCode: 78 });
    await dog.stop();
    expect(lines(journal)).toEqual(["a/0 start", "b/0 start", "a/0 stop"]);
  });

  test("stopped in the middle of the start, nothing more starts", async () => {
    const dog = watch({ a: "good", b: "mute", c: "good" });
    await until(() => lines(journal).includes("b/0 start"));
    await dog.stop();
    await expect(dog.ready).rejects.toThrow("b/0");
    expect(lines(journal)).toEqual(["a/0 start", "b/0 start", "a/0 stop"]);
  });
});
