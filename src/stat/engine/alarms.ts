/** What happens at a time, the earliest first: a binary heap of counters. A counter has one alarm that counts, its `alarmAt`. */
import type { Counter } from "./books.ts";

export interface Alarms {
  /** Looks at the counter at `at`, or before if an earlier alarm is set already. */
  set(counter: Counter, at: number): void;
  /** Infinity: none. */
  nextAt(): number;
  /** The next counter that is due. */
  take(now: number): Counter | undefined;
}

interface Alarm {
  readonly at: number;
  readonly counter: Counter;
}

export function openAlarms(): Alarms {
  const heap: Alarm[] = [];

  function removeFirst(): void {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && at(child + 1) < at(child)) child++;
      if (at(child) >= last.at) break;
      heap[i] = heap[child] as Alarm;
      i = child;
    }
    heap[i] = last;
  }

  const at = (i: number): number => heap[i]?.at ?? Number.POSITIVE_INFINITY;

  /** Alarms that were overtaken by an earlier one of the same counter. */
  function dropOld(): void {
    for (let first = heap[0]; first !== undefined && first.at !== first.counter.alarmAt; first = heap[0]) removeFirst();
  }

  return {
    set(counter, time) {
      if (time >= counter.alarmAt) return;
      counter.alarmAt = time;
      let i = heap.length;
      heap.push({ at: time, counter });
      while (i > 0) {
        const parent = (i - 1) >> 1;
        if (at(parent) <= time) break;
        heap[i] = heap[parent] as Alarm;
        i = parent;
      }
      heap[i] = { at: time, counter };
    },
    nextAt() {
      dropOld();
      return at(0);
    },
    take(now) {
      dropOld();
      const first = heap[0];
      if (first === undefined || first.at > now) return undefined;
      removeFirst();
      first.counter.alarmAt = Number.POSITIVE_INFINITY;
      return first.counter;
    },
  };
}
