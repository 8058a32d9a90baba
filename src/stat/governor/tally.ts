/**
 * Counts over a sliding time, by key: how many attempts, errors, matching replies there were in the last so many minutes. A time is cut in
 * slots; what falls out of it goes slot by slot, so a count is never of more than the asked time and misses at most one slot of it. The
 * number of keys is bounded: a tenth of them makes room, those that came first, were not heard of again and counted little, so a flood of
 * names costs memory once and does not wash away what matters.
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
  /** Counts over another time from now on. What is counted stays, each count at the begin of the slot it was in. */
  resize(spanMs: number): void;
  /** The clock was set: everything happened `delta` ms later (earlier when negative) than it seemed. */
  shift(delta: number): void;
  snapshot(at: number): unknown;
  restore(snapshot: unknown): void;
}

interface Entry {
  /** Slots with something in them, the oldest first: number since the epoch, then the counts. Most names are heard of once. */
  rows: number[];
  /** Heard of again since room was made. */
  again: boolean;
  note: string;
}

const COUNT_MOST = 0xffff_ffff;
/** Keys with so much in their first count are spared when others make room. */
const MUCH = 16;

export function createTally({ spanMs, slots, width, most }: TallyOptions): Tally {
  let slotMs = Math.max(1, Math.ceil(spanMs / slots));
  const entries = new Map<string, Entry>();

  const stride = width + 1;

  /** Rows of slots of another length as rows of ours. */
  function recut(rows: readonly number[], fromMs: number): number[] {
    const cut: number[] = [];
    for (let row = 0; row < rows.length; row += stride) {
      const slot = Math.floor(((rows[row] ?? 0) * fromMs) / slotMs);
      const base = cut.length - stride;
      if (cut[base] !== slot) cut.push(slot, ...rows.slice(row + 1, row + stride));
      else
        for (let i = 1; i < stride; i++)
          cut[base + i] = Math.min(COUNT_MOST, (cut[base + i] ?? 0) + (rows[row + i] ?? 0));
    }
    return cut.slice(-slots * stride);
  }

  function sumsOf(entry: Entry, at: number, last: number): number[] {
    const sums = new Array<number>(width).fill(0);
    const from = Math.floor(at / slotMs) - last;
    for (let row = entry.rows.length - stride; row >= 0; row -= stride) {
      if ((entry.rows[row] ?? 0) <= from) break;
      for (let i = 0; i < width; i++) sums[i] = (sums[i] ?? 0) + (entry.rows[row + 1 + i] ?? 0);
    }
    return sums;
  }

  /**
   * A tenth at once, in the order they came; who was heard of again since the last time is passed over once. (To keep a Map in the order of
   * use, by deleting and setting a key again, takes 30 µs in one of 30,000: the table is built anew nearly every time.)
   */
  function makeRoom(at: number): void {
    const enough = Math.floor(most * 0.9);
    for (const spare of [true, false]) {
      for (const [key, entry] of entries) {
        if (entries.size <= enough) return;
        const spared = spare && (entry.again || (sumsOf(entry, at, slots)[0] ?? 0) >= MUCH);
        entry.again = false;
        if (!spared) entries.delete(key);
      }
    }
  }

  return {
    get size() {
      return entries.size;
    },
    add(key, at, values, note = "") {
      let entry = entries.get(key);
      if (entry === undefined) {
        if (entries.size >= most) makeRoom(at);
        entry = { rows: [], again: false, note };
        entries.set(key, entry);
      } else entry.again = true;
      if (note !== "") entry.note = note;
      const { rows } = entry;
      // Never before the newest one: time that stands still counts where it stands.
      const slot = Math.max(Math.floor(at / slotMs), rows[rows.length - stride] ?? 0);
      if (rows[rows.length - stride] !== slot) {
        if (rows.length >= slots * stride) rows.splice(0, stride);
        rows.push(slot, ...new Array<number>(width).fill(0));
      }
      const base = rows.length - width;
      for (let i = 0; i < width; i++) rows[base + i] = Math.min(COUNT_MOST, (rows[base + i] ?? 0) + (values[i] ?? 0));
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
    resize(span) {
      const before = slotMs;
      slotMs = Math.max(1, Math.ceil(span / slots));
      if (slotMs !== before) for (const entry of entries.values()) entry.rows = recut(entry.rows, before);
    },
    shift(delta) {
      const by = Math.round(delta / slotMs);
      for (const { rows } of entries.values()) {
        for (let row = 0; row < rows.length; row += stride) rows[row] = Math.max(0, (rows[row] ?? 0) + by);
      }
    },
    snapshot(at) {
      // Names with a few attempts that all went well (a newsletter has a hundred thousand of them) are left out: nothing follows from them.
      const kept = [...entries].filter(([, entry]) => {
        const sums = sumsOf(entry, at, slots);
        return (sums[width - 1] ?? 0) > 0 || (sums[0] ?? 0) >= MUCH;
      });
      return { slotMs, entries: kept.map(([key, { note, rows }]) => [key, note, [...rows]]) };
    },
    restore(snapshot) {
      const saved = snapshot as { slotMs?: unknown; entries?: unknown } | null;
      const savedMs = saved?.slotMs;
      if (!Number.isSafeInteger(savedMs) || Number(savedMs) < 1 || !Array.isArray(saved?.entries)) return;
      for (const one of saved.entries.slice(-most) as unknown[]) {
        if (!Array.isArray(one) || typeof one[0] !== "string" || !Array.isArray(one[2])) continue;
        const rows = one[2] as unknown[];
        if (rows.length % stride !== 0 || rows.length > slots * stride) continue;
        if (!rows.every((n): n is number => Number.isSafeInteger(n) && Number(n) >= 0)) continue;
        // Saved under other settings, its slots are of another length.
        entries.set(one[0], {
          rows: recut(rows, Number(savedMs)),
          again: false,
          note: typeof one[1] === "string" ? one[1] : "",
        });
      }
    },
  };
}
