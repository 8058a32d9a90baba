/**
 * New rules, and changes from above (the governor). Counters stay: those of rules with the same id and scope go on counting. What no longer
 * fits is revoked, what waits is placed anew, and messages granted under other limits are called back.
 */
import { matchRule, type MxRules } from "../../model/mx-rules.ts";
import { type Books, type Conn, type Counter, type Member, openCounter, openPart, roll } from "./books.ts";
import { revoke, revokeExcess, tellHold } from "./holds.ts";
import { serve } from "./serve.ts";
import { dequeue, enqueue } from "./waiting.ts";

/** Rules in one line of the protocol. */
const CHUNK = 100;

export function changeRules(books: Books, rules: MxRules, now: number): void {
  const before = books.rules;
  books.rules = rules;
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  for (const counter of books.counters.values()) {
    const rule = byId.get(counter.rule.id);
    if (rule !== undefined && rule.limits.scope === counter.rule.limits.scope) counter.rule = rule;
  }
  const touched = new Set<Counter>();
  for (const member of everybody(books))
    for (const conn of member.conns.values()) touched.add(moveConn(books, conn, now));
  for (const counter of touched) revokeExcess(counter, now);
  for (const member of books.members.values()) {
    tellRules(books, member);
    const open = [...member.conns.values()].filter(({ revoked }) => !revoked);
    if (open.length > 0) member.send({ t: "void", conns: open.map(({ id }) => id) });
    replace(books, member, now);
  }
  if (before !== rules) reconsider(books, null, now);
}

function* everybody(books: Books): Generator<Member> {
  yield* books.members.values();
  for (const member of books.doubtful) if (books.members.get(member.name) !== member) yield member;
}

/** A connection counts where its path belongs now. */
function moveConn(books: Books, conn: Conn, now: number): Counter {
  const { mx, ip, publicId } = conn.path;
  const counter = openCounter(books, matchRule(books.rules, mx, publicId), publicId, ip, now);
  if (counter === conn.counter) return counter;
  conn.counter.conns.delete(conn);
  openPart(conn.member, conn.counter).conns--;
  counter.conns.add(conn);
  openPart(conn.member, counter).conns++;
  conn.counter = counter;
  conn.movedAt = now;
  return counter;
}

/** Requests wait where they belong now, in their order. What was asked for a connection is asked anew when it is called back. */
function replace(books: Books, member: Member, now: number): void {
  for (const request of member.requests.values()) {
    dequeue(books, request);
    if (request.conn !== null && request.conn.revoked) {
      request.done = true;
      member.requests.delete(request.id);
    } else enqueue(books, request, now);
  }
}

export function tellRules(books: Books, member: Member): void {
  const { rules } = books;
  for (let i = 0; i === 0 || i < rules.length; i += CHUNK)
    member.send({ t: "rules", first: i === 0, last: i + CHUNK >= rules.length, rules: rules.slice(i, i + CHUNK) });
}

type Which = { readonly site?: string; readonly publicId?: number } | null;

function concerns(which: Which, site: string, publicId: number): boolean {
  return (
    which === null ||
    ((which.site === undefined || which.site === site) && (which.publicId === undefined || which.publicId === publicId))
  );
}

/** What is open is held against the governor again, and who waits is looked at and told anew. */
export function reconsider(books: Books, which: Which, now: number): void {
  const open = new Map<string, number>();
  for (const member of books.members.values())
    for (const conn of [...member.conns.values()].sort((a, b) => a.since - b.since)) {
      if (conn.revoked || !concerns(which, conn.site, conn.path.publicId)) continue;
      regovern(books, conn, open, now);
    }
  for (const counter of books.waiting) {
    roll(counter, now);
    serve(books, counter, now);
    for (const line of counter.lines)
      for (const list of [line.urgentMore, line.urgentConn, line.more, line.conn])
        for (const request of list)
          if (request.hold !== null && concerns(which, request.site, request.publicId)) tellHold(books, request, now);
  }
}

/** `open`: connections of each site × public id that were found good so far. `tell`: its limits, whether they have changed or not. */
export function regovern(books: Books, conn: Conn, open: Map<string, number>, now: number, tell = false): void {
  const { limits, hold, connections } = books.governor.govern(conn.site, conn.path, conn.counter.rule.limits, now);
  if (hold !== null) return revoke(conn, hold);
  const key = `${conn.site}|${conn.path.publicId}`;
  const count = (open.get(key) ?? 0) + 1;
  open.set(key, count);
  if (count > connections) {
    const text = `${connections} connections are allowed for now`;
    return revoke(conn, { kind: "back-off", by: conn.counter.rule.id, text, since: now, until: 0 });
  }
  if (limits === conn.limits && !tell) return;
  conn.limits = limits;
  conn.member.send({ t: "limits", conns: [conn.id], limits });
}
