/** The redirection server as the module starts it, in a process of its own: argv is its dataDir. Tells its parent the port. */
import { systemClock } from "../../src/base/clock.ts";
import { openLog } from "../../src/base/log.ts";
import { settingsSchema } from "../../src/config/settings.ts";
import { bareStart } from "../../src/redirector/start.ts";

const [dataDir = ""] = process.argv.slice(2);
const settings = settingsSchema.parse({
  dataDir,
  tracking: { url: "http://t.example.com" },
  redirector: { port: 0, web: "http://127.0.0.1:9", stopsMs: 3_600_000 },
});
const running = await bareStart({
  settings,
  clock: systemClock,
  log: openLog("redirector", { level: "error", pretty: false }),
});
process.send?.({ port: running.port });
// So that a profile of it is written.
process.on("SIGTERM", () => void running.drain().then(() => process.exit(0)));
process.on("disconnect", () => process.exit(0));
