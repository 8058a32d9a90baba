/**
 * `npm run demo`: a newcomer watches one delivery go through. A pretend Internet comes up on loopback, the appliance beside it; a newsletter
 * is submitted through the public API, sent and read, and then the appliance's ledger is held against what the exchangers wrote down, and what it
 * counted against what the readers did.
 * Exit code 0: all is as it must be; 1: something is off, and it says what; 2: the command line was not understood.
 */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openApi } from "./api.ts";
import { makeSigningKey, startAppliance } from "./appliance.ts";
import { deliver } from "./deliver.ts";
import { CHARACTERS } from "./internet/characters.ts";
import { startInternet } from "./internet/process.ts";
import { parseOptions, USAGE } from "./options.ts";
import { settingsFor } from "./settings.ts";
import type { Options } from "./options.ts";
import type { Summary } from "./table.ts";
import { withReleasers } from "../src/base/releasers.ts";
import { chooseUser } from "../src/db/embedded/binaries.ts";
import { locate } from "../src/db/embedded/cluster.ts";
import { freePort } from "../test/support/free-port.ts";

/** For the whole demo: a quarter of an hour and 20 ms a recipient; a healthy one takes a fiftieth of that. */
const limitMs = (recipients: number): number => 900_000 + 20 * recipients;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) return (say(USAGE), 0);
  const interrupt = new AbortController();
  process.once("SIGINT", () => {
    process.stderr.write("\nStopping; once more to end at once.\n");
    process.once("SIGINT", () => process.exit(130));
    interrupt.abort(new Error("interrupted"));
  });
  process.once("SIGTERM", () => interrupt.abort(new Error("told to stop")));
  const ms = limitMs(options.recipients);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`it was not done in ${ms / 60_000} minutes`)), ms);
  try {
    const summary = await demo(options, AbortSignal.any([interrupt.signal, late.signal]));
    if (options.json) say(JSON.stringify(summary));
    return summary.ok ? 0 : 1;
  } catch (error) {
    if (interrupt.signal.aborted) return 130;
    process.stderr.write(`\nThe demo failed: ${(error as Error).message}\n`);
    return 1;
  } finally {
    clearTimeout(timer);
  }
}

/** Opens everything, runs it, closes everything. */
async function demo(options: Options, signal: AbortSignal): Promise<Summary> {
  const folder = await mkdtemp(join(tmpdir(), "postilion-demo-"));
  // The embedded PostgreSQL runs as a user of its own when we are root, and must get through.
  await chmod(folder, 0o755);
  return withReleasers(async (releasers) => {
    releasers.add(() => tidy(folder, options.keep));
    say(`Postilion demo: ${options.recipients} recipients, seed ${options.seed}\n`);
    const key = makeSigningKey();
    const record = { name: key.name, type: "TXT", text: key.record } as const;
    const internet = await startInternet(options.seed, options.recipients, [record]);
    releasers.add(() => internet.close());
    say(
      `  The pretend Internet is up: ${CHARACTERS.length} kinds of mail server, ${internet.hosts} exchangers, one name server`,
    );
    const begun = performance.now();
    const settings = settingsFor(folder, internet.dns, internet.port, await freePort());
    const appliance = await startAppliance({ folder, key, settings });
    releasers.add(() => appliance.close());
    say(`  The appliance is up: ${appliance.url}, in ${seconds(begun)} s`);
    const api = openApi(appliance.url, appliance.token);
    let summary: Summary;
    try {
      const work = deliver({ api, internet, options, folder, redirector: appliance.redirector, say }, signal);
      summary = await Promise.race([work, appliance.died, aborted(signal)]);
    } catch (error) {
      const trouble = await appliance.trouble();
      if (signal.aborted || trouble === "") throw error;
      throw new Error(`${(error as Error).message}\nThe appliance complained:\n${trouble}`, { cause: error });
    }
    await releasers.all();
    return summary;
  });
}

/** Everything but the one message, unless all of it is to stay. */
async function tidy(folder: string, keep: boolean): Promise<void> {
  if (keep) return say(`  Kept: ${folder}`);
  // As root, in a folder that PostgreSQL's user cannot enter, the database lives elsewhere.
  const database = locate(join(folder, "var"), chooseUser());
  if (database.moved) await rm(database.base, { recursive: true, force: true });
  const names = await readdir(folder);
  await Promise.all(
    names
      .filter((name) => name !== "message.eml")
      .map((name) => rm(join(folder, name), { recursive: true, force: true })),
  );
  if (!names.includes("message.eml")) await rm(folder, { recursive: true, force: true });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

process.exitCode = await main();
