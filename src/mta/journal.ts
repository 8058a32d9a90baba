/**
 * The journal: what this mta was about to do, written before it does it. `intend` writes a line before the final dot of a message
 * leaves, `settled` one when its answer was read; so after a `kill -9` the next process of this slot knows exactly which messages are
 * in doubt (intended, not settled), which have an outcome the ledger may not know yet, and that all others were never sent.
 *
 * write(2) is enough for that: the page cache outlives the process. A power cut loses it, so the head of each segment names the boot; when
 * that differs and `sync` is off, the reader says the journal is not complete and everything unrecorded counts as in doubt.
 *
 * Segments `<number>.journal`, one line a fact, append only, removed when the ledger has everything in them:
 *     {"journal":1,"owner":…,"boot":…}          head
 *     I <message id> <part id> <epoch> <delivery id> <status> <attempts>
 *     S <json of the outcome record>
 *     R <message id>                           the intent is taken back
 */
import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../base/faults.ts";
import { type FolderLock, lockFolder } from "../base/folder-lock.ts";
import type { Log } from "../base/log.ts";
import type { OutcomeRecord } from "../db/record.ts";
import type { Place } from "./held.ts";
import { type JournalRest, readRest, segmentNames } from "./journal-rest.ts";

const SEGMENT_BYTES = 4 * 1024 * 1024;
const PAUSE_MS = 1;

export interface Journal {
  /** Resolves when it is written, within a millisecond or two; false: the disk refused, nothing may be sent now. */
  intend(intent: Place): Promise<boolean>;
  settled(record: OutcomeRecord): void;
  /** Writes what waits, now. False while the disk refuses. */
  flush(): boolean;
  /** What was intended did not happen: nothing of it left, or it is tried again under an intent of its own. */
  retract(id: number): void;
  /** The ledger has these: their lines are no longer needed. */
  recorded(ids: Iterable<number>): void;
  /** Messages of which the journal still holds an intent. */
  readonly open: number;
  /** False while the disk refuses; `probe` tries again. */
  readonly writable: boolean;
  probe(): boolean;
  close(): void;
}

export interface JournalOptions {
  readonly folder: string;
  readonly owner: string;
  /** Identity of this boot of the machine; '' when unknown. */
  readonly boot: string;
  readonly sync: boolean;
  readonly log: Log;
  /** For tests: stands in for write(2). */
  readonly write?: (fd: number, text: string) => void;
}

/** Writes the whole text or throws; a short write (disk full in the middle) is completed or throws at its next turn. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  let at = 0;
  while (at < bytes.length) at += writeSync(fd, bytes, at);
}

interface Segment {
  readonly path: string;
  open: number;
}

/** Opens the journal of a slot, with what its last process left. Throws Fault JOURNAL_LOCKED or JOURNAL_UNWRITABLE. */
export function openJournal(options: JournalOptions): { journal: Journal; rest: JournalRest; forget: () => void } {
  const { folder, log } = options;
  const write = options.write ?? writeAll;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Fault("JOURNAL_UNWRITABLE", folder, error);
  }
  const unlock = lock(folder);
  const old = segmentNames(folder);
  const rest = readRest(folder, old, options);
  let number = Number.parseInt(old.at(-1) ?? "0", 10);
  const home = new Map<number, Segment>();
  let current: Segment = { path: "", open: 0 };
  let fd = -1;
  let bytes = 0;
  let writable = true;
  let closed = false;
  let planned = false;
  let flushedAt = 0;
  let notes = "";
  let intents: { id: number; line: string; resolve: (ok: boolean) => void }[] = [];

  function startSegment(): void {
    // Counted before it is made: a segment that a full disk left without its head is never opened again.
    number++;
    const path = join(folder, `${String(number).padStart(10, "0")}.journal`);
    const next = openSync(path, "ax", 0o600);
    try {
      write(next, `${JSON.stringify({ journal: 1, owner: options.owner, boot: options.boot })}\n`);
      if (options.sync) syncFile(next, folder);
    } catch (error) {
      closeSync(next);
      unlinkSync(path);
      throw error;
    }
    const before = current;
    if (fd >= 0) closeSync(fd);
    fd = next;
    bytes = 0;
    current = { path, open: 0 };
    if (before.path !== "" && before.open === 0) drop(before.path);
  }

  function append(line: string, sync: boolean): boolean {
    try {
      if (fd < 0 || bytes > SEGMENT_BYTES) startSegment();
      write(fd, line);
      bytes += line.length;
      if (sync) fdatasyncSync(fd);
      if (!writable) log.info({ folder }, "the journal can be written again");
      writable = true;
    } catch (error) {
      // What was cut short stays at the end of its segment, where the reader drops it; the next line opens a new one.
      if (writable) log.error({ folder, err: error }, "the journal cannot be written: nothing is sent until it can");
      writable = false;
      if (fd >= 0) closeSync(fd);
      fd = -1;
      clear(current);
    }
    return writable;
  }

  /** Many lines are one write: a write each cost a third of this process (15 µs twice a message). */
  function flush(): boolean {
    planned = false;
    flushedAt = performance.now();
    if (intents.length === 0 && notes === "") return writable;
    const batch = intents;
    intents = [];
    const ok = append(notes + batch.map(({ line }) => line).join(""), options.sync && batch.length > 0);
    // An outcome that could not be written is tried again with the next ones; nothing is sent until then.
    if (ok) notes = "";
    for (const { id, resolve } of batch) {
      if (ok && !home.has(id)) {
        home.set(id, current);
        current.open++;
      }
      resolve(ok);
    }
    return ok;
  }

  /** Nothing of this message is needed any more; with the last one its segment goes. */
  function leave(id: number): void {
    const segment = home.get(id);
    if (segment === undefined) return;
    home.delete(id);
    segment.open--;
    clear(segment);
  }

  /** Removes a segment nobody needs and nobody writes: on a disk the journal itself has filled, that is the room for the next one. */
  function clear(segment: Segment): void {
    if (segment.open > 0 || segment.path === "" || (segment === current && fd >= 0)) return;
    drop(segment.path);
    if (segment === current) current = { path: "", open: 0 };
  }

  function plan(): void {
    if (planned) return;
    planned = true;
    // At once when it is quiet; under load once a millisecond, for a write costs what ten messages cost.
    if (performance.now() - flushedAt >= PAUSE_MS) setImmediate(flush);
    else setTimeout(flush, PAUSE_MS);
  }

  const journal: Journal = {
    intend({ id, partId, epoch, deliveryId, status, attempts }) {
      const line = `I ${id} ${partId} ${epoch} ${deliveryId} ${status} ${attempts}\n`;
      plan();
      return new Promise((resolve) => intents.push({ id, line, resolve }));
    },
    settled(record) {
      if (!home.has(record.id)) return;
      notes += `S ${JSON.stringify(record)}\n`;
      plan();
    },
    retract(id) {
      if (!home.has(id)) return;
      notes += `R ${id}\n`;
      plan();
      leave(id);
    },
    flush,
    recorded(ids) {
      for (const id of ids) leave(id);
    },
    get open() {
      return home.size;
    },
    get writable() {
      return writable;
    },
    probe: () => append("\n", false),
    close() {
      if (closed) return;
      flush();
      closed = true;
      if (fd >= 0) closeSync(fd);
      unlock();
    },
  };
  function drop(path: string): void {
    try {
      unlinkSync(path);
    } catch (error) {
      // A segment too many is read again at the next start and says nothing new.
      log.warn({ path, err: error }, "a segment of the journal cannot be removed");
    }
  }

  // The head of this process, before anything is claimed: an empty folder is no journal, it is one that was lost.
  append("\n", false);
  /** Removes the segments of the last process: call when the ledger has all that `rest` says. */
  const forget = (): void => {
    for (const name of old) drop(join(folder, name));
  };
  return { journal, rest, forget };
}

/** The file and its name in the folder: a file without a name is not there after a power cut. */
function syncFile(fd: number, folder: string): void {
  fsyncSync(fd);
  const parent = openSync(folder, "r");
  fsyncSync(parent);
  closeSync(parent);
}

/** One process a journal: two would each think the other's messages were never sent. */
function lock(folder: string): () => void {
  let held: FolderLock;
  try {
    held = lockFolder(folder);
  } catch (error) {
    throw new Fault("JOURNAL_UNWRITABLE", folder, error);
  }
  if ("heldBy" in held) throw new Fault("JOURNAL_LOCKED", `${folder} is held by process ${held.heldBy}`);
  return held.unlock;
}

/** Identity of this boot of the machine; '' where the system does not tell. */
export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
