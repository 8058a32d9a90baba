/**
 * What a leader leaves to the next one. Its counters and measures are saved in the name of its epoch: every few seconds, at its end, and
 * soon whenever the engine waits for it (it grants no more than a share beyond what is saved). Whoever leads next begins with them, and the
 * clients say in their hello what the last seconds brought.
 *
 * What cannot be saved is no reason to stop: it is said in the log once; the engine grants less, and the next leader learns the rest from
 * the clients.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Sql } from "../db/sql.ts";
import { loadSnapshot, saveSnapshot } from "../db/stat-snapshot.ts";

export interface Memory {
  readonly v: 1;
  /** Server ms. */
  readonly at: number;
  /** Members that were connected. */
  readonly members: readonly string[];
  readonly engine: unknown;
  readonly governor: unknown;
}

/** What the last leader saved, or null: nobody led, or another version wrote it. */
export async function loadMemory(sql: Sql, log: Log): Promise<Memory | null> {
  const saved = await loadSnapshot(sql);
  if (saved === null) return null;
  const body = saved.body as Partial<Memory> | null;
  if (body?.v === 1 && typeof body.at === "number" && Array.isArray(body.members)) return body as Memory;
  log.error(
    { epoch: saved.epoch },
    "the counters of the last leader cannot be read: quotas begin from what clients say",
  );
  return null;
}

export interface SavingDeps {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** null: nothing to save. */
  take(): Memory | null;
  /** False when another leads by now. */
  save(memory: Memory): Promise<boolean>;
  /** What was taken last is saved. */
  saved(): void;
  /** Another server leads by now. */
  refused(): void;
}

export interface Saving {
  /** Something changed since the last save. `soon`: somebody waits for the next one. */
  touch(soon: boolean): void;
  /** No more saves; one that is under way is awaited. */
  stop(): Promise<void>;
}

/** Between two saves that somebody waits for: each of them is the whole state as JSON. */
const SOON_MS = 100;

export function openSaving({ everyMs, clock, log, take, save, saved, refused }: SavingDeps): Saving {
  let touched = false;
  let stopped = false;
  let failing = false;
  let beganAt = Number.NEGATIVE_INFINITY;
  let under: Promise<void> | null = null;
  let timer: Timer | null = null;
  let dueAt = Infinity;

  function plan(at: number): void {
    // One that is under way is planned again when it is over: `touched` is true then.
    if (stopped || under !== null || at >= dueAt) return;
    timer?.cancel();
    dueAt = at;
    timer = clock.after(Math.max(0, at - clock.monotonic()), () => {
      dueAt = Infinity;
      under = run().finally(() => {
        under = null;
        if (touched) plan(beganAt + everyMs);
      });
    });
  }

  async function run(): Promise<void> {
    touched = false;
    beganAt = clock.monotonic();
    try {
      const memory = take();
      if (memory === null) return;
      const ours = await save(memory);
      failing = false;
      if (stopped) return;
      if (ours) saved();
      else refused();
    } catch (err) {
      touched = true;
      if (!failing) log.warn({ err }, "the counters cannot be saved; they are in memory and with the clients");
      failing = true;
    }
  }

  return {
    touch(soon) {
      touched = true;
      plan(beganAt + (soon ? SOON_MS : everyMs));
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await under;
    },
  };
}

/** False when another leads by now. */
export function saveMemory(sql: Sql, epoch: number, memory: Memory): Promise<boolean> {
  return saveSnapshot(sql, epoch, JSON.stringify(memory));
}
