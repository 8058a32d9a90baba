/**
 * The identity of an mta: a random id in the file `id` of its journal folder, made once. A process that starts anew on the same journal is
 * the same mta; one with another journal is another, whatever its name, and must not take up what it cannot know (src/db/owners.ts).
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../base/faults.ts";

/** Call with the journal's lock held. Faults: JOURNAL_UNWRITABLE. */
export function identityOf(folder: string): string {
  const path = join(folder, "id");
  try {
    const known = read(path);
    // A file that was cut short is made anew: that costs a wait of one lease.
    if (/^[0-9a-f-]{36}\n$/.test(known)) return known.trim();
    const identity = randomUUID();
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(path, `${identity}\n`, { mode: 0o600, flush: true });
    return identity;
  } catch (error) {
    throw new Fault("JOURNAL_UNWRITABLE", path, error);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
