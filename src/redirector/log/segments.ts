/**
 * The files of the tracking log: `segments/<16 hex digits>.log`, each named by the position of its first octet in the whole log. One is written, the
 * others are only read and removed. A process never appends to a file it did not begin: it cuts what a killed one left half-written
 * and begins the next. There is always a last file, be it empty: its name is how the log knows after years where it is.
 *
 * `bytes` of a segment are those that are synced. What a failed write may have left behind them is cut; where even that fails, the name of the
 * next segment says where this one ends.
 */
import { closeSync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, readSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Disk } from "./disk.ts";

export interface Segment {
  /** Position of its first octet. */
  readonly base: number;
  readonly path: string;
  bytes: number;
  /** Epoch ms of its beginning, and of its end; 0 while it is written. */
  readonly beganAt: number;
  endedAt: number;
}

export interface Segments {
  /** Oldest first. */
  readonly list: readonly Segment[];
  /** Position behind the last synced octet. */
  readonly end: number;
  /** Of all of them. */
  readonly bytes: number;
  /** Resolves when they are on the disk; rejects with what the file system says: then none of them counts. */
  append(bytes: Buffer): Promise<void>;
  /** Ends the segment that is written when it is old, so that it can be removed one day. */
  turn(): Promise<void>;
  /** Begins the segment this process writes, before there is anything to write. */
  begin(): Promise<void>;
  /** Removes one that is not written; where that fails it is forgotten all the same, and read again at the next start. */
  drop(segment: Segment): Promise<void>;
  close(): Promise<void>;
}

export interface SegmentsOptions {
  readonly folder: string;
  /** No record gets a position below: what was given out once is never given out as something else, whatever became of the files. */
  readonly least: number;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws what the file system says when the folder cannot be made or read. */
export function openSegments(options: SegmentsOptions): Segments {
  const { folder, disk, clock, log } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const list = readSegments(folder);
  const last = list.at(-1);
  if (last !== undefined) last.bytes = cutTail(last, log);
  let total = list.reduce((sum, segment) => sum + segment.bytes, 0);
  let fd = -1;

  const end = (): number => {
    const last = list.at(-1);
    return last === undefined ? options.least : last.base + last.bytes;
  };

  /** The segment that is written, opened. */
  async function current(): Promise<Segment> {
    const last = list.at(-1);
    if (fd >= 0 && last !== undefined) {
      if (last.bytes < options.segmentBytes && !isOld(last)) return last;
      await finish();
    }
    return begin();
  }

  async function begin(): Promise<Segment> {
    const last = list.at(-1);
    // An empty one at this very place: a quiet turn, or a disk that was full, left it.
    const empty = last !== undefined && last.bytes === 0 && last.base >= options.least ? list.pop() : undefined;
    const base = Math.max(end(), options.least);
    const path = join(folder, `${base.toString(16).padStart(16, "0")}.log`);
    const segment: Segment = { base, path, bytes: 0, beganAt: clock.now(), endedAt: 0 };
    try {
      fd = await disk.open(path, empty === undefined);
    } catch (error) {
      if (empty !== undefined) list.push(empty);
      throw error;
    }
    list.push(segment);
    // Before the first record in it is answered: a file without a name is not there after a power cut.
    await disk.syncFolder(folder).catch(async (error: unknown) => {
      await finish();
      throw error;
    });
    return segment;
  }

  /** Nothing more goes into the segment that is written. */
  async function finish(): Promise<void> {
    const last = list.at(-1);
    if (last !== undefined) last.endedAt = clock.now();
    const done = fd;
    fd = -1;
    if (done >= 0)
      await disk.close(done).catch((err: unknown) => log.warn({ err }, "a segment was not closed cleanly"));
  }

  const isOld = (segment: Segment): boolean => clock.now() - segment.beganAt >= options.segmentMs;

  async function append(bytes: Buffer): Promise<void> {
    const segment = await current();
    try {
      await disk.append(fd, bytes);
    } catch (error) {
      await finish();
      await disk
        .truncate(segment.path, segment.bytes)
        .catch((err: unknown) => log.warn({ err, path: segment.path }, "half a record stays at the end of a segment"));
      throw error;
    }
    segment.bytes += bytes.length;
    total += bytes.length;
  }

  async function turn(): Promise<void> {
    const last = list.at(-1);
    if (last === undefined || last.bytes === 0 || !isOld(last)) return;
    await finish();
    await begin();
  }

  /** What changes the segment that is written is done one after the other. */
  let before: Promise<unknown> = Promise.resolve();
  function inTurn(work: () => Promise<void>): Promise<void> {
    const done = before.then(work);
    before = done.catch(() => {});
    return done;
  }

  return {
    list,
    get end() {
      return end();
    },
    get bytes() {
      return total;
    },
    append: (bytes) => inTurn(() => append(bytes)),
    turn: () => inTurn(turn),
    begin: () => inTurn(async () => void (fd < 0 && (await begin()))),
    async drop(segment) {
      list.splice(list.indexOf(segment), 1);
      total -= segment.bytes;
      await disk
        .unlink(segment.path)
        .catch((err: unknown) => log.warn({ err, path: segment.path }, "a segment cannot be removed"));
    },
    close: () => inTurn(finish),
  };
}

function readSegments(folder: string): Segment[] {
  const list = readdirSync(folder)
    .filter((name) => /^[0-9a-f]{16}\.log$/.test(name))
    .sort()
    .map((name): Segment => {
      const path = join(folder, name);
      const { size, mtimeMs, birthtimeMs } = statSync(path);
      const beganAt = Math.min(birthtimeMs || mtimeMs, mtimeMs);
      return { base: Number.parseInt(name, 16), path, bytes: size, beganAt, endedAt: mtimeMs };
    })
    .filter(({ base }) => Number.isSafeInteger(base));
  list.forEach((segment, i) => {
    const next = list[i + 1];
    if (next !== undefined) segment.bytes = Math.min(segment.bytes, next.base - segment.base);
  });
  return list;
}

const PIECE = 65_536;
const LF = 10;

/**
 * Cuts what stands behind the last line end of a file somebody may have been killed at, and syncs the rest: a record may have been written and not
 * synced, and is given out from now on. How many octets it has then.
 */
function cutTail({ path, bytes }: Segment, log: Log): number {
  let fd: number;
  try {
    fd = openSync(path, "r+");
  } catch (err) {
    log.warn({ err, path }, "the last segment of the tracking log cannot be opened; it is given out as it is");
    return bytes;
  }
  let whole = 0;
  try {
    const piece = Buffer.allocUnsafe(PIECE);
    for (let from = bytes; from > 0 && whole === 0;) {
      const at = Math.max(0, from - PIECE);
      const got = readSync(fd, piece, 0, from - at, at);
      whole = at + piece.subarray(0, got).lastIndexOf(LF) + 1;
      if (whole === at) whole = 0;
      from = at;
    }
    if (whole < bytes) {
      ftruncateSync(fd, whole);
      log.info({ path, octets: bytes - whole }, "half a record at the end of the tracking log was cut");
    }
    fdatasyncSync(fd);
  } catch (err) {
    log.warn({ err, path }, "the end of the tracking log could not be put in order");
  } finally {
    closeSync(fd);
  }
  return whole;
}
