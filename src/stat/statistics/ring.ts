/**
 * Numbers over the last while, in slots of one length: a slot is named by its number since 1970 and used again when its turn comes. Thousands
 * of these exist, nearly all of them with one slot in use, so a ring is plain data and makes a slot when something happens in it.
 */
import { COUNTS, type Counts, NO_COUNTS } from "../../quota/answers.ts";

export interface Slot {
  /** Number since 1970. */
  number: number;
  readonly values: Float64Array;
  /** Has numbers that were not written yet. */
  dirty: boolean;
}

export interface Ring {
  readonly lengthMs: number;
  readonly slots: (Slot | undefined)[];
}

export function makeRing(count: number, lengthMs: number): Ring {
  return { lengthMs, slots: new Array<Slot | undefined>(count).fill(undefined) };
}

/** A slot that is about to be used again is handed to `evicted` first. */
export function slotAt(ring: Ring, at: number, evicted: (slot: Slot) => void): Slot {
  const number = Math.floor(at / ring.lengthMs);
  const index = number % ring.slots.length;
  let slot = ring.slots[index];
  if (slot === undefined) {
    slot = { number, values: new Float64Array(COUNTS.length), dirty: false };
    ring.slots[index] = slot;
  } else if (slot.number !== number) {
    // Also when the clock was put back: a slot of the future would keep what is told now from being seen.
    if (slot.dirty) evicted(slot);
    slot.number = number;
    slot.values.fill(0);
    slot.dirty = false;
  }
  return slot;
}

/** What a client says is a number of its own choosing: nothing but a finite number of at least 0 is added. */
export function addValues(values: Float64Array, counts: Counts): void {
  for (let i = 0; i < COUNTS.length; i++) {
    const value = counts[COUNTS[i]!];
    if (Number.isFinite(value) && value > 0) values[i] = values[i]! + value;
  }
}

export function addCounts(slot: Slot, counts: Counts): void {
  addValues(slot.values, counts);
  slot.dirty = true;
}

export function countsOf(values: Float64Array): Counts {
  const counts: Record<string, number> = {};
  for (let i = 0; i < COUNTS.length; i++) counts[COUNTS[i]!] = values[i]!;
  return counts as Counts;
}

/** Adds the slots that are of the last `ring.slots.length` to `into`. */
export function sumRing(ring: Ring, now: number, into: Float64Array): void {
  const newest = Math.floor(now / ring.lengthMs);
  for (const slot of ring.slots) {
    if (slot === undefined || slot.number <= newest - ring.slots.length || slot.number > newest) continue;
    for (let i = 0; i < into.length; i++) into[i] = into[i]! + slot.values[i]!;
  }
}

/** Adds each slot to the one of `into` that has its time: the oldest first, the running one last. */
export function addSlots(ring: Ring, now: number, into: readonly Float64Array[]): void {
  const oldest = Math.floor(now / ring.lengthMs) - into.length + 1;
  for (const slot of ring.slots) {
    const sums = slot === undefined ? undefined : into[slot.number - oldest];
    if (slot === undefined || sums === undefined) continue;
    for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + slot.values[i]!;
  }
}

export const emptyValues = (): Float64Array => new Float64Array(COUNTS.length);

export function sumCounts(all: readonly Counts[]): Counts {
  const [first = NO_COUNTS] = all;
  if (all.length <= 1) return first;
  const sums = emptyValues();
  for (const counts of all) for (let i = 0; i < COUNTS.length; i++) sums[i] = sums[i]! + counts[COUNTS[i]!];
  return countsOf(sums);
}
