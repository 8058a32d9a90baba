/**
 * Reading what the last process of a slot left in its journal. A damaged line is passed over with a warning; a line without its end is a
 * write that was cut, whose fact did not happen, for the dot waits for the whole line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../base/log.ts";
import type { OutcomeRecord } from "../db/record.ts";
import type { Place } from "./held.ts";

/** What the journal of an ended process says. */
export interface JournalRest {
  /** Settled; the ledger may or may not have them. */
  readonly settled: readonly OutcomeRecord[];
  /** Intended and not settled. */
  readonly inDoubt: readonly Place[];
  /** False after a power cut: facts may be missing. */
  readonly complete: boolean;
}

export interface RestOptions {
  readonly boot: string;
  readonly sync: boolean;
  readonly log: Log;
}

/** The segments of a journal folder, oldest first. */
export function segmentNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".journal"))
    .sort();
}

/**
 * What the segments say. Complete only when there is at least one, each begins with a head of this boot (of any boot when every intent was
 * synced), and no line is damaged; a lost disk, a segment of length 0 or of NULs, as a power cut leaves them, is none.
 */
export function readRest(folder: string, names: readonly string[], options: RestOptions): JournalRest {
  const facts: Facts = { intents: new Map(), settled: new Map() };
  let complete = names.length > 0;
  for (const name of names) {
    const [head = "", ...lines] = readFileSync(join(folder, name), "utf8").split("\n");
    if (!isHead(head, options)) complete = false;
    // The last piece has no line end: a write that was cut, whose fact did not happen (the dot waits for the whole line).
    lines.pop();
    for (const line of lines) {
      if (take(line, facts)) continue;
      options.log.warn({ segment: name }, "a damaged line in the journal is passed over");
      complete = false;
    }
  }
  const { intents, settled } = facts;
  return { settled: [...settled.values()], inDoubt: [...intents.values()].filter((i) => !settled.has(i.id)), complete };
}

interface Facts {
  readonly intents: Map<number, Place>;
  readonly settled: Map<number, OutcomeRecord>;
}

/** False: the line makes no sense. */
function take(line: string, { intents, settled }: Facts): boolean {
  if (line === "") return true;
  const rest = line.slice(2);
  if (line.startsWith("I ")) {
    const numbers = rest.split(" ").map(Number);
    const [id = 0, partId = 0, epoch = 0, deliveryId = 0, status = 0, attempts = 0] = numbers;
    if (numbers.length !== 6 || !numbers.every(Number.isSafeInteger) || id <= 0) return false;
    intents.set(id, { id, partId, epoch, deliveryId, status, attempts });
    settled.delete(id);
    return true;
  }
  if (line.startsWith("R ")) return intents.delete(Number(rest)) || true;
  const record = line.startsWith("S ") ? parsed<OutcomeRecord>(rest) : null;
  if (record === null) return false;
  settled.set(record.id, record);
  return true;
}

function isHead(line: string, { boot, sync }: RestOptions): boolean {
  const head = parsed<{ journal?: number; boot?: string }>(line);
  return head?.journal === 1 && (sync || (boot !== "" && head.boot === boot));
}

function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}
