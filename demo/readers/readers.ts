/**
 * The pretend readers of the demo: those whose letters the exchangers have kept whole read them, and then it is waited until all they did is
 * counted, and held against it.
 */
import { open } from "node:fs/promises";
import { sleep } from "../../src/base/clock.ts";
import type { Api } from "../api.ts";
import type { KeptLetter } from "../internet/letters.ts";
import { BROWSERS, household } from "./agents.ts";
import { type Net, openNet } from "./browse.ts";
import { judgeReaders, type ReadersJudgement } from "./check.ts";
import { hasCounted, readCounted } from "./counted.ts";
import { type Letter, readLetter } from "./letter.ts";
import { type Made, nothingMade } from "./made.ts";
import { openReader } from "./reader.ts";
import { behave } from "./roles.ts";
import { leadsOf } from "./template.ts";
import { drawsOf, rolesOf } from "./who.ts";

export interface ReadersOptions {
  /** Base address of the redirection server. */
  readonly base: string;
  readonly seed: number;
  /** The file of letters and what is in it. */
  readonly file: string;
  readonly kept: readonly KeptLetter[];
  /** As it was submitted. */
  readonly html: string;
  variablesOf(address: string): Readonly<Record<string, string | number>>;
}

/** What an hour of a workflow that hangs would be spared. */
const PATIENCE_MS = 60_000;
/** Classes may be corrected once more when it is known when a message was sent. */
const SETTLE_MS = 15_000;

/** Resolves when all of them are done. */
export async function letThemRead(options: ReadersOptions): Promise<Made> {
  const made = nothingMade();
  const net = openNet();
  try {
    const letters = await readLetters(options);
    const roles = rolesOf([...letters.keys()], options.seed);
    // Nobody reads a letter while it is still on its way: a redirection server's workflow takes who does for a machine (model/visitor.ts).
    await sleep(2500);
    await Promise.all(
      [...letters].map(([address, letter]) => {
        const leads = leadsOf(options.html, options.variablesOf(address));
        const reader = openReader(net, letter, leads, options.base, made);
        return behave(roles.get(address)!, reader, drawsOf(address, options.seed));
      }),
    );
    await sayTheEnd(net, options);
  } finally {
    net.close();
  }
  return made;
}

/** Waits until everything is counted, and judges. */
export async function holdAgainst(
  api: Api,
  deliveryId: number,
  made: Made,
  { seed, ids, before }: { seed: number; ids: ReadonlyMap<string, number>; before: ReadonlySet<string> },
): Promise<ReadersJudgement> {
  if (!(await hasCounted(api, endOf(seed), PATIENCE_MS)))
    made.wrong.push(`what readers did was not counted within ${PATIENCE_MS / 1000} s`);
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    const judgement = judgeReaders({ made, counted: await readCounted(api, deliveryId), ids, before });
    if (judgement.complaints.length === 0 || Date.now() > until) return judgement;
    await sleep(500);
  }
}

async function readLetters({ file, kept }: ReadersOptions): Promise<Map<string, Letter>> {
  const letters = new Map<string, Letter>();
  if (kept.length === 0) return letters;
  const handle = await open(file);
  try {
    for (const { to, at, bytes } of kept) {
      const raw = Buffer.alloc(bytes);
      await handle.read(raw, 0, bytes, at);
      letters.set(to, await readLetter(to, raw));
    }
  } finally {
    await handle.close();
  }
  return letters;
}

/** The tag of the last hit of all: the log is read in order. */
function endOf(seed: number): string {
  return `the end of demo ${seed}`;
}

async function sayTheEnd(net: Net, { base, seed }: ReadersOptions): Promise<void> {
  const shop = { agent: BROWSERS[0], address: household(seed) };
  await net.ask(shop, "GET", `${base}/t?tag=${encodeURIComponent(endOf(seed))}`);
}
