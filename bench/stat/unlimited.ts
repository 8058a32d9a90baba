/**
 * The appliance with an mta that asks nobody: everything is granted at once, 20 connections to a site. What stat costs a delivery is
 * measured against it. Called like src/main.ts: `--config FILE start`, and by itself `run <module> --slot N --config FILE`.
 */
import { parseArgs } from "node:util";
import { openLog } from "../../src/base/log.ts";
import { loadSettings } from "../../src/config/load.ts";
import { BUILT_IN } from "../../src/model/mx-rules.ts";
import type { Limits, Traffic } from "../../src/model/traffic.ts";
import { MODULES } from "../../src/modules.ts";
import { start as startMta } from "../../src/mta/start.ts";
import { logOptions, runService } from "../../src/service.ts";
import { startAppliance } from "../../src/watchdog/start.ts";

const LIMITS: Limits = {
  ...BUILT_IN,
  rule: "none",
  connections: 20,
  messagesPerConnection: 1_000_000,
  tls: "disabled",
};

const unlimited: Traffic = {
  connection(_lane, [exchanger], _urgent, signal) {
    if (signal.aborted || exchanger === undefined) return Promise.resolve(null);
    return Promise.resolve({
      exchanger,
      limits: LIMITS,
      revoked: false,
      messages: (wanted) => wanted,
      unused() {},
      close() {},
    });
  },
  hold: () => null,
  observe() {},
  onChange() {},
  tellLanes() {},
  close() {},
};

const { values, positionals } = parseArgs({
  options: { config: { type: "string" }, slot: { type: "string", default: "0" } },
  allowPositionals: true,
});
const [command, name = ""] = positionals;
const settings = loadSettings(values.config, process.env);

async function runModule(): Promise<number> {
  const row = MODULES.find((module) => module.name === name);
  if (row === undefined) throw new Error(`no module ${name}`);
  const readSettings = (): typeof settings => loadSettings(values.config, process.env);
  const service = { name, slot: Number(values.slot), settings, readSettings };
  if (name !== "mta") return runService({ ...service, ...(await row.load()) });
  return runService({ ...service, start: (context) => startMta({ ...context, traffic: unlimited }) });
}

process.exitCode =
  command === "start"
    ? await startAppliance({
        settings,
        log: openLog("watchdog", logOptions(settings)),
        modules: MODULES.filter((row) => row.name !== "stat").map((row) => ({
          name: row.name,
          processes: row.processes(settings),
        })),
        argumentsOf: (module, slot) => [
          "--max-semi-space-size=4",
          import.meta.filename,
          "run",
          module,
          "--slot",
          String(slot),
          ...(values.config === undefined ? [] : ["--config", values.config]),
        ],
        say() {},
      })
    : await runModule();
