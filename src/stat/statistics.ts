/**
 * Statistics of paths (public id × site × exchanger address): the last minute and the last hour in twelve periods for who looks now, and every
 * period in the database for who asks later (spec modules.md §16.8, 18.2, 18.3).
 *
 * Memory is bounded: a path that was silent for an hour is forgotten, and of more than `mostPaths` the one that was silent longest; what
 * of it was not written yet is handed to the outbox first. A server that takes the lead goes on with the periods in the database.
 */
import { setImmediate as breathe } from "node:timers/promises";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { PathPeriod } from "../db/path-statistics.ts";
import { harmless } from "../model/harmless.ts";
import { said } from "../model/said.ts";
import type { Counts } from "../quota/answers.ts";
import type { PathReport, ReplySample } from "../quota/messages.ts";
import { openOutbox } from "./statistics/outbox.ts";
import { openPaths, PERIOD_MS, PERIODS, type PathState } from "./statistics/paths.ts";
import {
  addCounts,
  addSlots,
  addValues,
  countsOf,
  emptyValues,
  type Slot,
  slotAt,
  sumRing,
} from "./statistics/ring.ts";

const HOUR_MS = 3_600_000;
/** How often what changed is written: what a server that dies takes along. */
const WRITE_MS = 60_000;
/** How long rows stay in the database, and how many go at once. */
const KEPT_MS = 30 * 24 * HOUR_MS;
const FORGET_ROWS = 20_000;
const MOST_PATHS = 20_000;
const REPLY_CHARACTERS = 300;
const AT_ONCE = 200;

/** A path now. */
export interface PathLive {
  readonly publicId: number;
  readonly site: string;
  readonly mx: string;
  readonly ip: string;
  readonly minute: Counts;
  readonly hour: Counts;
  readonly lastReply: string;
  readonly lastReplyAt: number;
}

export interface Statistics {
  /** What a member reports. Nothing in it is believed but its numbers. */
  observe(paths: readonly PathReport[], replies: readonly ReplySample[], now: number): void;
  /** Names of the sites with a path. */
  sites(): Iterable<string>;
  /** Names of those whose first exchanger this is. */
  sitesBeginning(first: string): Iterable<string>;
  /** Names of at most so many sites, those that were told of last. */
  recentSites(most: number): string[];
  /** Paths of a site; none: it is not known. */
  paths(site: string, now: number): PathLive[];
  /** The last hour of a site, the oldest period first. */
  slots(site: string, now: number): { readonly at: number; readonly counts: Counts }[];
  /** Hands everything that changed to the database; never rejects. */
  write(): Promise<void>;
  readonly size: number;
  /** Everything observed since it was opened, all paths together. */
  readonly totals: Counts;
  /** Writes what is left, if the database takes it now. */
  close(): Promise<void>;
}

export interface StatisticsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly mostPaths?: number;
  /** Upserts (db/path-statistics.ts); rejects when the database is away. */
  writeRows(rows: readonly PathPeriod[]): Promise<void>;
  /** Rows from `since` on: read once, at the start. */
  readRows(since: number, limit: number): Promise<readonly PathPeriod[]>;
  forgetRows(before: number, limit: number): Promise<number>;
}

/** Takes up what the database knows of the last hour; without an answer it begins with nothing. */
export async function openStatistics(deps: StatisticsDeps): Promise<Statistics> {
  const { clock, log, mostPaths = MOST_PATHS } = deps;
  const outbox = openOutbox({ clock, log, write: (rows) => deps.writeRows(rows) });

  const paths = openPaths(mostPaths, collect);

  function toOutbox(path: PathState, slot: Slot): void {
    slot.dirty = false;
    const { publicId, site, mx, ip } = path;
    outbox.put({
      ...countsOf(slot.values),
      period: slot.number * PERIOD_MS,
      publicId,
      site,
      mx,
      ip,
      // A reply belongs to the period in which it came.
      lastReply: Math.floor(path.lastReplyAt / PERIOD_MS) === slot.number ? path.lastReply : "",
    });
  }

  function collect(path: PathState): void {
    for (const slot of path.hour.slots) if (slot?.dirty === true) toOutbox(path, slot);
  }

  function restore(rows: readonly PathPeriod[]): void {
    // The newest period last: it decides the last reply and how long a path was silent.
    for (const row of rows.toSorted((a, b) => a.period - b.period)) {
      const path = paths.get(row, row.period);
      const slot = slotAt(path.hour, row.period, () => {});
      addCounts(slot, row);
      slot.dirty = false;
      if (row.lastReply === "") continue;
      path.lastReply = harmless(row.lastReply, REPLY_CHARACTERS);
      path.lastReplyAt = row.period;
    }
  }

  const oldest = (Math.floor(clock.now() / PERIOD_MS) - PERIODS + 1) * PERIOD_MS;
  try {
    restore(await deps.readRows(oldest, mostPaths));
  } catch (error) {
    log.warn({ err: error }, "the statistics of the last hour cannot be read; they begin anew");
  }

  const live = (path: PathState, now: number): PathLive => {
    const minute = emptyValues();
    const hour = emptyValues();
    sumRing(path.minute, now, minute);
    sumRing(path.hour, now, hour);
    const { publicId, site, mx, ip, lastReply, lastReplyAt } = path;
    return { publicId, site, mx, ip, minute: countsOf(minute), hour: countsOf(hour), lastReply, lastReplyAt };
  };

  const totals = emptyValues();
  let timer: Timer | null = null;
  let forgetAt = clock.monotonic() + HOUR_MS / 2;
  /** The server's time as last told, and when: this machine's own clock may be put forward, and would forget what is new. */
  let told = clock.now();
  let toldAt = clock.monotonic();
  const serverNow = (): number => told + clock.monotonic() - toldAt;
  let closed = false;

  async function write(): Promise<void> {
    let count = 0;
    // As they are now: one that is told of meanwhile moves to the end, and would be met again for ever.
    const all = Array.from(paths.all());
    for (const path of all) {
      collect(path);
      // 20,000 paths take 100 ms: whoever waits for a grant does not wait for them.
      if (++count % AT_ONCE === 0) await breathe();
    }
    paths.forgetSilent(serverNow() - HOUR_MS);
    await outbox.flush();
  }

  async function forgetOld(): Promise<void> {
    if (clock.monotonic() < forgetAt) return;
    forgetAt = clock.monotonic() + HOUR_MS;
    try {
      while (!closed && (await deps.forgetRows(serverNow() - KEPT_MS, FORGET_ROWS)) === FORGET_ROWS);
    } catch (error) {
      log.warn({ err: error }, "old statistics are not deleted yet");
    }
  }

  function plan(): void {
    if (closed) return;
    timer = clock.after(WRITE_MS, () => void write().then(forgetOld).then(plan));
  }
  plan();

  return {
    observe(reports, replies, now) {
      told = now;
      toldAt = clock.monotonic();
      for (const report of reports) {
        const path = paths.get(report, now);
        addCounts(
          slotAt(path.hour, now, (slot) => toOutbox(path, slot)),
          report,
        );
        addCounts(
          slotAt(path.minute, now, () => {}),
          report,
        );
        addValues(totals, report);
      }
      for (const reply of replies) {
        const path = paths.get(reply, now);
        path.lastReply = harmless(said(reply), REPLY_CHARACTERS);
        path.lastReplyAt = now;
        slotAt(path.hour, now, (slot) => toOutbox(path, slot)).dirty = true;
      }
    },
    sites: () => paths.sites(),
    sitesBeginning: (first) => paths.beginning(first),
    recentSites: (most) => [...new Set([...paths.all()].slice(-most).map((path) => path.site))],
    paths: (site, now) => [...paths.of(site)].map((path) => live(path, now)),
    slots(site, now) {
      const sums = Array.from({ length: PERIODS }, emptyValues);
      for (const path of paths.of(site)) addSlots(path.hour, now, sums);
      const first = Math.floor(now / PERIOD_MS) - PERIODS + 1;
      return sums.map((values, i) => ({ at: (first + i) * PERIOD_MS, counts: countsOf(values) }));
    },
    write,
    get size() {
      return paths.size;
    },
    get totals() {
      return countsOf(totals);
    },
    async close() {
      closed = true;
      timer?.cancel();
      for (const path of paths.all()) collect(path);
      await outbox.close();
    },
  };
}
