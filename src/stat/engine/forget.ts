/** Forgets what says nothing any more: stakes of members that have not used a counter for long, then parts and counters without count. */
import { WINDOWS } from "../../quota/counter.ts";
import { type Books, type Counter, type Part, roll } from "./books.ts";

/** A stake that is not in anybody's way is kept so long. */
const UNUSED_MS = 600_000;

export function forgetIdle(books: Books, now: number): void {
  for (const counter of books.counters.values()) {
    roll(counter, now);
    for (const part of counter.parts.values()) {
      if (part.conns > 0 || now - part.lastUse < UNUSED_MS || counter.waiting > 0) continue;
      if (part.halvings >= 0 && part.seq === 0 && part.member.state === "live" && part.member.settled) {
        part.next = -1;
        part.seq = -1;
        part.member.changes.add(part);
        books.dirty.add(part.member);
      } else if (part.halvings < 0 && part.seq === 0 && counts(counter, part.used) === false) forgetPart(counter, part);
    }
    const bare = counter.parts.size === 0 && counter.waiting === 0 && counter.conns.size === 0;
    if (bare && !counts(counter, counter.base) && counter.debt === 0 && counter.alarmAt === Number.POSITIVE_INFINITY)
      books.counters.delete(counter.name);
  }
}

/** Whether any of the windows that run has something, of those the rule knows: a day without a limit is not waited for. */
function counts(counter: Counter, used: readonly number[]): boolean {
  const day = counter.rule.limits.messagesPerDay > 0;
  return WINDOWS.some((w) => (w !== 2 || day) && (used[w] ?? 0) > 0);
}

function forgetPart(counter: Counter, part: Part): void {
  counter.parts.delete(part.member);
  part.member.parts.delete(counter);
}
