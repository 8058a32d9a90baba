/**
 * `postilion bounce classify`: what mails are and what they say of each recipient, by the bounce rules in force. Files, or folders with everything below
 * them. Needs no database. Threads do the work by batches; lines come in the order of the files.
 */
import { closeSync, fstatSync, openSync, readSync, readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join, relative } from "node:path";
import { EXIT } from "../base/exit.ts";
import { silentLog } from "../base/log.ts";
import { loadBounceRules } from "../config/bounce-rules-file.ts";
import { loadSettings } from "../config/load.ts";
import { type UnderstandPool, openUnderstandPool } from "../inmail/understand-pool.ts";
import type { UnderstoodMail } from "../inmail/understand.worker.ts";
import { BYTES_MOST } from "../inmail/mime/split.ts";
import { harmless } from "../model/harmless.ts";
import { categoryOf } from "../model/verdict.ts";
import { openLinesOut } from "./lines-out.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage.ts";

const BATCH = 64;

/** A mail as it is printed with --json; `error` instead of the rest when nothing could be made of it. */
export interface ClassifiedMail {
  /** Relative to the folder given; of a file its name. */
  readonly file: string;
  readonly kind: string;
  readonly results: readonly ClassifiedResult[];
  readonly error?: string;
}

interface ClassifiedResult {
  readonly recipient: string | null;
  readonly finalRecipient?: string;
  readonly action: string;
  readonly type: string;
  readonly category: string;
  readonly reason: string;
  readonly scope: string;
  readonly status: string;
  readonly replyCode: string;
  readonly text: string;
  readonly rule: string;
  readonly rulesVersion: string;
}

/** Prints them; the exit code: 1 when something could not be read or understood. Faults: SETTINGS_*, RULES_INVALID. */
export async function bounceClassify(
  config: string | undefined,
  places: readonly string[],
  json: boolean,
): Promise<number> {
  const rules = loadBounceRules(loadSettings(config, process.env));
  const files = places.flatMap(filesIn);
  const pool = openUnderstandPool({
    threads: Math.min(availableParallelism(), Math.ceil(files.length / BATCH) || 1),
    log: silentLog,
    table: () => rules,
  });
  const out = openLinesOut();
  const rows: string[][] = [["file", "kind", "recipient", "type", "category", "rule", "text"]];
  let bad = 0;
  // As many batches at work as threads, and one that waits for each.
  const waiting: Promise<ClassifiedMail[]>[] = [];
  let next = 0;
  try {
    while (next < files.length || waiting.length > 0) {
      while (next < files.length && waiting.length < pool.threads * 2) {
        waiting.push(classify(files.slice(next, next + BATCH), pool));
        next += BATCH;
      }
      for (const mail of (await waiting.shift()) ?? []) {
        if (mail.error !== undefined) bad++;
        if (!json) rows.push(...rowsOf(mail));
        else if (!(await out.print(JSON.stringify(mail)))) return EXIT.ok;
      }
    }
    if (!json) await out.print(table(rows).join("\n"));
  } finally {
    await Promise.allSettled(waiting);
    await pool.close();
  }
  return bad > 0 ? EXIT.fault : EXIT.ok;
}

interface MailFile {
  readonly path: string;
  readonly name: string;
}

function filesIn(place: string): MailFile[] {
  try {
    if (!statSync(place).isDirectory()) return [{ path: place, name: basename(place) }];
    return readdirSync(place, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => ({ path, name: relative(place, path) }));
  } catch (error) {
    throw new UsageError(`${place} cannot be read: ${(error as Error).message}`);
  }
}

type Read = { readonly bytes: Uint8Array; readonly envelope: string } | { readonly error: string };

async function classify(files: readonly MailFile[], pool: UnderstandPool): Promise<ClassifiedMail[]> {
  const read = files.map(({ path }) => readMail(path));
  const understood = await pool.understand(read.flatMap((each) => ("bytes" in each ? [each] : [])));
  let at = 0;
  return files.map(({ name }, i) => {
    const each = read[i] ?? { error: "not read" };
    return classifiedMail(name, "error" in each ? each : (understood[at++] ?? { error: "no answer" }));
  });
}

/** No more of it than is looked at, and one octet by which the rest is known to be there. */
function readMail(path: string): Read {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.allocUnsafe(Math.min(fstatSync(file).size, BYTES_MOST + 1));
      return { bytes: bytes.subarray(0, readSync(file, bytes)), envelope: "" };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return { error: (error as Error).message };
  }
}

export function classifiedMail(file: string, mail: UnderstoodMail): ClassifiedMail {
  if ("error" in mail) return { file, kind: "", results: [], error: mail.error };
  return {
    file,
    kind: mail.kind,
    results: mail.results.map(({ recipient, finalRecipient, action, verdict, status, replyCode, text }) => ({
      recipient: recipient === "" ? null : recipient,
      ...(finalRecipient !== "" && { finalRecipient }),
      action,
      type: verdict.type,
      category: categoryOf(verdict.reason),
      reason: verdict.reason,
      scope: verdict.scope,
      status,
      replyCode,
      text,
      rule: verdict.rule,
      rulesVersion: verdict.version,
    })),
  };
}

function rowsOf({ file, kind, results, error }: ClassifiedMail): string[][] {
  if (error !== undefined) return [[harmless(file, 60), "?", "", "", "", "", harmless(error, 100)]];
  if (results.length === 0) return [[harmless(file, 60), kind, "", "", "", "", ""]];
  return results.map(({ recipient, type, category, rule, text }) => [
    harmless(file, 60),
    kind,
    harmless(recipient ?? "?", 60),
    type,
    category,
    rule,
    harmless(text, 80),
  ]);
}
