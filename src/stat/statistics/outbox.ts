/**
 * Rows on their way to the database. Each is the whole of its path and period so far, so a newer one takes the place of an older one that
 * still waits, and one whose commit was not answered is simply written again. While the database is away they are kept, up to a bound;
 * beyond it the oldest periods go, and the log and a metric say so.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { openBackoff } from "../../base/backoff.ts";
import type { Log } from "../../base/log.ts";
import type { PathPeriod } from "../../db/path-statistics.ts";

export interface Outbox {
  put(row: PathPeriod): void;
  /** Writes what waits; never rejects. */
  flush(): Promise<void>;
  readonly waiting: number;
  /** Rows that were given up since the start. */
  readonly dropped: number;
  /** Tries once more, and no longer than a statement takes. */
  close(): Promise<void>;
}

export interface OutboxDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Writes all of them or rejects. */
  write(rows: readonly PathPeriod[]): Promise<void>;
  /** Rows that may wait, 0.4 KB each: four hours of 2,000 paths, 25 minutes of 20,000. */
  readonly most?: number;
}

const MOST = 100_000;
const BATCH = 1_000;

export function openOutbox({ clock, log, write, most = MOST }: OutboxDeps): Outbox {
  /** In the order in which periods began to wait: the first is the oldest. */
  const rows = new Map<string, PathPeriod>();
  const backoff = openBackoff({ firstMs: 1_000, maxMs: 60_000 });
  let running: Promise<void> | null = null;
  let timer: Timer | null = null;
  let dropped = 0;
  let toldDropped = 0;
  let failing = false;
  let closed = false;

  const keyOf = (row: PathPeriod): string => `${row.period} ${row.publicId} ${row.ip} ${row.site}`;

  function bound(): void {
    for (const key of rows.keys()) {
      if (rows.size <= most) break;
      rows.delete(key);
      dropped++;
    }
  }

  function tellDropped(): void {
    if (dropped === toldDropped) return;
    log.error({ rows: dropped - toldDropped, most }, "statistics of paths were given up: the database takes none");
    toldDropped = dropped;
  }

  /** A batch, or (when the database does not like what is in it) each of its rows alone: one bad row must not keep the rest for ever. */
  async function writeBatch(batch: readonly (readonly [string, PathPeriod])[]): Promise<void> {
    try {
      await write(batch.map(([, row]) => row));
    } catch (error) {
      if (!isAboutData(error) || batch.length === 0) throw error;
      if (batch.length === 1) {
        dropped++;
        log.error({ err: error, site: batch[0]![1].site }, "the database refuses the statistics of a path");
      } else for (const one of batch) await writeBatch([one]);
    }
    for (const [key, row] of batch) if (rows.get(key) === row) rows.delete(key);
  }

  async function run(): Promise<void> {
    try {
      while (rows.size > 0) {
        const batch: (readonly [string, PathPeriod])[] = [];
        for (const entry of rows) if (batch.push(entry) === BATCH) break;
        await writeBatch(batch);
      }
      if (failing) log.info({}, "statistics of paths are written again");
      failing = false;
      backoff.reset();
    } catch (error) {
      if (!failing) log.warn({ err: error, waiting: rows.size }, "statistics of paths cannot be written yet");
      failing = true;
      tellDropped();
      timer?.cancel();
      if (!closed) timer = clock.after(backoff.next(), () => void flush());
    }
  }

  function flush(): Promise<void> {
    running ??= run().finally(() => (running = null));
    return running;
  }

  return {
    put(row) {
      rows.set(keyOf(row), row);
      if (rows.size > most) bound();
    },
    flush,
    get waiting() {
      return rows.size;
    },
    get dropped() {
      return dropped;
    },
    async close() {
      closed = true;
      timer?.cancel();
      await running;
      await flush();
      dropped += rows.size;
      rows.clear();
      tellDropped();
    },
  };
}

/** SQLSTATE classes: data exception, integrity, program limit (an index row too large): writing the same again fails again. */
function isAboutData(error: unknown): boolean {
  return /^(22|23|54)/.test(String((error as { code?: unknown }).code ?? ""));
}
