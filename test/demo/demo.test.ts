/** `npm run demo` as a newcomer runs it: everything real, on loopback, and it finds nothing off. */
import { execFile } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { access, rm } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Summary } from "../../demo/table.ts";

const run = promisify(execFile);
const demo = fileURLToPath(new URL("../../demo/demo.ts", import.meta.url));

test("a delivery goes through every kind of mail server, and all accounts agree", { timeout: 240_000 }, async () => {
  const { stdout } = await run(process.execPath, [demo, "--recipients", "600", "--seed", "3", "--json"], {
    timeout: 230_000,
  });
  const lines = stdout.trimEnd().split("\n");
  const summary = JSON.parse(lines.at(-1) ?? "") as Summary;
  expect(summary).toMatchObject({
    accepted: 600,
    excluded: 5,
    pending: 0,
    lost: 0,
    duplicates: 0,
    dkimFailed: 0,
    ok: true,
  });
  expect(summary.sent + summary.failed).toBe(595);
  expect(Object.keys(summary.failedByReason).sort()).toEqual(["invalid-domain", "mailbox-full", "user-unknown"]);
  expect(summary.deferredThenSent).toBeGreaterThan(0);
  expect(summary.dkimVerified).toBeGreaterThanOrEqual(50);
  const { clicksMade, clicksByPeople, clicksByMachines, opensMade, unsubscribed } = summary;
  expect(summary).toMatchObject({ clicksCounted: clicksMade, opensCounted: opensMade, suppressed: unsubscribed });
  expect(clicksByPeople + clicksByMachines).toBe(clicksMade);
  expect(Math.min(clicksByPeople, clicksByMachines, opensMade, unsubscribed)).toBeGreaterThan(0);
  expect(summary.messagesPerSecond).toBeGreaterThan(0);
  expect(stdout).toContain("Everything adds up.");
  await access(summary.sample);
  await rm(dirname(summary.sample), { recursive: true });
});

test("a command line that cannot be understood is refused with what it may be", async () => {
  const failed = await run(process.execPath, [demo, "--recipients", "few"]).catch((error: unknown) => error);
  expect(failed).toMatchObject({ code: 2 });
  expect((failed as { stderr: string }).stderr).toContain("--recipients is a whole number from 200");
});
