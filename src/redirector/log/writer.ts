/**
 * The group sync: records that come while one group is on its way to the disk form the next one, so a sync serves as many hits as came during the
 * last. Whoever handed in a record is told when it is on the disk, or at once that it will not be.
 *
 * *idle* until a record comes; *planned* until the end of this turn of the event loop, so that everything read in it goes along; *writing*. A write
 * that takes longer than 5 s is *hung*: its records and all that come are answered without waiting, those that come are lost. A write that fails makes
 * it *refused* for a moment: what comes is lost at once; then the next record tries again. A reader is never kept waiting by a broken disk.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";

export type Done = (durable: boolean) => void;

export interface Writer {
  /** `line` ends with LF. */
  append(line: string, done: Done): void;
  readonly state: "ok" | "hung" | "refused";
  /** Records that could not be written since this process began, */
  readonly lost: number;
  /** and those that hang, and may be written after all. */
  readonly undecided: number;
  /** Writes what waits. Never rejects; a hung disk is not waited for longer than it may hang. */
  close(): Promise<void>;
}

export interface WriterOptions {
  /** One call at a time. */
  readonly write: (bytes: Buffer) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** After each group. */
  readonly wrote: (group: { readonly records: number; readonly octets: number; readonly ms: number }) => void;
  /** The disk said no. */
  readonly failed: (error: unknown) => void;
}

export const HANG_MS = 5_000;
/** How long after a refusal the disk is not asked again. */
export const PAUSE_MS = 250;
/** Records that may wait for the next group; more than any number of connections brings in the time a disk may hang. */
const MOST_WAITING = 100_000;
const SHOUT_MS = 60_000;

export function openWriter(options: WriterOptions): Writer {
  const { clock, log } = options;
  let lines: string[] = [];
  let dones: Done[] = [];
  /** Records of the group that hung: lost or not, nobody knows yet. */
  let undecided = 0;
  let lost = 0;
  let planned = false;
  let writing: Promise<void> | null = null;
  /** The group that is being written. */
  let current: { readonly group: readonly Done[]; readonly began: number } | null = null;
  let watching: Timer | null = null;
  let hung = false;
  let refusedUntil = 0;
  let closed = false;
  let shoutedAt = Number.NEGATIVE_INFINITY;

  function lose(records: number, why: object): void {
    lost += records;
    if (clock.monotonic() - shoutedAt < SHOUT_MS) return;
    shoutedAt = clock.monotonic();
    log.error({ ...why, lost }, "the tracking log cannot be written: readers are served, their hits are lost");
  }

  function plan(): void {
    if (planned || writing !== null || dones.length === 0) return;
    planned = true;
    setImmediate(flush);
  }

  function flush(): void {
    planned = false;
    if (writing !== null || dones.length === 0) return;
    const group = dones;
    const bytes = Buffer.from(lines.join(""), "utf8");
    dones = [];
    lines = [];
    const began = clock.monotonic();
    current = { group, began };
    watch();
    writing = options
      .write(bytes)
      .then(
        () => {
          refusedUntil = 0;
          if (!hung) tell(group, true);
          else log.info({ records: group.length }, "the disk of the tracking log answers again");
          options.wrote({ records: group.length, octets: bytes.length, ms: clock.monotonic() - began });
        },
        (error: unknown) => {
          refusedUntil = clock.monotonic() + PAUSE_MS;
          // Those of a group that hung were told so already.
          if (!hung) tell(group, false);
          lose(group.length, { err: error });
          giveUp({ err: error });
          options.failed(error);
        },
      )
      .finally(() => {
        current = null;
        hung = false;
        undecided = 0;
        writing = null;
        plan();
      });
  }

  /** One timer for all groups there are: it looks again when the group at work began later than it thought. */
  function watch(): void {
    watching ??= clock.after(HANG_MS, look);
  }

  function look(): void {
    watching = null;
    if (current === null || hung) return;
    const left = current.began + HANG_MS - clock.monotonic();
    if (left > 0) watching = clock.after(left, look);
    else hang(current.group);
  }

  function hang(group: readonly Done[]): void {
    hung = true;
    undecided = group.length;
    tell(group, false);
    lose(0, { waitedMs: HANG_MS });
    giveUp({ waitedMs: HANG_MS });
  }

  /** Whoever waits for the next group waits no longer. */
  function giveUp(why: object): void {
    const waiting = dones;
    dones = [];
    lines = [];
    tell(waiting, false);
    if (waiting.length > 0) lose(waiting.length, why);
  }

  return {
    append(line, done) {
      if (hung || closed || dones.length >= MOST_WAITING || (refusedUntil > 0 && clock.monotonic() < refusedUntil)) {
        lose(1, { state: hung ? "hung" : "refused" });
        return done(false);
      }
      lines.push(line);
      dones.push(done);
      plan();
    },
    get state() {
      return hung ? "hung" : refusedUntil > 0 ? "refused" : "ok";
    },
    get lost() {
      return lost;
    },
    get undecided() {
      return undecided;
    },
    async close() {
      while (dones.length > 0 || writing !== null) {
        if (hung) break;
        flush();
        const late = Promise.withResolvers<void>();
        const timer = clock.after(HANG_MS, late.resolve);
        await Promise.race([writing, late.promise]);
        timer.cancel();
      }
      closed = true;
      watching?.cancel();
    },
  };
}

function tell(group: readonly Done[], durable: boolean): void {
  for (const done of group) done(durable);
}
