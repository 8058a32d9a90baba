/** What a member asks for and gives back. Each function leaves the books in order; whoever calls serves the counters it returns. */
import type { ClientMessage, GivenBack } from "../../quota/messages.ts";
import { DAY, WINDOWS, windowStart } from "../../quota/counter.ts";
import { giveBackTo } from "../../quota/pace.ts";
import { type Books, type Conn, type Counter, type Member, type Request, dropConn, openPart, roll } from "./books.ts";
import { dequeue, enqueue } from "./waiting.ts";

type Said<T extends ClientMessage["t"]> = Extract<ClientMessage, { t: T }>;

/** Requests of one member that wait. A lane has some of them, and a machine a thousand lanes. */
const MOST_WAITING = 20_000;
/** Counters a member reports after a loss. */
const MOST_REPORTED = 500_000;

export function takeRequest(
  books: Books,
  member: Member,
  said: Said<"acquire"> | Said<"more">,
  now: number,
): Request | null {
  if (member.reporting !== null) throw new Error("asked before it said what it used");
  if (member.requests.has(said.id)) throw new Error("the number of the request is in use");
  if (member.requests.size >= MOST_WAITING) throw new Error("too many requests wait");
  let conn: Conn | null = null;
  if (said.t === "more") {
    conn = member.conns.get(said.conn) ?? null;
    if (conn === null) {
      const hold = {
        kind: "connections",
        by: "",
        text: "the connection is not known here",
        since: now,
        until: 0,
      } as const;
      member.send({ t: "revoke", conns: [said.conn], hold });
    }
    // Nothing is granted over a revoked one; the client drops what it asked for.
    if (conn === null || conn.revoked) return null;
  } else if (member.conns.has(said.id)) throw new Error("the number of the connection is in use");
  const request: Request = {
    id: said.id,
    order: books.order++,
    at: now,
    member,
    site: conn?.site ?? (said.t === "acquire" ? said.site : ""),
    publicId: conn?.path.publicId ?? (said.t === "acquire" ? said.publicId : 0),
    urgent: said.urgent,
    messages: Math.max(1, said.messages),
    exchangers: said.t === "acquire" ? said.exchangers : [],
    conn,
    places: new Map(),
    done: false,
    hold: null,
  };
  member.requests.set(request.id, request);
  enqueue(books, request, now);
  return request;
}

/** It is no longer wanted. If it was granted meanwhile the grant is taken back: the client drops it. The counter that may have room now. */
export function cancel(books: Books, member: Member, id: number, now: number): Counter | null {
  const request = member.requests.get(id);
  if (request !== undefined) {
    request.done = true;
    member.requests.delete(id);
    dequeue(books, request);
    return null;
  }
  for (const conn of member.conns.values()) {
    const { last, counter } = conn;
    if (last.id !== id) continue;
    conn.last = { id: 0, at: 0, messages: 0 };
    if (conn.id === id) release(books, conn, [[last.at, last.messages]], now);
    else giveBack(books, conn, [[last.at, last.messages]], now);
    return counter;
  }
  return null;
}

/** Messages that were not attempted count no longer in the windows of their grant that still run. */
export function giveBack(books: Books, conn: Conn, back: readonly GivenBack[], now: number): void {
  const { counter, member } = conn;
  roll(counter, now);
  const part = openPart(member, counter);
  for (const [at, messages] of back) {
    const count = Math.min(messages, conn.granted);
    if (count < 1 || at > now) continue;
    conn.granted -= count;
    if (at < conn.movedAt) continue;
    for (const w of WINDOWS)
      if (windowStart(w, at) === counter.starts[w]) part.used[w] = Math.max(0, (part.used[w] ?? 0) - count);
    for (const pace of counter.paces) giveBackTo(pace, at, count);
    counter.debt = Math.max(0, counter.debt - count * counter.average);
    if (windowStart(DAY, at) === counter.starts[DAY]) books.governor.granted(conn.site, conn.path, -count, now);
  }
}

export function release(books: Books, conn: Conn, back: readonly GivenBack[], now: number): void {
  giveBack(books, conn, back, now);
  for (const request of conn.member.requests.values())
    if (request.conn === conn) {
      cancel(books, conn.member, request.id, now);
      break;
    }
  openPart(conn.member, conn.counter).lastUse = now;
  dropConn(books, conn);
}

export function takeUsed(member: Member, { counters }: Said<"used">): void {
  if (member.reporting === null) throw new Error("has said already what it used");
  if (member.reporting.length + counters.length > MOST_REPORTED) throw new Error("reports too many counters");
  member.reporting.push(...counters);
}

/** Octets of a report: what was charged by the average is put right, and the average with it. */
export function chargeBytes(counter: Counter, attempts: number, bytes: number): void {
  if (counter.rule.limits.bytesPerSecond === 0 || attempts < 1) return;
  counter.debt = Math.max(0, counter.debt + bytes - attempts * counter.average);
  counter.average = Math.max(500, 0.8 * counter.average + (0.2 * bytes) / attempts);
}
