/** One delivery from its suppressions to the judgement: submitted, sent, read by its pretend readers, and every account held against the other. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import type { Api } from "./api.ts";
import { readArrivals, readDoubted, readLedger } from "./books.ts";
import { judge, unexplained } from "./check.ts";
import { create, expectations, follow, letter, suppress, upload, variablesOf } from "./delivery.ts";
import { verifySamples } from "./dkim.ts";
import type { InternetProcess } from "./internet/process.ts";
import type { Options } from "./options.ts";
import { openProgress } from "./progress.ts";
import { holdAgainst, letThemRead } from "./readers/readers.ts";
import { askStat } from "./stat.ts";
import { summarise, table } from "./table.ts";
import type { Summary } from "./table.ts";
import type { Counters } from "../src/model/delivery.ts";

export interface Stage {
  readonly api: Api;
  readonly internet: InternetProcess;
  readonly options: Options;
  readonly folder: string;
  /** Base address of the redirection server. */
  readonly redirector: string;
  readonly say: (text: string) => void;
}

export async function deliver(stage: Stage, signal: AbortSignal): Promise<Summary> {
  const { api, internet, options, folder, redirector, say } = stage;
  const { recipients, seed } = options;
  const before = await suppress(api, seed);
  const id = await create(api);
  await submit(stage, id, before.size);
  const sending = await send(stage, id, signal);
  const { counters } = sending;

  say("\n  Finished. Readers open their mail; meanwhile the ledger is held against what the exchangers have …\n");
  const report = await internet.report(join(folder, "received"));
  const reading = letThemRead({
    base: redirector,
    seed,
    ...report.letters,
    html: letter().html,
    variablesOf: (address) => variablesOf(address, seed),
  });
  // Whoever waits for something else first must not leave an error that nobody has heard.
  reading.catch(() => {});
  const [ledger, arrivals] = [await readLedger(api, id), await readArrivals(report.file)];
  const doubted = await readDoubted(api, ledger, unexplained({ ledger, arrivals }));
  const judgement = judge({ expected: expectations(recipients, seed), ledger, arrivals, counters, doubted });
  const stat = await askStat(api, counters.sent);
  const { verified, failed } = await verifySamples(report.samples, internet.dns);
  const ids = new Map([...ledger].map(([address, booked]) => [address, booked.id]));
  const readers = await holdAgainst(api, id, await reading, { seed, ids, before });

  const sample = join(folder, "message.eml");
  if (report.samples[0] !== undefined) await copyFile(report.samples[0].file, sample);
  const summary = summarise({
    counters,
    judgement,
    report,
    dkimVerified: verified,
    dkimFailed: failed,
    seconds: sending.seconds,
    firstMessageMs: report.firstAt === 0 ? 0 : report.firstAt - sending.startedAt,
    sample,
    stat,
    readers,
  });
  say(table(summary, report));
  say(`  One message as it went out: ${sample}`);
  for (const complaint of summary.complaints) say(`  OFF: ${complaint}`);
  say(summary.ok ? "\n  Everything adds up." : "\n  Something is off.");
  return summary;
}

async function submit({ api, options, say }: Stage, id: number, suppressed: number): Promise<void> {
  const begun = performance.now();
  const uploaded = await upload(api, id, options.recipients, options.seed);
  const { accepted, duplicate, excluded } = uploaded;
  const took = ((performance.now() - begun) / 1000).toFixed(1);
  say(`  ${accepted} recipients accepted in ${took} s: ${excluded} excluded, ${duplicate} duplicate left out\n`);
  if (excluded !== suppressed || duplicate !== 1 || uploaded.invalid !== 0) {
    throw new Error(`the upload was answered ${JSON.stringify(uploaded)}, not ${suppressed} excluded and 1 duplicate`);
  }
}

interface Sent {
  readonly counters: Counters;
  /** Epoch ms. */
  readonly startedAt: number;
  readonly seconds: number;
}

async function send({ api, options }: Stage, id: number, signal: AbortSignal): Promise<Sent> {
  const startedAt = Date.now();
  const begun = performance.now();
  const progress = openProgress(process.stdout, options.recipients, startedAt);
  try {
    await api.call("POST", `/v1/deliveries/${id}/start`);
    const { counters } = await follow(api, id, (now) => progress.show(now), signal);
    return { counters, startedAt, seconds: (performance.now() - begun) / 1000 };
  } finally {
    progress.stop();
  }
}
