/**
 * Counts what TLS came to and writes it to the database every few seconds, in one statement. Counts, not a ledger: what a killed process had
 * not written is lost, and a batch whose answer was lost may count twice.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { harmless } from "../../model/harmless.ts";
import type { TlsResult } from "../../model/tls-result.ts";

export interface TlsResults {
  count(result: Omit<TlsResult, "day" | "sessions">): void;
  /** Writes what is counted. Never rejects. */
  flush(): Promise<void>;
  /** Writes the rest. */
  close(): Promise<void>;
}

const FLUSH_MS = 10_000;
/** Different rows at once; more are dropped and their number is logged. */
const ROWS_LIMIT = 20_000;
const BATCH = 1_000;
const TEXT_LIMIT = 300;

export function openTlsResults(
  add: (results: readonly TlsResult[]) => Promise<void>,
  clock: Clock,
  log: Log,
): TlsResults {
  let rows = new Map<string, TlsResult>();
  let dropped = 0;
  let timer: Timer | null = null;
  let closed = false;
  let writing = Promise.resolve();

  function put(row: TlsResult): void {
    const { day, domain, policyType, mx, sendingIp, receivingIp, result } = row;
    const key = [day, domain, policyType, mx, sendingIp, receivingIp, result].join(" ");
    const known = rows.get(key);
    if (known === undefined && rows.size >= ROWS_LIMIT) dropped += row.sessions;
    else rows.set(key, known === undefined ? row : { ...row, sessions: row.sessions + known.sessions });
  }

  function plan(): void {
    if (!closed) timer ??= clock.after(FLUSH_MS, () => void flush());
  }

  function flush(): Promise<void> {
    timer?.cancel();
    timer = null;
    writing = writing.then(write);
    return writing;
  }

  async function write(): Promise<void> {
    if (dropped > 0) log.warn({ sessions: dropped }, "too many results of TLS at once: some are not counted");
    dropped = 0;
    const all = [...rows.values()];
    rows = new Map();
    for (let i = 0; i < all.length; i += BATCH) {
      try {
        await add(all.slice(i, i + BATCH));
      } catch (error) {
        log.debug({ err: error, rows: all.length - i }, "results of TLS are not written yet");
        // Older ones under those that came meanwhile.
        for (const row of all.slice(i)) put(row);
        return plan();
      }
    }
  }

  return {
    count(result) {
      const day = new Date(clock.now()).toISOString().slice(0, 10);
      put({ ...result, reason: harmless(result.reason, TEXT_LIMIT), day, sessions: 1 });
      plan();
    },
    flush,
    close() {
      closed = true;
      return flush();
    },
  };
}
