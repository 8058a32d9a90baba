/**
 * The statistics server in a process of its own for bench/stat.ts: the module as it is (lease, snapshots, statistics, rules), on the database
 * that is given. Says its port, and what CPU it has taken whenever it is asked.
 *
 *     node bench/stat/server.ts <settings as JSON> <database URL>
 */
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { settingsSchema } from "../../src/config/settings.ts";
import { openSql } from "../../src/db/sql.ts";
import { start } from "../../src/stat/start.ts";

const [settings = "{}", url = ""] = process.argv.slice(2);
const sql = openSql(url, { poolSize: 4, name: "bench stat" });
const parsed = settingsSchema.parse(JSON.parse(settings));
const running = await start({
  settings: parsed,
  readSettings: () => parsed,
  log: { ...silentLog, error: (fields, text) => console.error(text, fields) },
  sql,
  clock: systemClock,
});
while (running.server.parts === null) await new Promise((resolve) => setTimeout(resolve, 10));
process.send?.({ port: running.port });

process.on("message", (asked) => {
  if (asked === "cpu") process.send?.({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss() });
});
process.on("disconnect", async () => {
  await running.drain();
  await sql.end({ timeout: 1 });
});
