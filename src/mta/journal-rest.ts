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

export function readRest(folder: string, names: readonly string[], options: RestOptions): JournalRest {
  const intents = new Map<number, Place>();
  const settled = new Map<number, OutcomeRecord>();
  let complete = true;
  for (const name of names) {
    const lines = readFileSync(join(folder, name), "utf8").split("\n");
    // The last piece has no line end: a write that was cut, whose fact did not happen (the dot waits for the whole line).
    lines.pop();
    for (const line of lines) {
      if (line.startsWith("I ")) {
        const [id = 0, partId = 0, epoch = 0, deliveryId = 0, status = 0, attempts = 0] = line
          .slice(2)
          .split(" ")
          .map(Number);
        if (!Number.isSafeInteger(id) || id <= 0) continue;
        intents.set(id, { id, partId, epoch, deliveryId, status, attempts });
        settled.delete(id);
      } else if (line.startsWith("S ")) {
        const record = parseRecord(line.slice(2));
        if (record === null) options.log.warn({ segment: name }, "a damaged line in the journal is passed over");
        else settled.set(record.id, record);
      } else if (line.startsWith("{")) {
        const head = JSON.parse(line) as { boot?: string };
        if (!options.sync && (options.boot === "" || head.boot !== options.boot)) complete = false;
      }
    }
  }
  return { settled: [...settled.values()], inDoubt: [...intents.values()].filter((i) => !settled.has(i.id)), complete };
}

function parseRecord(text: string): OutcomeRecord | null {
  try {
    return JSON.parse(text) as OutcomeRecord;
  } catch {
    return null;
  }
}
