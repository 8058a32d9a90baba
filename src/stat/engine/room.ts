/**
 * How much may be granted now: the limit, less what was granted, less what is kept for others (kept.ts). All windows must have
 * room, and two more things bound it: octets a second as a debt, and the *gate*: between two stored snapshots a member gets at most a part
 * of its share more than the last one shows, so a server restored from it knows what may have gone meanwhile.
 */
import { DAY, LENGTHS, WINDOWS, type Window, windowEnd, windowLimit } from "../../quota/counter.ts";
import { HAND_MS, paced } from "../../quota/pace.ts";
import type { Books, Counter, Member, Part } from "./books.ts";
import { gate, kept, keptConns } from "./kept.ts";

export interface Room {
  messages: number;
  /** The smallest limit of the windows: batches are small where little is to be had. */
  limit: number;
  /** With no room: when there may be some, that is when all that shuts it has ended. Infinity: when something is given back or saved. */
  at: number;
  /** With no room: only the gate is shut. */
  gated: boolean;
  /** With no room: others' shares are in the way, and may be asked back. */
  reserved: boolean;
  /** What was granted ends then. */
  until: number;
}

/** Grants of rules without limits of messages end too: what a process that hangs was granted must not live for ever. */
const UNLIMITED_MS = 600_000;
/** Octets are granted for about so long ahead. */
const AHEAD_MS = 1000;

/** Messages of the window that are granted to others than `member`, or kept for them. */
export function taken(books: Books, counter: Counter, window: Window, limit: number, member: Member | null): number {
  const start = counter.starts[window] ?? 0;
  let sum = counter.base[window] ?? 0;
  for (const part of counter.parts.values())
    if (part.member !== member)
      sum += Math.max(part.used[window] ?? 0, kept(books, part.member, part, window, limit, start));
  for (const other of books.doubtful)
    if (other !== member && !counter.parts.has(other)) sum += kept(books, other, null, window, limit, start);
  return sum;
}

export function connsTaken(books: Books, counter: Counter, limit: number, member: Member | null): number {
  let sum = 0;
  for (const part of counter.parts.values())
    if (part.member !== member) sum += keptConns(books, part.member, part, limit);
  for (const other of books.doubtful)
    if (other !== member && !counter.parts.has(other)) sum += keptConns(books, other, null, limit);
  return sum;
}

export function connRoom(books: Books, counter: Counter, member: Member): { conns: number; gated: boolean } {
  const limit = counter.rule.limits.connections;
  const part = counter.parts.get(member);
  const held = part?.conns ?? 0;
  const room = limit - connsTaken(books, counter, limit, member) - held;
  const open = (part?.savedConns ?? 0) + Math.max(1, Math.floor(limit / books.gateMembers)) - held;
  return { conns: Math.min(room, open), gated: open < 1 && room > 0 };
}

export function messageRoom(books: Books, counter: Counter, member: Member, now: number): Room {
  const { limits } = counter.rule;
  const part = counter.parts.get(member);
  const room: Room = {
    messages: Number.POSITIVE_INFINITY,
    limit: Number.POSITIVE_INFINITY,
    at: Number.NEGATIVE_INFINITY,
    gated: false,
    reserved: false,
    until: now + UNLIMITED_MS,
  };
  const own = limits.pacing === "smooth" ? 1 - away(books) : 1;
  let open = Number.POSITIVE_INFINITY;
  for (const w of WINDOWS) {
    const limit = windowLimit(limits, w, counter.starts[w] ?? 0);
    if (limit === Number.POSITIVE_INFINITY) continue;
    room.limit = Math.min(room.limit, limit);
    room.until = Math.min(room.until, windowEnd(w, now));
    const used = part?.used[w] ?? 0;
    const others = taken(books, counter, w, limit, member);
    const left = limit - others - used;
    room.messages = Math.min(room.messages, left);
    open = Math.min(open, (part?.saved[w] ?? 0) + gate(w, limit, books.gateMembers) - used);
    if (left < 1) {
      room.at = Math.max(room.at, windowEnd(w, now));
      room.reserved ||= used + usedByOthers(counter, w, part) < limit;
    } else if (limits.pacing === "smooth" && w !== DAY) {
      const pace = paced(counter.paces[w], Math.max(1, limit * own), LENGTHS[w], now);
      if (pace.left < 1) room.at = Math.max(room.at, pace.nextAt);
      room.messages = Math.min(room.messages, pace.left);
      room.until = Math.min(room.until, now + HAND_MS);
    }
  }
  octets(books, counter, room, now);
  if (room.at === Number.NEGATIVE_INFINITY) room.at = Number.POSITIVE_INFINITY;
  room.gated = open < 1 && room.messages >= 1;
  room.messages = Math.min(room.messages, open);
  return room;
}

export function usedByOthers(counter: Counter, window: Window, own: Part | undefined): number {
  let sum = counter.base[window] ?? 0;
  for (const part of counter.parts.values()) if (part !== own) sum += part.used[window] ?? 0;
  return sum;
}

/** Octets a second: what was granted is a debt, at the average size of a message, that time pays off; reports put the size right. */
function octets(books: Books, counter: Counter, room: Room, now: number): void {
  const rate = payOff(books, counter, now);
  if (rate === Number.POSITIVE_INFINITY) return;
  if (counter.debt > 0) {
    room.messages = 0;
    room.at = Math.max(room.at, now + Math.max(1, Math.ceil((counter.debt * 1000) / rate)));
  } else room.messages = Math.min(room.messages, Math.max(1, Math.floor((rate * AHEAD_MS) / 1000 / counter.average)));
}

/** Octets a second that this server may give: lost members go on with their share of them. */
export function payOff(books: Books, counter: Counter, now: number): number {
  const { bytesPerSecond } = counter.rule.limits;
  if (bytesPerSecond === 0) {
    counter.debt = 0;
    counter.debtAt = now;
    return Number.POSITIVE_INFINITY;
  }
  const rate = Math.max(1, bytesPerSecond * (1 - away(books)));
  counter.debt = Math.max(0, counter.debt - (rate * (now - counter.debtAt)) / 1000);
  counter.debtAt = now;
  return rate;
}

/** The part of everything that lost members go on with: what flows evenly flows for the others without it. */
function away(books: Books): number {
  let sum = 0;
  for (const { state, members } of books.doubtful) if (state === "lost" && members > 0) sum += 1 / members;
  return Math.min(1, sum);
}
