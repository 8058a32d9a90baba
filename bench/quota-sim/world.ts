/**
 * Virtual time: events in order of their time, then of their making. Everything of the simulation happens in here; a machine's clock is a
 * view of it that is off and runs a little fast or slow. The same seed makes the same run.
 */
import type { Clock, Timer } from "../../src/base/clock.ts";

export interface World {
  /** True ms since the beginning. */
  readonly now: number;
  readonly steps: number;
  after(ms: number, fn: () => void): Timer;
  /** An integer in [0, n). */
  draw(n: number): number;
  chance(percent: number): boolean;
  /** Runs `steps` more events, or up to the time `until`. */
  run(steps: number, until?: number): Promise<void>;
}

interface Event {
  readonly at: number;
  readonly order: number;
  fn: (() => void) | null;
}

export function openWorld(draw: (n: number) => number): World {
  const heap: Event[] = [];
  let now = 0;
  let order = 0;
  let steps = 0;
  const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

  function push(event: Event): void {
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Event;
      if (!before(event, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = event;
  }

  function pop(): Event | undefined {
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, heap[child] as Event)) child++;
      const below = heap[child] as Event;
      if (!before(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
    return first;
  }

  return {
    get now() {
      return now;
    },
    get steps() {
      return steps;
    },
    draw,
    chance: (percent) => draw(1000) < percent * 10,
    after(ms, fn) {
      const event: Event = { at: now + Math.max(0, ms), order: order++, fn };
      push(event);
      return { cancel: () => void (event.fn = null) };
    },
    async run(most, until = Number.POSITIVE_INFINITY) {
      const end = steps + most;
      while (steps < end && (heap[0]?.at ?? Number.POSITIVE_INFINITY) <= until) {
        const event = pop();
        if (event === undefined) return;
        if (event.fn === null) continue;
        now = event.at;
        steps++;
        event.fn();
        // What promises do without time passing is done before the next event.
        for (let turn = 0; turn < 3; turn++) await Promise.resolve();
      }
    },
  };
}

/** A machine's own clocks: `skewMs` off, `drift` too fast (0.0002: by 0.02 %). */
export function machineClock(world: World, skewMs: number, drift: number): Clock & { stop(): void } {
  let stopped = false;
  return {
    now: () => world.now * (1 + drift) + skewMs,
    monotonic: () => world.now * (1 + drift) + 1000,
    after: (ms, fn) =>
      world.after(ms / (1 + drift), () => {
        if (!stopped) fn();
      }),
    stop: () => void (stopped = true),
  };
}
