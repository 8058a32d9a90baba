/**
 * From settlements to the ledger, in batches: what is settled goes to the journal at once (if its dot was written) and to the database with
 * the next flush; a part whose messages are all settled or given back is released. With the database away nothing is lost and nothing is
 * forgotten: the batch is tried again, the window (mta/intake.ts) bounds what can pile up here.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type PartRelease, releaseParts } from "../db/leases.ts";
import { type OutcomeRecord, recordOutcomes } from "../db/record.ts";
import type { Sql } from "../db/sql.ts";
import { volumeOfId } from "../db/volumes.ts";
import { EVENT_TYPES, statusNumber } from "../model/delivery.ts";
import type { Outcome } from "../model/outcome.ts";
import type { Settlement } from "../model/settle.ts";
import { type Held, type HeldPart, placeOf } from "./held.ts";
import type { Journal } from "./journal.ts";
import { blank, plain, recordOf } from "./outcome-record.ts";

/** Waits this long for company: a batch of one costs as much as a batch of twenty. */
const FLUSH_MS = 20;
const FLUSH_SIZE = 1000;
const RETRY_MS = [100, 200, 500, 1000, 2000, 5000];

export interface Recorder {
  settle(held: Held, outcome: Outcome, settlement: Extract<Settlement, { next: "record" }>): void;
  /** The message is excluded at the last moment: suppressed since it was accepted. */
  exclude(held: Held, reason: string): void;
  /** Gives a message back untouched; not to be looked at before `notBefore` (epoch ms, 0: at once). */
  giveBack(held: Held, notBefore: number): void;
  /** A part without a single message to send. */
  empty(part: HeldPart): void;
  /** Settled and not yet in the ledger. */
  readonly backlog: number;
  /** Resolves when everything known so far is in the ledger, or `signal` aborts. */
  flush(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface RecorderDeps {
  readonly sql: Sql;
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Journal;
  /** Called after each flush with the messages that left memory (their parts) and the parts that were released. */
  freed(messages: readonly HeldPart[], parts: readonly HeldPart[]): void;
  /** A flush found that this part is not ours any more. */
  lost(part: HeldPart): void;
}

interface Entry {
  readonly record: OutcomeRecord;
  readonly part: HeldPart;
}

export function openRecorder(deps: RecorderDeps): Recorder {
  const { sql, owner, clock, log, journal } = deps;
  const buffer: Entry[] = [];
  const done: HeldPart[] = [];
  let backlog = 0;
  let timer: Timer | null = null;
  let running = false;
  let failures = 0;
  let closed = false;
  const waiters: (() => void)[] = [];

  const idle = (): boolean => buffer.length === 0 && done.length === 0 && !running;

  function schedule(ms: number): void {
    if (closed || running) return;
    if (timer !== null) {
      if (ms > 0) return;
      timer.cancel();
    }
    timer = clock.after(ms, () => {
      timer = null;
      void run();
    });
  }

  async function run(): Promise<void> {
    if (running || closed) return;
    running = true;
    const batch = buffer.splice(0, FLUSH_SIZE);
    const byVolume = [...Map.groupBy(batch, (b) => volumeOfId(b.record.id))];
    try {
      while (byVolume[0] !== undefined) {
        await write(...byVolume[0]);
        byVolume.shift();
      }
      if (done.length > 0) await release(done.splice(0));
      if (failures > 0) log.info({ backlog: buffer.length }, "the ledger takes outcomes again");
      failures = 0;
    } catch (error) {
      buffer.unshift(...byVolume.flatMap(([, entries]) => entries));
      if (failures === 0) log.error({ err: error, backlog: buffer.length }, "outcomes cannot be recorded; they wait");
      failures++;
    }
    running = false;
    if (idle()) for (const call of waiters.splice(0)) call();
    else
      schedule(
        failures > 0
          ? (RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? 5000)
          : buffer.length >= FLUSH_SIZE
            ? 0
            : 5,
      );
  }

  async function write(volume: number, entries: readonly Entry[]): Promise<void> {
    const records = entries.map((e) => (failures >= 3 ? plain(e.record) : e.record));
    const ours = await recordOutcomes(sql, owner, volume, records);
    let refused = 0;
    for (const { part } of entries) {
      part.open--;
      if (!ours.has(part.claim.id)) {
        refused++;
        deps.lost(part);
      }
      if (part.open === 0) done.push(part);
    }
    backlog -= entries.length;
    journal.recorded(records.map((r) => r.id));
    if (refused > 0) log.warn({ refused }, "outcomes were refused: their parts belong to another mta now");
    deps.freed(
      entries.map((e) => e.part),
      [],
    );
  }

  async function release(parts: readonly HeldPart[]): Promise<void> {
    const releases: PartRelease[] = parts
      .filter((p) => !p.lost)
      .map((p) => ({
        id: p.claim.id,
        epoch: p.claim.epoch,
        notBefore: Number.isFinite(p.notBefore) ? Math.ceil(p.notBefore) : 0,
      }));
    try {
      const due = await releaseParts(sql, owner, releases);
      for (const part of parts) part.dueAt = due.get(part.claim.id) ?? Number.POSITIVE_INFINITY;
    } catch (error) {
      done.push(...parts);
      throw error;
    }
    deps.freed([], parts);
  }

  function add(held: Held, record: OutcomeRecord): void {
    journal.settled(record);
    backlog++;
    buffer.push({ record, part: held.part });
    schedule(buffer.length >= FLUSH_SIZE && failures === 0 ? 0 : FLUSH_MS);
  }

  return {
    settle(held, outcome, settlement) {
      add(held, recordOf(placeOf(held), outcome, settlement, clock.now()));
    },
    exclude(held, reason) {
      add(held, {
        ...blank(placeOf(held), clock.now()),
        to: statusNumber("excluded"),
        reason,
        event: EVENT_TYPES.indexOf("excluded"),
      });
    },
    giveBack(held, notBefore) {
      const { part } = held;
      part.open--;
      part.notBefore = Math.min(part.notBefore, notBefore);
      deps.freed([part], []);
      if (part.open === 0) {
        done.push(part);
        schedule(FLUSH_MS);
      }
    },
    empty(part) {
      done.push(part);
      schedule(FLUSH_MS);
    },
    get backlog() {
      return backlog;
    },
    flush(signal) {
      if (idle() || signal.aborted) return Promise.resolve();
      schedule(0);
      return new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        waiters.push(resolve);
      });
    },
    close() {
      closed = true;
      timer?.cancel();
      for (const call of waiters.splice(0)) call();
    },
  };
}
