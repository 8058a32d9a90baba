/**
 * The folder of the tracking log: one process uses it; it has the log's own name, and what the last process knew of how far it was pulled.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Fault } from "../../base/faults.ts";
import { lockFolder } from "../../base/folder-lock.ts";
import type { Log } from "../../base/log.ts";
import { openSegments, type Segments, type SegmentsOptions } from "./segments.ts";

export interface LogFolder {
  readonly id: string;
  /** Everything before was pulled, as the last process knew. */
  readonly position: number;
  readonly segments: Segments;
}

/** Faults: TRACKING_LOG_UNWRITABLE. @param unlock called when it fails */
export function openLogFolder(options: Omit<SegmentsOptions, "least">, unlock: () => void): LogFolder {
  const { folder, log } = options;
  try {
    const known = identify(folder, log);
    const segments = openSegments({ ...options, folder: join(folder, "segments"), least: known.position });
    return { ...known, segments };
  } catch (error) {
    unlock();
    throw new Fault("TRACKING_LOG_UNWRITABLE", folder, error);
  }
}

/** One process a log. Faults: TRACKING_LOG_UNWRITABLE, TRACKING_LOG_LOCKED. */
export function lockLog(folder: string, log: Log): () => void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const held = lockFolder(folder);
    if ("heldBy" in held) throw new Fault("TRACKING_LOG_LOCKED", `${folder} is held by process ${held.heldBy}`);
    return held.unlock;
  } catch (error) {
    if (error instanceof Fault) throw error;
    const full = ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");
    // A redirection server that starts on a full disk redirects; what it needs was made when there was room.
    if (!full || !existsSync(join(folder, "log.id"))) throw new Fault("TRACKING_LOG_UNWRITABLE", folder, error);
    log.error({ folder, err: error }, "the folder of the tracking log is full; it is used without a lock");
    return () => {};
  }
}

function identify(folder: string, log: Log): { readonly id: string; readonly position: number } {
  const path = join(folder, "log.id");
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8").trim() : "");
  const known = read(path);
  if (/^[0-9a-f]{32}$/.test(known)) {
    const position = Number(read(join(folder, "pulled")));
    return { id: known, position: Number.isSafeInteger(position) && position > 0 ? position : 0 };
  }
  const id = randomBytes(16).toString("hex");
  write(`${path}.new`, `${id}\n`);
  renameSync(`${path}.new`, path);
  log.info({ folder, id }, "a tracking log is born");
  return { id, position: 0 };
}

function write(path: string, text: string): void {
  const fd = openSync(path, "w", 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Throws what the file system says. */
export function notePulled(folder: string, position: number): void {
  // Not synced: it saves a false alarm, and a position that was given out from being given to something else; no more.
  writeFileSync(join(folder, "pulled.new"), `${position}\n`, { mode: 0o600 });
  renameSync(join(folder, "pulled.new"), join(folder, "pulled"));
}
