/**
 * Coming and going of members. Who comes says what it holds, then what it used; only then is anything granted to it. A process that was
 * here before goes on where it was: what it tells replaces what was thought of it. Another process of the same name has forgotten
 * everything: the old one is dead, and what it may have used by its share counts as used. Who is lost keeps its share until the horizon.
 */
import { matchRule } from "../../model/mx-rules.ts";
import { DAY, WINDOWS, readCounterName, windowEnd, windowLimit } from "../../quota/counter.ts";
import type { ClientMessage, ServerMessage, UsedCounter } from "../../quota/messages.ts";
import { type Books, type Counter, type Member, dropConn, openConn, openCounter, openPart, roll } from "./books.ts";
import { revokeExcess } from "./holds.ts";
import { kept, membersOf } from "./kept.ts";
import { balance } from "./members.ts";
import { fit, tellShares } from "./shares.ts";
import { dequeue } from "./waiting.ts";

export type Hello = Extract<ClientMessage, { t: "hello" }>;

/** Connections of a lost member end a little after its horizon: an attempt that has begun is finished. */
export const ENDING_MS = 30_000;
/** Windows but the day are over so long after a member went. */
export const WINDOWS_MS = 300_000;
const MOST_GONE = 200;

export function openMember(name: string, process: string, send: (message: ServerMessage) => void): Member {
  return {
    name,
    process,
    state: "live",
    send,
    reporting: [],
    reported: "",
    settled: false,
    known: false,
    snapped: false,
    members: 0,
    membersNext: 0,
    membersSeq: 0,
    plan: 0,
    planSnapped: false,
    seq: 0,
    untold: new Map(),
    settleSeq: 0,
    changes: new Set(),
    activeUntil: Number.POSITIVE_INFINITY,
    leavesAt: Number.POSITIVE_INFINITY,
    gapEnd: 0,
    parts: new Map(),
    requests: new Map(),
    conns: new Map(),
  };
}

/** Returns the member and the counters that may have got room. */
export function joinMember(books: Books, name: string, hello: Hello, now: number, send: Member["send"]): Member {
  const live = books.members.get(name);
  if (live !== undefined) loseMember(books, live, now);
  let member: Member | undefined;
  for (const other of [...books.doubtful, ...books.gone]) {
    if (other.name !== name) continue;
    if (other.process === hello.process && other.state !== "dead") member = other;
    else if (other.state === "lost") bury(books, other, hello.unsure !== false, now);
  }
  if (member === undefined) {
    member = openMember(name, hello.process, send);
    books.doubtful.add(member);
  } else {
    member.state = "live";
    member.send = send;
    member.reporting = [];
    member.reported = "";
    member.settled = false;
    member.settleSeq = 0;
    member.leavesAt = Number.POSITIVE_INFINITY;
    books.doubtful.add(member);
    const at = books.gone.indexOf(member);
    if (at >= 0) books.gone.splice(at, 1);
  }
  books.members.set(name, member);
  takeHeld(books, member, hello, now);
  return member;
}

function takeHeld(books: Books, member: Member, hello: Hello, now: number): void {
  const held = new Set(hello.held.map(({ conn }) => conn));
  for (const conn of member.conns.values()) if (!held.has(conn.id)) dropConn(books, conn);
  const touched = new Set<Counter>();
  for (const { conn: id, site, publicId, exchanger, granted } of hello.held) {
    const known = member.conns.get(id);
    // What was granted but not heard may have been taken by its share instead, elsewhere.
    const same = known?.site === site && known.path.ip === exchanger.ip && known.path.publicId === publicId;
    if (known !== undefined && !same) dropConn(books, known);
    else if (known !== undefined) {
      known.granted = granted;
      // Nor may it be taken back when its request is cancelled: what the member reports does not have it.
      known.last = { id: 0, at: 0, messages: 0 };
      known.revoked = false;
      touched.add(known.counter);
      continue;
    }
    const path = { publicId, mx: exchanger.mx, ip: exchanger.ip };
    const rule = matchRule(books.rules, path.mx, publicId);
    const counter = openCounter(books, rule, publicId, path.ip, now);
    openConn(books, { id, member, site, path, since: now, granted, limits: rule.limits }, counter);
    touched.add(counter);
  }
  for (const counter of touched) revokeExcess(counter, now);
}

/** The last of what it used has come: it takes part from now on. */
export function endReport(books: Books, member: Member, now: number): void {
  const report = member.reporting ?? [];
  member.reporting = null;
  member.gapEnd = 0;
  // Behind its horizon a process has forgotten its share, and others have it.
  if (now >= member.activeUntil + books.endingMs) member.members = member.membersNext = member.membersSeq = 0;
  member.activeUntil = Number.POSITIVE_INFINITY;
  for (const part of member.parts.values()) {
    roll(part.counter, now);
    part.used.fill(0);
  }
  for (const each of report) take(books, member, each, now);
  member.changes.clear();
  member.untold.clear();
  member.reported = "heard";
  balance(books);
}

/** Those whose report is stored are told their shares anew: until they have heard it their whole share is kept. */
export function settleReported(books: Books): void {
  for (const member of books.members.values()) {
    if (member.reported !== "saved") continue;
    member.reported = "";
    for (const part of member.parts.values()) {
      part.halvings = -1;
      part.seq = 0;
      const stake = part.conns > 0 || part.used.some((used) => used > 0);
      part.next = stake && membersOf(member) > 0 ? fit(books, part, membersOf(member), 0) : -1;
    }
    if (member.membersSeq !== 0) member.membersSeq = -1;
    tellShares(books, member, true);
  }
}

function take(books: Books, member: Member, { counter: name, used }: UsedCounter, now: number): void {
  let counter = books.counters.get(name);
  if (counter === undefined) {
    const read = readCounterName(name);
    const rule = books.rules.find(({ id }) => id === read?.rule);
    if (read === null || rule === undefined || rule.limits.scope !== read.scope) return;
    counter = openCounter(books, rule, read.publicId ?? 0, read.ip, now);
  }
  roll(counter, now);
  const part = openPart(member, counter);
  for (const w of WINDOWS) {
    const [start, messages] = used[w] ?? [0, 0];
    if (start === counter.starts[w]) part.used[w] = Math.max(0, messages);
  }
}

export function loseMember(books: Books, member: Member, now: number): void {
  books.members.delete(member.name);
  for (const request of member.requests.values()) {
    request.done = true;
    dequeue(books, request);
  }
  member.requests.clear();
  member.changes.clear();
  books.dirty.delete(member);
  member.plan = 0;
  member.state = "lost";
  member.reporting = null;
  member.activeUntil = now + books.horizonMs;
  member.leavesAt = member.activeUntil + Math.max(books.endingMs, WINDOWS_MS);
  books.doubtful.add(member);
}

/** Its process has ended: its connections are closed, its share is not used in windows that begin from now on, nor was it, if that is sure. */
function bury(books: Books, member: Member, unsure: boolean, now: number): void {
  member.state = "dead";
  if (!unsure) member.members = member.membersNext = 0;
  for (const conn of member.conns.values()) dropConn(books, conn);
  member.activeUntil = Math.min(member.activeUntil, now);
  member.leavesAt = now + WINDOWS_MS;
  member.gapEnd = Math.min(member.gapEnd, now);
}

/** Ends what time ends. Whether room may have appeared somewhere. */
export function passAway(books: Books, now: number): boolean {
  let changed = false;
  for (const member of books.doubtful) {
    if (member.state === "live") continue;
    if (member.state === "lost" && now >= member.activeUntil + books.endingMs) {
      member.state = "gone";
      for (const conn of member.conns.values()) dropConn(books, conn);
      changed = true;
    }
    if (now < member.leavesAt) continue;
    // What it may have been granted in the day of a restart is not known of counters where it is not seen.
    if (member.gapEnd > 0 && now < windowEnd(DAY, member.gapEnd)) {
      member.leavesAt = windowEnd(DAY, member.gapEnd);
      continue;
    }
    books.doubtful.delete(member);
    changed = true;
    if (member.state === "dead") fold(books, member, now);
    else {
      books.gone.push(member);
      const oldest = books.gone.length > MOST_GONE ? books.gone.shift() : undefined;
      if (oldest !== undefined) fold(books, oldest, now);
    }
  }
  if (changed) balance(books);
  return changed;
}

/** Forgets a member; what it used stays counted. */
function fold(books: Books, member: Member, now: number): void {
  for (const [counter, part] of member.parts) {
    roll(counter, now);
    for (const w of WINDOWS) {
      const start = counter.starts[w] ?? 0;
      const limit = windowLimit(counter.rule.limits, w, start);
      const most = limit === Number.POSITIVE_INFINITY ? 0 : kept(books, member, part, w, limit, start);
      counter.base[w] = (counter.base[w] ?? 0) + Math.max(part.used[w] ?? 0, most);
    }
    counter.parts.delete(member);
  }
  member.parts.clear();
}

/** When `passAway` has something to do. */
export function passesAt(books: Books): number {
  let at = Number.POSITIVE_INFINITY;
  for (const member of books.doubtful) {
    if (member.state === "live") continue;
    at = Math.min(at, member.leavesAt);
    if (member.state === "lost") at = Math.min(at, member.activeUntil + books.endingMs);
  }
  return at;
}
