/**
 * Stakes: what is kept for a member so that it can go on when the server is gone, without anybody's rule being exceeded.
 *
 * Each member has a number `members` (its share of everything is limit ÷ members; the fractions of all add up to one at most). A member that
 * uses or waits for a counter gets a *stake* in it: in every window it may come to floor(limit ÷ (members × 2^halvings)) messages, those
 * granted counted, and to as many connections. The server grants nothing that would cut into the stakes of others. A stake is only made
 * when there is room for it in the windows that run; in later ones there always is. It is smaller, or no longer there, when the member has said so (`told`): until
 * then the larger of both counts. Who waits has the unused stakes of others halved, and ended when they were idle for a while (`squeeze`).
 */
import { WINDOWS, windowLimit } from "../../quota/counter.ts";
import type { Share } from "../../quota/messages.ts";
import type { Books, Counter, Member, Part } from "./books.ts";
import { allowance, kept, keptConns, membersOf } from "./kept.ts";
import { connsTaken, taken } from "./room.ts";

/** A stake nobody used for so long is given up when somebody else waits. */
const IDLE_MS = 15_000;
/** One in use is halved when somebody else waits, not more often than this. */
const SQUEEZE_MS = 5_000;
const MOST_HALVINGS = 6;
/** Shares in one message: a line of the protocol has an end. */
const CHUNK = 800;

/** The member uses the counter, or waits for it: it gets a stake, or a larger one, if there is room for it. */
export function touch(books: Books, part: Part, now: number): void {
  const { member, counter } = part;
  part.lastUse = now;
  if (part.seq > 0 || part.halvings === 0 || !member.settled || member.members === 0 || now < part.tryAt) return;
  if (part.halvings > 0 && (counter.waiting > 0 || now - part.squeezedAt < IDLE_MS)) return;
  const halvings = fit(books, part, membersOf(member), 0);
  part.tryAt = now + SQUEEZE_MS;
  if (halvings < 0 || halvings === part.halvings || (part.halvings >= 0 && halvings > part.halvings)) return;
  change(books, part, halvings);
}

/** The fewest halvings, from `least`, with which a stake fits beside what is taken; -1: none does. */
export function fit(books: Books, part: Part, members: number, least: number): number {
  const { counter, member } = part;
  const { limits } = counter.rule;
  const rooms: { readonly most: number; readonly share: (divisor: number) => number }[] = [];
  const conns = connsTaken(books, counter, limits.connections, member);
  rooms.push({
    most: Math.max(part.conns, limits.connections - conns),
    share: (divisor) => Math.floor(limits.connections / divisor),
  });
  for (const w of WINDOWS) {
    const limit = windowLimit(limits, w, counter.starts[w] ?? 0);
    if (limit === Number.POSITIVE_INFINITY) continue;
    rooms.push({
      most: Math.max(part.used[w] ?? 0, limit - taken(books, counter, w, limit, member)),
      share: (divisor) => allowance(part, w, limit, divisor),
    });
  }
  for (let halvings = least; halvings <= MOST_HALVINGS; halvings++)
    if (rooms.every(({ most, share }) => share(members * 2 ** halvings) <= most)) return halvings;
  return -1;
}

function change(books: Books, part: Part, halvings: number): void {
  part.next = halvings;
  part.seq = -1;
  part.member.changes.add(part);
  books.dirty.add(part.member);
}

/**
 * Somebody waits while unused stakes of others are in the way: they are asked back. When to look again, Infinity if nothing can be had so.
 * `conns`: connections are waited for, else messages.
 */
export function squeeze(books: Books, counter: Counter, conns: boolean, now: number): number {
  let again = Number.POSITIVE_INFINITY;
  for (const part of counter.parts.values()) {
    if (part.seq !== 0 || part.halvings < 0 || part.member.state !== "live" || !part.member.settled) continue;
    if (!spare(books, part, conns)) continue;
    const idle = part.conns === 0 && now - part.lastUse >= IDLE_MS;
    const due = part.squeezedAt + SQUEEZE_MS;
    if (idle || now >= due) {
      part.squeezedAt = now;
      part.tryAt = now + SQUEEZE_MS;
      change(books, part, idle || part.halvings >= MOST_HALVINGS ? -1 : part.halvings + 1);
    } else again = Math.min(again, due);
  }
  return again;
}

function spare(books: Books, part: Part, conns: boolean): boolean {
  const { counter, member } = part;
  const { limits } = counter.rule;
  if (conns) return keptConns(books, member, part, limits.connections) > part.conns;
  return WINDOWS.some((w) => {
    const start = counter.starts[w] ?? 0;
    const limit = windowLimit(limits, w, start);
    return limit !== Number.POSITIVE_INFINITY && kept(books, member, part, w, limit, start) > (part.used[w] ?? 0);
  });
}

/** Says what has changed. `all`: everything, after a member came back. */
export function tellShares(books: Books, member: Member, all: boolean): void {
  books.dirty.delete(member);
  if (member.state !== "live" || (!member.settled && !all)) return;
  const changes = all ? [...member.parts.values()].filter((part) => part.next >= 0) : [...member.changes];
  member.changes.clear();
  for (let i = 0; i === 0 || i < changes.length; i += CHUNK) {
    const parts = changes.slice(i, i + CHUNK);
    const seq = ++member.seq;
    for (const part of parts) part.seq = seq;
    member.untold.set(seq, parts);
    if (member.membersSeq < 0) member.membersSeq = seq;
    const shares: Share[] = parts.map((part) => ({ counter: part.counter.name, halvings: part.next }));
    member.send({ t: "shares", seq, members: member.membersNext, all: all && i === 0, shares });
  }
  if (all) member.settleSeq = member.seq;
}

/** A member obeys what it was told up to `seq`. The counters where that made room. */
export function heard(books: Books, member: Member, seq: number): Set<Counter> {
  const freed = new Set<Counter>();
  for (const [told, parts] of member.untold) {
    if (told > seq) break;
    member.untold.delete(told);
    for (const part of parts) {
      if (part.seq !== told) continue;
      part.halvings = part.next;
      part.seq = 0;
      freed.add(part.counter);
    }
  }
  if (member.membersSeq > 0 && member.membersSeq <= seq) {
    member.members = member.membersNext;
    member.membersSeq = 0;
    for (const counter of member.parts.keys()) freed.add(counter);
  }
  if (!member.settled && member.settleSeq > 0 && seq >= member.settleSeq) {
    member.settled = true;
    member.activeUntil = Number.POSITIVE_INFINITY;
    books.doubtful.delete(member);
    for (const counter of books.waiting) freed.add(counter);
  }
  return freed;
}
