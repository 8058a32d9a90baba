/** Counters for people: what is granted of the window that limits most, and by whom. */
import { DAY, MINUTE, PERIOD, windowEnd, windowLimit } from "../../quota/counter.ts";
import type { CounterState } from "../contract.ts";
import { type Books, type Counter, roll } from "./books.ts";
import { usedByOthers } from "./room.ts";

export function showCounters(books: Books, now: number): CounterState[] {
  return [...books.counters.values()].map((counter) => showCounter(counter, now));
}

function showCounter(counter: Counter, now: number): CounterState {
  roll(counter, now);
  const { rule, name, publicId, ip, waiting, conns } = counter;
  const window =
    [PERIOD, MINUTE, DAY].find((w) =>
      Number.isFinite(windowLimit(rule.limits, w as 0 | 1 | 2, counter.starts[w] ?? 0)),
    ) ?? PERIOD;
  const w = window as 0 | 1 | 2;
  const limit = windowLimit(rule.limits, w, counter.starts[w] ?? 0);
  return {
    counter: name,
    rule: rule.id,
    publicId,
    ip,
    connections: conns.size,
    connectionLimit: rule.limits.connections,
    spent: usedByOthers(counter, w, undefined),
    periodLimit: Number.isFinite(limit) ? limit : 0,
    periodEnd: windowEnd(w, now),
    waiting,
    members: [...counter.parts.values()]
      .filter((part) => part.conns > 0 || (part.used[w] ?? 0) > 0)
      .map((part) => ({ member: part.member.name, connections: part.conns, spent: part.used[w] ?? 0 })),
  };
}
