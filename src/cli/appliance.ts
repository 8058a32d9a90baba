/** `postilion start` and `postilion run <module>`. */
import { join } from "node:path";
import { openLog } from "../base/log.ts";
import { findSettingsFile, loadSettings } from "../config/load.ts";
import { nearest } from "../config/nearest.ts";
import type { Settings } from "../config/settings.ts";
import { MODULES } from "../modules.ts";
import { logOptions, runService } from "../service.ts";
import { startAppliance } from "../watchdog/start.ts";
import { UsageError } from "./usage.ts";

/**
 * See base/threads.ts: the same for the main thread of each module. Not of the redirector: it holds nothing large, and what waits for the disk would be copied
 * about in a small one (4.5 µs a click instead of 1.5, measured).
 */
const NURSERY = ["--max-semi-space-size=4"];
const ROOMY = new Set(["redirector"]);

/** Runs every module as a child process until told to stop; the exit code. */
export async function start(config: string | undefined): Promise<number> {
  const settings = loadSettings(config, process.env);
  const main = join(import.meta.dirname, "..", "main.ts");
  const configArguments = config === undefined ? [] : ["--config", config];
  const rows = MODULES.toSorted((a, b) => a.runLevel - b.runLevel);
  return startAppliance({
    settings,
    log: openLog("watchdog", logOptions(settings)),
    modules: rows.map(({ name, processes }) => ({ name, processes: processes(settings) })),
    argumentsOf: (module, slot) => [
      ...process.execArgv,
      ...(ROOMY.has(module) ? [] : NURSERY),
      main,
      "run",
      module,
      "--slot",
      String(slot),
      ...configArguments,
    ],
    say: (text) => console.log(text),
  });
}

/** Runs one module in this process until told to stop; the exit code. */
export async function run(config: string | undefined, name: string, slot: number): Promise<number> {
  const row = MODULES.find((module) => module.name === name);
  if (row === undefined) {
    const names = MODULES.map((module) => module.name);
    const meant = nearest(name, names);
    throw new UsageError(
      `no module ${name}; ${meant === "" ? `there are: ${names.join(", ")}` : `did you mean ${meant}?`}`,
    );
  }
  // The same file again: should it be gone for a moment, another place's settings are not those of this process.
  const file = findSettingsFile(config, process.env);
  const readSettings = (): Settings => loadSettings(file, process.env);
  return runService({ name, slot, settings: readSettings(), readSettings, ...(await row.load()) });
}
