/**
 * What survives the server: members with their shares and connections, counters with what each member used. A restored server takes every
 * member for lost: its share is kept until the horizon or until it reports. What was granted between the snapshot and the end is not
 * known, but bounded by the gate (room.ts): so much of each limit for each member, and that much is taken for used. The pace of a smooth
 * rule is not saved: after a restart its first turn is taken for used, which costs a portion.
 */
import { matchRule } from "../../model/mx-rules.ts";
import { DAY, WINDOWS, readCounterName, windowEnd, windowLimit, windowStart } from "../../quota/counter.ts";
import { type Books, type Counter, type Member, openConn, openCounter, openPart } from "./books.ts";
import { WINDOWS_MS, openMember } from "./join.ts";
import { gate } from "./kept.ts";
import { countMembers, shareTold } from "./members.ts";

interface Snapshot {
  readonly version: 1;
  readonly at: number;
  readonly members: number;
  readonly who: readonly MemberShot[];
  readonly counters: readonly CounterShot[];
}

interface MemberShot {
  readonly name: string;
  readonly process: string;
  readonly state: Member["state"];
  readonly members: number;
  readonly activeUntil: number;
  readonly gapEnd: number;
  readonly conns: readonly (readonly [
    id: number,
    site: string,
    publicId: number,
    mx: string,
    ip: string,
    granted: number,
    since: number,
  ])[];
}

/** Name, what is left of forgotten members, the debt of octets, the average size, and by member (its place in `who`) what it used. */
type CounterShot = readonly [string, number[], number, number, (readonly [who: number, ...used: number[]])[]];

export function takeSnapshot(books: Books, now: number): Snapshot {
  const everybody = [...new Set([...books.members.values(), ...books.doubtful, ...books.gone])];
  const place = new Map(everybody.map((member, i) => [member, i]));
  for (const member of books.members.values()) {
    member.snapped = true;
    member.planSnapped = member.plan > 0;
    if (member.reported === "heard") member.reported = "snapped";
  }
  books.snappedMembers = Math.max(1, countMembers(books));
  books.gateMembers = Math.max(books.gateMembers, books.snappedMembers);
  const counters: CounterShot[] = [];
  for (const counter of books.counters.values()) {
    const running = WINDOWS.map((w) => counter.starts[w] === windowStart(w, now));
    const parts: [number, ...number[]][] = [];
    for (const part of counter.parts.values()) {
      const used = part.used.map((count, w) => (running[w] ? count : 0));
      for (const w of WINDOWS) part.snapped[w] = used[w] ?? 0;
      part.snappedConns = part.conns;
      if (part.conns > 0 || used.some((count) => count > 0)) parts.push([place.get(part.member) ?? -1, ...used]);
    }
    const base = counter.base.map((count, w) => (running[w] ? count : 0));
    if (parts.length === 0 && base.every((count) => count === 0) && counter.debt === 0) continue;
    counters.push([counter.name, base, Math.round(counter.debt), Math.round(counter.average), parts]);
  }
  return {
    version: 1,
    at: now,
    members: books.snappedMembers,
    who: everybody.map((member) => ({
      name: member.name,
      process: member.process,
      state: member.state,
      members: shareTold(member),
      activeUntil: Number.isFinite(member.activeUntil) ? member.activeUntil : 0,
      gapEnd: member.gapEnd,
      conns: [...member.conns.values()].map(({ id, site, path, granted, since }) => [
        id,
        site,
        path.publicId,
        path.mx,
        path.ip,
        granted,
        since,
      ]),
    })),
    counters,
  };
}

/** The snapshot is stored: the gate opens by a share. */
export function storeSnapshot(books: Books): void {
  books.gateMembers = books.snappedMembers;
  for (const counter of books.counters.values())
    for (const part of counter.parts.values()) {
      for (const w of WINDOWS) part.saved[w] = part.snapped[w] ?? 0;
      part.savedConns = part.snappedConns;
    }
  for (const member of books.members.values()) {
    member.known ||= member.snapped;
    if (member.reported === "snapped") member.reported = "saved";
  }
}

export function restoreSnapshot(books: Books, body: unknown, now: number): void {
  if (!isSnapshot(body)) throw new Error("the snapshot is of another version");
  books.gapMembers = Math.max(1, body.members);
  books.restoredAt = now;
  const who = body.who.map((shot) => restoreMember(books, shot, now));
  for (const [name, base, debt, average, parts] of body.counters) {
    const read = readCounterName(name);
    const rule = books.rules.find(({ id }) => id === read?.rule);
    if (read === null || rule === undefined || rule.limits.scope !== read.scope) continue;
    const counter = openCounter(books, rule, read.publicId ?? 0, read.ip, now);
    counter.debt = debt;
    counter.average = average;
    for (const w of WINDOWS) if (same(w, body.at, now)) counter.base[w] = base[w] ?? 0;
    for (const [place, ...used] of parts) {
      const member = who[place];
      if (member !== undefined) restorePart(books, counter, member, used, body.at, now);
    }
  }
}

const same = (w: 0 | 1 | 2, a: number, b: number): boolean => windowStart(w, a) === windowStart(w, b);

function restoreMember(books: Books, shot: MemberShot, now: number): Member {
  const member = openMember(shot.name, shot.process, () => {});
  const ended = shot.state === "dead" || shot.state === "gone";
  member.reporting = null;
  member.known = true;
  member.members = member.membersNext = shot.members;
  member.state = ended ? shot.state : "lost";
  member.gapEnd = shot.state === "dead" ? shot.gapEnd : now;
  // Whoever was lost before may have come back and gone on in the gap: the horizon of everybody begins anew.
  member.activeUntil = ended ? shot.activeUntil : now + books.horizonMs;
  member.leavesAt = Math.max(member.activeUntil, now) + Math.max(books.endingMs, WINDOWS_MS);
  if (member.state === "gone") member.leavesAt = Math.max(member.leavesAt, windowEnd(DAY, now));
  books.doubtful.add(member);
  for (const [id, site, publicId, mx, ip, granted, since] of shot.conns) {
    const rule = matchRule(books.rules, mx, publicId);
    const counter = openCounter(books, rule, publicId, ip, now);
    openConn(books, { id, member, site, path: { publicId, mx, ip }, since, granted, limits: rule.limits }, counter);
  }
  return member;
}

function restorePart(
  books: Books,
  counter: Counter,
  member: Member,
  used: readonly number[],
  at: number,
  now: number,
): void {
  const part = openPart(member, counter);
  for (const w of WINDOWS) {
    if (!same(w, at, now)) continue;
    const limit = windowLimit(counter.rule.limits, w, counter.starts[w] ?? 0);
    const gap = member.state === "dead" || limit === Number.POSITIVE_INFINITY ? 0 : gate(w, limit, books.gapMembers);
    part.used[w] = (used[w] ?? 0) + gap;
  }
}

function isSnapshot(body: unknown): body is Snapshot {
  return typeof body === "object" && body !== null && "version" in body && body.version === 1;
}
