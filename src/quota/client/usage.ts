/**
 * What this process was granted or took by its share, by counter: messages of the windows that run, and connections. Told to the server
 * after a loss, and what the share is measured against without it.
 */
import { DAY, type Window, WINDOWS, windowStart } from "../counter.ts";
import type { UsedCounter } from "../messages.ts";
import { type Pace, giveBackTo, openPace, partPassed, take } from "../pace.ts";

interface Use {
  readonly starts: number[];
  readonly used: number[];
  conns: number;
  /** What was used of the day when the server was lost, and of which day. */
  base: number;
  baseStart: number;
  /** Octets taken by the share that its rate has not yet covered, and when that was. */
  debt: number;
  debtAt: number;
  /** Of the share of minute and period, where the rule is smooth; null: not asked for since the server was lost. */
  paces: readonly [Pace, Pace] | null;
}

export interface Usage {
  /** Messages granted at `at` (server ms), or given back: negative. */
  count(counter: string, at: number, messages: number): void;
  /** A connection more (1) or less (-1). */
  connection(counter: string, change: number): void;
  used(counter: string, window: Window, start: number): number;
  /** The server is lost (server ms): a day's share counts from here, and nobody knows how far the turns of a pace are. */
  mark(now: number): void;
  /** Messages of the day since then. */
  sinceMark(counter: string, start: number): number;
  connections(counter: string): number;
  /** The pace of a share since the mark. */
  pace(counter: string, window: 0 | 1): Pace;
  debtOf(counter: string): { debt: number; debtAt: number };
  /** It is `now` (server ms): what ran until yesterday is forgotten once a day, however little goes on. */
  pass(now: number): void;
  readonly size: number;
  /** Everything of the windows that run at `now` or later. */
  report(now: number): UsedCounter[];
}

/** A counter is forgotten when nothing of it runs any more; looked for each day, and when so many are known, then at twice as many. */
const MANY = 2000;

/** `process`: shifts the turns of this process against those of others (pace.ts partPassed). */
export function openUsage(process: string): Usage {
  const uses = new Map<string, Use>();
  let markedAt = 0;
  let many = MANY;
  let day = 0;

  function useOf(counter: string): Use {
    let use = uses.get(counter);
    if (use !== undefined) return use;
    use = { starts: [0, 0, 0], used: [0, 0, 0], conns: 0, base: 0, baseStart: 0, debt: 0, debtAt: 0, paces: null };
    uses.set(counter, use);
    return use;
  }

  function forget(now: number): void {
    for (const [counter, use] of uses)
      if (use.conns === 0 && WINDOWS.every((w) => (use.starts[w] ?? 0) < windowStart(w, now))) uses.delete(counter);
    many = Math.max(MANY, uses.size * 2);
    day = windowStart(DAY, now);
  }

  function pass(now: number): void {
    if (uses.size > many || windowStart(DAY, now) > day) forget(now);
  }

  return {
    count(counter, at, messages) {
      const use = useOf(counter);
      for (const w of WINDOWS) {
        const start = windowStart(w, at);
        const known = use.starts[w] ?? 0;
        if (start < known) continue;
        if (start > known) {
          use.starts[w] = start;
          use.used[w] = 0;
        }
        use.used[w] = Math.max(0, (use.used[w] ?? 0) + messages);
      }
      for (const pace of use.paces ?? []) {
        if (messages > 0) take(pace, messages);
        else giveBackTo(pace, at, -messages);
      }
      pass(at);
    },
    connection(counter, change) {
      const use = useOf(counter);
      use.conns = Math.max(0, use.conns + change);
    },
    used(counter, window, start) {
      const use = uses.get(counter);
      return use !== undefined && use.starts[window] === start ? (use.used[window] ?? 0) : 0;
    },
    mark(now) {
      markedAt = now;
      for (const use of uses.values()) {
        use.base = use.used[DAY] ?? 0;
        use.baseStart = use.starts[DAY] ?? 0;
        use.paces = null;
      }
    },
    sinceMark(counter, start) {
      const use = uses.get(counter);
      if (use === undefined || use.starts[DAY] !== start) return 0;
      return (use.used[DAY] ?? 0) - (use.baseStart === start ? use.base : 0);
    },
    connections: (counter) => uses.get(counter)?.conns ?? 0,
    pace(counter, window) {
      const use = useOf(counter);
      if (use.paces === null) {
        const passed = partPassed(process, counter, markedAt);
        use.paces = [openPace(markedAt, passed), openPace(markedAt, passed)];
      }
      return use.paces[window];
    },
    debtOf: useOf,
    pass,
    get size() {
      return uses.size;
    },
    report(now) {
      forget(now);
      const all: UsedCounter[] = [];
      for (const [counter, { starts, used }] of uses) {
        if (used.every((count) => count === 0)) continue;
        const each = (w: Window): readonly [number, number] => [starts[w] ?? 0, used[w] ?? 0];
        all.push({ counter, used: [each(0), each(1), each(2)] });
      }
      return all;
    },
  };
}
