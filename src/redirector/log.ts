/**
 * The tracking log of a redirection server: what hits were, on disk before they are answered, until the tracking workflow has pulled them. Records are
 * appended by groups (log/writer.ts) to segment files (log/segments.ts), read from a position on (log/reader.ts), and removed when
 * they were pulled and are old, or when the bound leaves no choice (log/retention.ts).
 *
 *     <folder>/log.id      the log's own random name: a folder that was wiped is another log
 *     <folder>/pulled      position before which everything was pulled, as far as somebody noted it down
 *     <folder>/segments/   the records
 */
import { dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Disk, realDisk } from "./log/disk.ts";
import { lockLog, notePulled, openLogFolder } from "./log/folder.ts";
import { type Piece, readPiece } from "./log/reader.ts";
import { isNearBound, spareable, toDrop } from "./log/retention.ts";
import { openWaits } from "./log/waits.ts";
import { type Done, type Writer, openWriter } from "./log/writer.ts";

export interface TrackingLog {
  readonly id: string;
  /** `line` ends with LF; `done` is told whether it is on the disk. */
  append(line: string, done: Done): void;
  /** Records from a position on; null for one that was never given out in this log's life. */
  read(after: number, mostRecords: number): Promise<Piece | null>;
  /** Where to go on for whoever has such a position: the folder was put back from a copy, and what is behind it was not in the copy. */
  readonly resume: number;
  /** Everything before was pulled, and may be removed. */
  pulled(position: number): void;
  /** Resolves when there is something behind the position, or after `ms`, or when the signal aborts; at once when too many wait. */
  wait(after: number, ms: number, signal: AbortSignal): Promise<void>;
  /** Calls all who wait, and lets nobody wait any more. */
  release(): void;
  readonly facts: LogFacts;
  /** Never rejects. */
  close(): Promise<void>;
}

export interface LogFacts {
  readonly state: Writer["state"];
  /** Octets of all segments, and of them those nobody has pulled yet. */
  readonly bytes: number;
  readonly unpulled: number;
  /** Hits that could not be written since this process began: never fewer than before, */
  readonly lost: number;
  /** and those the disk holds up. */
  readonly undecided: number;
  /** Octets that were removed before anybody pulled them, since this process began. */
  readonly dropped: number;
  /** The bound is near: what nobody has pulled will have to be removed. */
  readonly alarm: boolean;
}

export interface TrackingLogOptions {
  readonly folder: string;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly logBytes: number;
  readonly keepMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** After each group. */
  readonly wrote: (group: { readonly records: number; readonly octets: number; readonly ms: number }) => void;
  /** For tests. */
  readonly disk?: Disk;
}

const SWEEP_MS = 10_000;
const SHOUT_MS = 60_000;
/** A workflow asks again within a minute. */
const UNPULLED_MS = 10 * 60_000;
/** Of the bound; so that removing the oldest segment is never removing all. */
const SEGMENT_SHARE = 8;

/** Faults: TRACKING_LOG_UNWRITABLE, TRACKING_LOG_LOCKED. */
export async function openTrackingLog(options: TrackingLogOptions): Promise<TrackingLog> {
  const { folder, clock, log, disk = realDisk } = options;
  const segmentBytes = Math.max(1, Math.min(options.segmentBytes, Math.floor(options.logBytes / SEGMENT_SHARE)));
  const unlock = lockLog(folder, log);
  const { id, position, segments } = openLogFolder({ ...options, segmentBytes, disk }, unlock);
  const waits = openWaits(clock);
  let pulled = position;
  let noted = position;
  const began = Math.max(segments.end, position);
  /** What processes before gave out ends where this one began. */
  let given = began;
  let dropped = 0;
  let shoutedAt = Number.NEGATIVE_INFINITY;
  let askedAt = clock.monotonic();
  /** When it was said last that nobody asks. */
  let missedAt = askedAt;
  let tidying: Promise<void> = Promise.resolve();

  const unpulled = (): number => Math.max(0, segments.end - Math.max(pulled, segments.list[0]?.base ?? 0));
  const alarm = (): boolean => isNearBound(unpulled(), options);

  const writer = openWriter({
    write: (bytes) => segments.append(bytes),
    clock,
    log,
    wrote(group) {
      waits.grown(segments.end);
      options.wrote(group);
      if (segments.bytes + segmentBytes > options.logBytes) tidy(segmentBytes);
    },
    // Whatever it was: room is what helps most often.
    failed: () => spare(),
  });

  /** One at a time; never rejects. */
  function tidy(room: number): void {
    tidying = tidying.then(async () => {
      const { drop, unpulled } = toDrop(segments.list, options, pulled, clock.now(), room);
      dropped += unpulled;
      if (unpulled > 0)
        log.error({ octets: unpulled, dropped }, "the tracking log is full: hits nobody has pulled are removed");
      for (const segment of drop) await segments.drop(segment);
    });
  }

  function spare(): void {
    tidying = tidying.then(async () => {
      const segment = spareable(segments.list, pulled);
      if (segment !== undefined) await segments.drop(segment);
    });
  }

  function shout(): void {
    const now = clock.monotonic();
    if (unpulled() > 0 && now - Math.max(askedAt, missedAt) >= UNPULLED_MS) {
      missedAt = now;
      log.error(
        { unpulled: unpulled(), sinceMs: Math.round(now - askedAt) },
        "nobody pulls the tracking log: hits are not counted, and who unsubscribed goes on getting mail",
      );
    }
    if (!alarm() || now - shoutedAt < SHOUT_MS) return;
    shoutedAt = now;
    log.error(
      { unpulled: unpulled(), most: options.logBytes },
      "the tracking log is nearly full and nobody pulls it: the oldest hits will be removed unless the workflow module comes for them",
    );
  }

  function note(): void {
    if (noted === pulled) return;
    try {
      notePulled(folder, pulled);
      noted = pulled;
    } catch (err) {
      log.debug({ err }, "what was pulled is not noted down");
    }
  }

  let timer: Timer = clock.after(SWEEP_MS, sweep);
  function sweep(): void {
    segments.turn().catch((err: unknown) => log.warn({ err }, "no new segment can be begun"));
    tidy(0);
    shout();
    note();
    timer = clock.after(SWEEP_MS, sweep);
  }

  try {
    await segments.begin();
    // What was made just now has names that a power cut could take away with all that is in it.
    for (const path of [folder, dirname(folder)]) await disk.syncFolder(path);
  } catch (err) {
    log.error({ err }, "the tracking log cannot be written yet");
  }
  return {
    id,
    append: writer.append,
    async read(after, mostRecords) {
      askedAt = clock.monotonic();
      if (after > given) return null;
      const piece = await readPiece(segments, disk, after, mostRecords);
      given = Math.max(given, piece.next);
      return piece;
    },
    get resume() {
      return Math.max(began, pulled);
    },
    pulled(at) {
      if (at > pulled && at <= segments.end) pulled = at;
    },
    wait: (after, ms, signal) => waits.wait(after < segments.end ? 0 : ms, after, signal),
    release: () => waits.close(),
    facts: {
      get state() {
        return writer.state;
      },
      get bytes() {
        return segments.bytes;
      },
      get unpulled() {
        return unpulled();
      },
      get lost() {
        return writer.lost;
      },
      get undecided() {
        return writer.undecided;
      },
      get dropped() {
        return dropped;
      },
      get alarm() {
        return alarm();
      },
    },
    async close() {
      timer.cancel();
      waits.close();
      await writer.close();
      // A hung disk has its own time; the process does not wait for it.
      if (writer.state !== "hung") {
        await segments.close();
        await tidying;
      }
      note();
      unlock();
    },
  };
}
