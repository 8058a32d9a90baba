/** Runs `startAppliance` for test/watchdog/start.test.ts: argv is the data folder, the journal, and the programs as `name=program`. */
import { openLog } from "../../src/base/log.ts";
import { exitCodeOf, told } from "../../src/base/exit.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { startAppliance } from "../../src/watchdog/start.ts";
import { type Program, argumentsOf } from "./programs.ts";

const [dataDir = "", journal = "", ...pairs] = process.argv.slice(2);
const programs = new Map(pairs.map((pair) => pair.split("=") as [string, Program]));

try {
  const code = await startAppliance({
    settings: parseSettings({ dataDir, tokenKeyFile: `${dataDir}/keys/token.json` }),
    modules: [...programs.keys()].map((name) => ({ name, processes: 1 })),
    argumentsOf: (name) => argumentsOf(programs.get(name) ?? "broken", name, journal),
    log: openLog("watchdog", { level: "info", pretty: false }),
    say: (text) => console.log(text),
  });
  process.exit(code);
} catch (error) {
  console.error(told(error));
  process.exit(exitCodeOf(error));
}
