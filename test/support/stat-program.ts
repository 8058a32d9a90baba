/** The program of test/support/stat-process.ts: the module stat on a database, until it is told to end or killed. */
import { systemClock } from "../../src/base/clock.ts";
import { openLog } from "../../src/base/log.ts";
import { settingsSchema } from "../../src/config/settings.ts";
import { openSql } from "../../src/db/sql.ts";
import { start } from "../../src/stat/start.ts";

const [settings = "{}", url = ""] = process.argv.slice(2);
const sql = openSql(url, { poolSize: 3, name: "test stat" });
const log = openLog("stat", { level: "info", pretty: false });
const parsed = settingsSchema.parse(JSON.parse(settings));
const running = await start({ settings: parsed, readSettings: () => parsed, log, sql, clock: systemClock });
process.send?.({ port: running.port });

const end = async (): Promise<void> => {
  await running.drain();
  await sql.end({ timeout: 1 });
  process.exit(0);
};
process.on("SIGTERM", () => void end());
process.on("disconnect", () => void end());
