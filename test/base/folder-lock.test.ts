/** Who holds a folder: a process that runs, and no other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { lockFolder } from "../../src/base/folder-lock.ts";
import { until } from "../support/until.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const fields = (pid: number): string[] => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");

/** A shell that prints the number of a child and never asks how it ended. */
async function parentOf(child: string): Promise<number> {
  const parent = spawn("sh", ["-c", `${child} & echo $!; exec sleep 60`], { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void parent.kill("SIGKILL"));
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  // Until then it is a shell, which asks.
  const comm = (): string => readFileSync(`/proc/${parent.pid}/comm`, "utf8").trim();
  await until(() => comm() === "sleep", { what: "the shell to be another program" });
  return Number(line.toString());
}

test("one that runs holds it; one that was killed and that nobody has reaped does not", async () => {
  const pid = await parentOf("sleep 60");
  writeFileSync(join(folder, "lock"), `${pid} ${fields(pid)[19]}`);
  expect(lockFolder(folder)).toEqual({ heldBy: pid });
  process.kill(pid, "SIGKILL");
  await until(() => fields(pid)[0] === "Z", { what: "the process to be a zombie" });
  expect(lockFolder(folder)).toHaveProperty("unlock");
});

test("another process that has the number by now does not", async () => {
  const pid = await parentOf("sleep 60");
  onTestFinished(() => void process.kill(pid, "SIGKILL"));
  writeFileSync(join(folder, "lock"), `${pid} 1`);
  expect(lockFolder(folder)).toHaveProperty("unlock");
});
