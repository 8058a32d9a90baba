/**
 * How well and how fast what comes back is understood, by the rules that come along.
 *
 *     npm run bench -- bounces [<folder of labelled mails and replies>] [--seconds 10]
 *
 * Without a folder only the speed is measured, with the project's own fixtures. Of labelled ones the held-back third is told apart: what rules were not
 * developed with. Speeds are those of whole cores, by the processor time that was taken: on a machine that others use, what the clock shows is theirs
 * too, and stands beside it.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { silentLog } from "../src/base/log.ts";
import { classifiedMail } from "../src/cli/bounce-classify.ts";
import { classifyReply } from "../src/cli/bounce-replies.ts";
import { loadBounceRules } from "../src/config/bounce-rules-file.ts";
import { openUnderstandPool } from "../src/inmail/understand-pool.ts";
import type { BounceTable } from "../src/model/bounce-rules.ts";
import type { BenchOptions } from "./bench.ts";
import { type Labelled, isHeldBack, readLabelled } from "./bounces/labelled.ts";
import {
  type Confusion,
  type Counts,
  type PredictedMail,
  mailFigures,
  percent,
  replyFigures,
  scoreMails,
  scoreReplies,
} from "./bounces/score.ts";
import { printTable, round } from "./table.ts";

const FIXTURES = join(import.meta.dirname, "../test/inmail/fixtures");
const BATCH = 64;
/** When there are no labelled ones. */
const REPLIES = [
  "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
  "452 4.2.2 The email account that you tried to reach is over quota. Please direct the recipient to https://example.com/?p=OverQuotaTemp",
  "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
  "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1",
  "550 Requested action not taken: something nobody has heard of",
];

export async function bounces(options: BenchOptions): Promise<Record<string, unknown>> {
  const labelled = readLabelled(options.places?.[0] ?? FIXTURES);
  const seconds = Number(options.values["seconds"] ?? (options.short ? 2 : 10));
  // No settings: the rules that come along, and nobody's own.
  const rules = loadBounceRules({ dataDir: join(import.meta.dirname, "none"), inmail: { rulesFile: "" } });
  const mailRun = await runMails(labelled, rules, seconds);
  const replyRun = runReplies(labelled, rules, seconds);
  const mails = labelled.mails.length > 0 ? showMails(labelled, mailRun.predicted) : null;
  const replies = labelled.replies.length > 0 ? showReplies(labelled, replyRun.predicted) : null;
  printTable(
    ["a second", "of whole cores", "by the clock"],
    [
      [`mails, ${mailRun.threads} cores`, Math.round(mailRun.speed.whole), Math.round(mailRun.speed.clock)],
      ["reply lines, one core", Math.round(replyRun.speed.whole), Math.round(replyRun.speed.clock)],
    ],
  );
  return {
    mails,
    replies,
    mailsPerSecond: Math.round(mailRun.speed.whole),
    repliesPerSecond: Math.round(replyRun.speed.whole),
    threads: mailRun.threads,
    rulesVersion: rules.version,
  };
}

interface Speed {
  /** A second of `cores` that do nothing else. */
  readonly whole: number;
  readonly clock: number;
}

/** Measures from now until it is told what was done. */
function openMeasure(cores: number): (done: number) => Speed {
  const cpu = process.cpuUsage();
  const began = performance.now();
  return (done) => {
    const { user, system } = process.cpuUsage(cpu);
    return { whole: (done * cores * 1e6) / (user + system), clock: done / ((performance.now() - began) / 1000) };
  };
}

async function runMails(
  { bytes }: Labelled,
  rules: BounceTable,
  seconds: number,
): Promise<{ predicted: Map<string, PredictedMail["results"]>; speed: Speed; threads: number }> {
  const pool = openUnderstandPool({ threads: availableParallelism(), log: silentLog, table: () => rules });
  const files = [...bytes];
  const batches = Array.from({ length: Math.ceil(files.length / BATCH) }, (_, i) =>
    files.slice(i * BATCH, (i + 1) * BATCH).map(([file, each]) => ({ file, bytes: each, envelope: "" })),
  );
  const predicted = new Map<string, PredictedMail["results"]>();
  const once = async (batch: (typeof batches)[number]): Promise<void> => {
    const understood = await pool.understand(batch);
    batch.forEach(({ file }, i) =>
      predicted.set(file, classifiedMail(file, understood[i] ?? { error: "no answer" }).results),
    );
  };
  // Once for the figures and to warm the threads up, then by the clock, two batches a thread at work.
  await Promise.all(batches.map(once));
  const measure = openMeasure(pool.threads);
  const until = performance.now() + seconds * 1000;
  let done = 0;
  let next = 0;
  const work = async (): Promise<void> => {
    while (performance.now() < until) {
      const batch = batches[next++ % batches.length] ?? [];
      await pool.understand(batch);
      done += batch.length;
    }
  };
  await Promise.all(Array.from({ length: pool.threads * 2 }, work));
  const speed = measure(done);
  await pool.close();
  return { predicted, speed, threads: pool.threads };
}

function runReplies(
  { replies }: Labelled,
  rules: BounceTable,
  seconds: number,
): { predicted: Map<string, { type: string; category: string }>; speed: Speed } {
  const predicted = new Map(replies.map(({ id, reply }) => [id, classifyReply(rules, id, reply)] as const));
  const lines = replies.length > 0 ? replies.map(({ reply }) => reply) : REPLIES;
  for (let i = 0; i < 20; i++) for (const line of lines) classifyReply(rules, "", line);
  const measure = openMeasure(1);
  const until = performance.now() + seconds * 500;
  let done = 0;
  while (performance.now() < until) {
    for (const line of lines) classifyReply(rules, "", line);
    done += lines.length;
  }
  return { predicted, speed: measure(done) };
}

function showMails(
  { mails }: Labelled,
  predicted: ReadonlyMap<string, PredictedMail["results"]>,
): Record<string, unknown> {
  const { all, corpora, confusion } = scoreMails(mails, predicted);
  const part = (held: boolean): Counts =>
    scoreMails(
      mails.filter(({ file }) => isHeldBack(file) === held),
      predicted,
    ).all;
  const heldBack = part(true);
  printTable(
    ["mails", "bounces", "detected %", "others", "false", "rows", "recipient %", "category %", "type %"],
    [
      ...[...corpora].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ["developed with", part(false)] as const,
      ["held back", heldBack] as const,
      ["all", all] as const,
    ].map(([name, c]) => mailRow(name, c)),
  );
  printConfusion("mails", confusion);
  return { ...mailFigures(all), heldBack: mailFigures(heldBack) };
}

function mailRow(name: string, c: Counts): (string | number)[] {
  const of = (part: number, whole: number): string => String(percent(part, whole) ?? "-");
  return [
    name,
    c.bounces,
    of(c.detected, c.bounces),
    c.negatives,
    c.falsePositives,
    c.rows,
    of(c.found, c.named),
    of(c.categoryLenient, c.rows),
    of(c.typeLenient, c.rows),
  ];
}

function showReplies(
  { replies }: Labelled,
  predicted: ReadonlyMap<string, { type: string; category: string }>,
): Record<string, unknown> {
  const part = (held: boolean): Counts =>
    scoreReplies(
      replies.filter(({ id }) => isHeldBack(id) === held),
      predicted,
    ).counts;
  const { counts, confusion } = scoreReplies(replies, predicted);
  const heldBack = part(true);
  printTable(
    ["replies", "lines", "category %", "type %"],
    (
      [
        ["developed with", part(false)],
        ["held back", heldBack],
        ["all", counts],
      ] as const
    ).map(([name, c]) => [
      name,
      c.rows,
      String(percent(c.categoryLenient, c.rows)),
      String(percent(c.typeLenient, c.rows)),
    ]),
  );
  printConfusion("replies", confusion);
  return { ...replyFigures(counts), heldBack: replyFigures(heldBack) };
}

/** What was said instead of what, most often first. */
function printConfusion(what: string, confusion: Confusion): void {
  const rows = [...confusion].toSorted(([, a], [, b]) => b - a);
  const wrong = rows.reduce((sum, [, count]) => sum + count, 0);
  printTable(
    [`${what}: labelled → said, ${wrong} wrong`, "times", "share %"],
    rows.map(([name, count]) => [name, count, round((100 * count) / wrong, 1)]),
  );
}
