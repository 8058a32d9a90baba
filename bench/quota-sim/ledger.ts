/**
 * The oracle's own books: attempts by window and open connections, by counter, under the rules each machine knows. It shares only the words
 * (counter names, how a limit falls into windows) with the engine, nothing of what the engine counts.
 */
import { type MxRules, matchRule } from "../../src/model/mx-rules.ts";
import type { Limits } from "../../src/model/traffic.ts";
import { type Window, WINDOWS, counterName, windowLimit, windowStart } from "../../src/quota/counter.ts";

export interface Version {
  readonly number: number;
  readonly rules: MxRules;
  /** Server ms at which the last one who knew it as the newest went over to another; Infinity: somebody still goes by it. */
  lastAt: number;
}

export interface Open {
  readonly machine: number;
  readonly conn: number;
  readonly site: string;
  readonly publicId: number;
  readonly mx: string;
  readonly ip: string;
  counter: string;
  /** Opened without the server; true ms at which the server had it back, Infinity: it has not. */
  readonly alone: boolean;
  backAt: number;
}

export interface Count {
  readonly name: string;
  readonly rule: string;
  readonly starts: number[];
  readonly attempts: number[];
  readonly byMachine: Map<string, number>;
  readonly open: Set<Open>;
  bytes: { minute: number; count: number };
  /** True ms at which it was full by these books last. */
  fullAt: number;
  /** Server ms at which connections came here from another counter. */
  movedAt: number;
}

export interface Ledger {
  readonly counts: Map<string, Count>;
  readonly versions: Version[];
  count(name: string): Count;
  nameOf(version: number, publicId: number, mx: string, ip: string): string;
  limitsOf(version: number, rule: string): Limits | null;
  /** The largest of a value of a rule's limits in the versions that somebody went by at server time `from` or later. */
  most(rule: string, from: number, value: (limits: Limits) => number): number;
  attempt(count: Count, machine: number, at: number, bytes: number): void;
}

export function openLedger(first: MxRules): Ledger {
  const counts = new Map<string, Count>();
  const versions: Version[] = [{ number: 0, rules: first, lastAt: Number.POSITIVE_INFINITY }];

  function limitsOf(version: number, rule: string): Limits | null {
    return versions[version]?.rules.find(({ id }) => id === rule)?.limits ?? null;
  }

  return {
    counts,
    versions,
    limitsOf,
    count(name) {
      let count = counts.get(name);
      if (count !== undefined) return count;
      count = {
        name,
        rule: name.slice(0, name.indexOf("|")),
        starts: [0, 0, 0],
        attempts: [0, 0, 0],
        byMachine: new Map(),
        open: new Set(),
        bytes: { minute: 0, count: 0 },
        fullAt: 0,
        movedAt: 0,
      };
      counts.set(name, count);
      return count;
    },
    nameOf(version, publicId, mx, ip) {
      const rule = matchRule(versions[version]?.rules ?? first, mx, publicId);
      return counterName(rule, publicId, ip);
    },
    most(rule, from, value) {
      let most = Number.NEGATIVE_INFINITY;
      for (const { number, lastAt } of versions) {
        if (lastAt < from) continue;
        const limits = limitsOf(number, rule);
        if (limits !== null) most = Math.max(most, value(limits));
      }
      return most === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : most;
    },
    attempt(count, machine, at, bytes) {
      for (const w of WINDOWS) {
        const start = windowStart(w, at);
        if (count.starts[w] !== start) {
          count.starts[w] = start;
          count.attempts[w] = 0;
          for (const key of count.byMachine.keys()) if (key.startsWith(`${w} `)) count.byMachine.delete(key);
        }
        count.attempts[w] = (count.attempts[w] ?? 0) + 1;
        const key = `${w} ${machine}`;
        count.byMachine.set(key, (count.byMachine.get(key) ?? 0) + 1);
      }
      const minute = windowStart(0, at);
      if (count.bytes.minute !== minute) count.bytes = { minute, count: 0 };
      count.bytes.count += bytes;
    },
  };
}

export function limitOf(limits: Limits, window: Window, start: number): number {
  return windowLimit(limits, window, start);
}
