/** Runs `runService` for test/service.test.ts: argv is what the module does, the database's address, and a journal. */
import { appendFileSync } from "node:fs";
import { sleep } from "../src/base/clock.ts";
import { Fault } from "../src/base/faults.ts";
import { parseSettings } from "../src/config/settings.ts";
import { type RunningModule, type ServiceContext, runService } from "../src/service.ts";

const [does = "", url = "", journal = ""] = process.argv.slice(2);
const note = (text: string): void => appendFileSync(journal, `${text}\n`);

async function start({ sql, signal }: ServiceContext): Promise<RunningModule> {
  if (does === "fault") throw new Fault("PORT_TAKEN", "127.0.0.1:25");
  if (does === "bug") throw new TypeError("undefined is not a function");
  note("start");
  if (does === "crash") setTimeout(() => void Promise.reject(new Error("nobody caught this")), 50);
  signal.addEventListener("abort", () => note("abort"));
  return {
    port: 25,
    async drain() {
      // The pool is still there: what is in flight has to be recorded.
      const [row] = await sql<{ one: number }[]>`select 1 as one`;
      note(`drain ${row?.one}`);
      if (does === "stuck") await sleep(600_000);
    },
  };
}

const settings = parseSettings({ database: { url, poolSize: 1 }, log: { pretty: "never" } });
process.exit(await runService({ name: "play", slot: 3, settings, readSettings: () => settings, start }));
