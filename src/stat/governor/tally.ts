/**
 * Counts over a sliding time, by key: how many attempts, errors, matching replies there were in the last so many minutes. A time is cut in
 * slots; what falls out of it goes slot by slot, so a count is never of more than the asked time and misses at most one slot of it. The
 * number of keys is bounded: the one that was longest silent makes room, so a flood of names costs memory once and old names nothing.
 */
export interface TallyOptions {
  readonly spanMs: number;
  readonly slots: number;
  /** Counts side by side under one key. */
  readonly width: number;
  readonly most: number;
}

export interface Tally {
  readonly size: number;
  /** `note` is kept with the key and given back by `keys`. */
  add(key: string, at: number, values: readonly number[], note?: string): void;
  /** Sums over the last `spanMs` (whole slots of it, rounded up), the whole span when not given. */
  sums(key: string, at: number, spanMs?: number): number[];
  forget(key: string): void;
  keys(): IterableIterator<readonly [key: string, note: string]>;
  /** The clock was set: everything happened `delta` ms later (earlier when negative) than it seemed. */
  shift(delta: number): void;
  snapshot(at: number): unknown;
  restore(snapshot: unknown): void;
}

interface Entry {
  /** Number of the newest slot since the epoch. */
  head: number;
  readonly counts: Uint32Array;
  note: string;
}

const COUNT_MOST = 0xffff_ffff;

export function createTally({ spanMs, slots, width, most }: TallyOptions): Tally {
  const slotMs = Math.max(1, Math.ceil(spanMs / slots));
  const entries = new Map<string, Entry>();

  function advance(entry: Entry, at: number): void {
    const head = Math.floor(at / slotMs);
    const steps = Math.min(slots, head - entry.head);
    for (let i = 1; i <= steps; i++) {
      const from = ((entry.head + i) % slots) * width;
      entry.counts.fill(0, from, from + width);
    }
    // After more than a whole span the loop has emptied every slot, whichever numbers it went through.
    entry.head = Math.max(entry.head, head);
  }

  function sumsOf(entry: Entry, at: number, last: number): number[] {
    advance(entry, at);
    const sums = new Array<number>(width).fill(0);
    for (let i = 0; i < last; i++) {
      const slot = entry.head - i;
      if (slot < 0) break;
      for (let j = 0; j < width; j++) sums[j] = (sums[j] ?? 0) + (entry.counts[(slot % slots) * width + j] ?? 0);
    }
    return sums;
  }

  return {
    get size() {
      return entries.size;
    },
    add(key, at, values, note = "") {
      let entry = entries.get(key);
      if (entry === undefined) {
        entry = { head: Math.floor(at / slotMs), counts: new Uint32Array(slots * width), note };
        const [oldest] = entries.keys();
        if (entries.size >= most && oldest !== undefined) entries.delete(oldest);
      } else {
        entries.delete(key);
        advance(entry, at);
      }
      entries.set(key, entry);
      if (note !== "") entry.note = note;
      const base = (entry.head % slots) * width;
      values.forEach((value, j) => {
        entry.counts[base + j] = Math.min(COUNT_MOST, (entry.counts[base + j] ?? 0) + value);
      });
    },
    sums(key, at, spanMs = Infinity) {
      const entry = entries.get(key);
      const last = Math.max(1, Math.min(slots, Math.ceil(spanMs / slotMs)));
      return entry === undefined ? new Array<number>(width).fill(0) : sumsOf(entry, at, last);
    },
    forget: (key) => void entries.delete(key),
    *keys() {
      for (const [key, { note }] of entries) yield [key, note];
    },
    shift(delta) {
      const by = Math.round(delta / slotMs);
      for (const entry of entries.values()) {
        const old = entry.counts.slice();
        const head = Math.max(0, entry.head + by);
        for (let i = 0; i < slots; i++) {
          const from = (((entry.head - i) % slots) + slots) % slots;
          const to = (((head - i) % slots) + slots) % slots;
          entry.counts.set(old.subarray(from * width, (from + 1) * width), to * width);
        }
        entry.head = head;
      }
    },
    snapshot(at) {
      const kept: unknown[] = [];
      for (const [key, entry] of entries) {
        if (sumsOf(entry, at, slots).every((sum) => sum === 0)) continue;
        const full: number[][] = [];
        for (let slot = entry.head; slot > entry.head - slots && slot >= 0; slot--) {
          const counts = entry.counts.subarray((slot % slots) * width, ((slot % slots) + 1) * width);
          if (counts.some((count) => count > 0)) full.push([slot, ...counts]);
        }
        kept.push([key, entry.note, full]);
      }
      return { slotMs, entries: kept };
    },
    restore(snapshot) {
      const saved = snapshot as { slotMs?: unknown; entries?: unknown } | null;
      // Slots of another length (other settings) mean nothing here.
      if (saved?.slotMs !== slotMs || !Array.isArray(saved.entries)) return;
      for (const one of saved.entries.slice(-most) as unknown[]) {
        if (!Array.isArray(one) || typeof one[0] !== "string" || !Array.isArray(one[2])) continue;
        const rows = (one[2] as unknown[]).filter(
          (row): row is number[] =>
            Array.isArray(row) && row.length === width + 1 && row.every((n) => Number.isSafeInteger(n) && n >= 0),
        );
        for (const [slot = 0, ...values] of rows.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))) {
          this.add(one[0], slot * slotMs, values, typeof one[1] === "string" ? one[1] : "");
        }
      }
    },
  };
}
