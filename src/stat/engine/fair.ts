/**
 * Turns at connections: who holds some while others wait gives one up after a while. A member may have limit ÷ members (those that hold or
 * wait) and at least one; who has fewer and waits is owed one, from the member that has most. Inside a member a lane that has none is owed
 * one from another lane. So even one connection goes round among five machines.
 */
import type { Books, Conn, Counter, Member, Request } from "./books.ts";
import { revokeTurn } from "./holds.ts";

/** A connection is held at least so long: an SMTP session costs several round trips before its first message. */
const TURN_MS = 10_000;

/** Revokes what is owed. When to look again; Infinity: nobody is owed anything. */
export function endTurns(books: Books, counter: Counter, now: number): number {
  const waiting = counter.lines
    .filter(({ member }) => member.reporting === null)
    .map((line) => ({ member: line.member, requests: [...line.urgentConn, ...line.conn].filter(mayGo) }))
    .filter(({ requests }) => requests.length > 0);
  if (waiting.length === 0) return Number.POSITIVE_INFINITY;
  const held = new Map<Member, Conn[]>();
  let leaving = 0;
  for (const conn of counter.conns) {
    if (conn.revoked) leaving++;
    else if (conn.member.state !== "live") continue;
    else if (held.has(conn.member)) held.get(conn.member)?.push(conn);
    else held.set(conn.member, [conn]);
  }
  const units = new Set([...held.keys(), ...waiting.map(({ member }) => member)]).size;
  const share = counter.rule.limits.connections / units;
  let owed = 0;
  for (const line of waiting) {
    const has = held.get(line.member)?.length ?? 0;
    owed += Math.min(line.requests.length, Math.max(0, Math.max(1, Math.floor(share)) - has));
  }
  let again = Number.POSITIVE_INFINITY;
  const rich = [...held].filter(([, conns]) => conns.length > share).sort(([, a], [, b]) => b.length - a.length);
  for (const [, conns] of rich) {
    if (owed <= leaving) break;
    let most = Math.ceil(conns.length - share);
    for (const conn of conns.sort((a, b) => a.since - b.since)) {
      if (owed <= leaving || most-- <= 0) break;
      if (now - conn.since < TURN_MS) {
        again = Math.min(again, conn.since + TURN_MS);
        break;
      }
      revokeTurn(books, conn, now);
      leaving++;
    }
  }
  for (const { member, requests } of waiting)
    again = Math.min(again, endLaneTurns(books, held.get(member) ?? [], requests, leaving, now));
  return again;
}

/** What is stopped from above could not use a turn. */
function mayGo({ hold }: Request): boolean {
  return hold === null || (hold.kind !== "back-off" && hold.kind !== "suspension" && hold.kind !== "warm-up");
}

/** One connection of a member goes to the lane of it that has waited longest and has none. */
function endLaneTurns(
  books: Books,
  conns: readonly Conn[],
  requests: readonly Request[],
  leaving: number,
  now: number,
): number {
  const [oldest] = conns.toSorted((a, b) => a.since - b.since);
  // One that is leaving makes room: a second one is not ended for the same wait.
  if (leaving > 0 || oldest === undefined) return Number.POSITIVE_INFINITY;
  const lanes = new Set(conns.map(({ site, path }) => `${site}|${path.publicId}`));
  const without = requests.find(({ site, publicId }) => !lanes.has(`${site}|${publicId}`));
  if (without === undefined) return Number.POSITIVE_INFINITY;
  const at = Math.max(without.at, oldest.since) + TURN_MS;
  if (at <= now) revokeTurn(books, oldest, now);
  return Math.max(at, now);
}
