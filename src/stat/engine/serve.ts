/**
 * Granting. `serve` is called whenever something may have changed at a counter: a request came, a connection or messages were given back,
 * a stake became smaller, a window began. Members take turns: one grant each, then the next one. When nobody can be served any more it sees
 * to it that it is called again: an alarm for what time brings, stakes asked back, turns ended (fair.ts).
 */
import { type Books, type Conn, type Counter, type Line, type Request, openConn, openPart, roll } from "./books.ts";
import { take } from "../../quota/pace.ts";
import { endTurns } from "./fair.ts";
import { tellHold } from "./holds.ts";
import { type Room, connRoom, messageRoom } from "./room.ts";
import { squeeze, touch } from "./shares.ts";
import { type Choice, dequeue, pick, rotate } from "./waiting.ts";

/** Messages of one grant. */
const MOST_MESSAGES = 500;
/** Where others use the counter too, a grant is at most this part of the smallest limit: what one holds unused nobody else can have. */
const PORTION = 10;
/** Stakes are asked back, and turns ended, not more often than this at one counter. */
const LOOK_MS = 500;

/** Why those who wait were not served. */
interface Shut {
  /** No messages; of these, because others' stakes are in the way. */
  full: boolean;
  reserved: boolean;
  conns: boolean;
  gated: boolean;
  /** When time may change it. */
  at: number;
}

const OPEN: Shut = { full: false, reserved: false, conns: false, gated: false, at: Number.POSITIVE_INFINITY };
const NO_CONNS = { conns: 0, gated: false };
/** Why it takes so long is told anew not more often than this: there may be thousands to tell. */
const SHOW_MS = 5000;

export function serve(books: Books, counter: Counter, now: number): void {
  if (counter.waiting === 0) return;
  roll(counter, now);
  let shut: Shut = OPEN;
  for (let served = true; served;) {
    served = false;
    shut = { full: false, reserved: false, conns: false, gated: false, at: Number.POSITIVE_INFINITY };
    for (const line of counter.lines) {
      const { member } = line;
      if (!member.known || member.reporting !== null) continue;
      const room = messageRoom(books, counter, member, now);
      const wanted = line.conn.size + line.urgentConn.size > 0;
      const conns = wanted ? connRoom(books, counter, member) : NO_CONNS;
      if (wanted && conns.conns < 1) {
        shut.gated ||= conns.gated;
        shut.conns ||= !conns.gated;
      }
      if (room.messages < 1) {
        shut.gated ||= room.gated;
        shut.full = true;
        shut.reserved ||= room.reserved;
        shut.at = Math.min(shut.at, room.at);
        continue;
      }
      const choice = pick(line, conns.conns > 0, (request) => allowed(books, counter, request, room, now));
      if (choice === null) continue;
      grant(books, counter, line, choice, room, now);
      served = true;
      break;
    }
  }
  if (counter.waiting > 0) waitOn(books, counter, shut, now);
}

/** Whether the governor lets the request go over one of its paths of this counter. */
function allowed(books: Books, counter: Counter, request: Request, room: Room, now: number): Choice | null {
  const { conn, site } = request;
  for (const path of request.places.get(counter) ?? []) {
    const governed = books.governor.govern(site, path, counter.rule.limits, now);
    if (governed.hold !== null || governed.messages < 1) continue;
    if (conn === null && (books.sites.get(`${site}|${path.publicId}`) ?? 0) >= governed.connections) continue;
    return { request, path, messages: Math.min(room.messages, governed.messages) };
  }
  return null;
}

function grant(books: Books, counter: Counter, line: Line, choice: Choice, room: Room, now: number): void {
  const { request, path } = choice;
  const { member } = line;
  const part = openPart(member, counter);
  let most = Math.min(request.messages, choice.messages, MOST_MESSAGES);
  if (counter.lines.length > 1) most = Math.min(most, Math.max(1, Math.floor(room.messages / counter.lines.length)));
  if (counter.parts.size > 1) most = Math.min(most, Math.max(1, Math.ceil(room.limit / PORTION)));
  const { limits } = books.governor.govern(request.site, path, counter.rule.limits, now);
  if (request.conn !== null) most = Math.min(most, Math.max(1, limits.messagesPerConnection - request.conn.granted));
  const messages = Math.max(1, Math.floor(most));
  rotate(counter, line);
  dequeue(books, request);
  request.done = true;
  member.requests.delete(request.id);
  let conn: Conn | null = request.conn;
  conn ??= openConn(
    books,
    { id: request.id, member, site: request.site, path, since: now, granted: 0, limits },
    counter,
  );
  conn.granted += messages;
  conn.last = { id: request.id, at: now, messages };
  for (let w = 0; w < 3; w++) part.used[w] = (part.used[w] ?? 0) + messages;
  for (const pace of counter.paces) take(pace, messages);
  counter.debt += messages * counter.average;
  books.governor.granted(request.site, path, messages, now);
  touch(books, part, now);
  const chosen = request.exchangers.findIndex(({ mx, ip }) => mx === path.mx && ip === path.ip);
  member.send({
    t: "grant",
    id: request.id,
    conn: conn.id,
    chosen,
    limits: request.conn === null ? limits : null,
    messages,
    at: now,
    until: room.until,
  });
}

function waitOn(books: Books, counter: Counter, shut: Shut, now: number): void {
  let at = shut.at;
  if (shut.gated) books.gated.add(counter);
  if (shut.reserved || shut.conns) {
    if (now >= counter.lookAt) {
      counter.lookAt = now + LOOK_MS;
      let again = Number.POSITIVE_INFINITY;
      if (shut.reserved) again = squeeze(books, counter, false, now);
      if (shut.conns) again = Math.min(again, squeeze(books, counter, true, now), endTurns(books, counter, now));
      counter.againAt = Math.max(counter.lookAt, again);
    } else counter.againAt = Math.min(counter.againAt, counter.lookAt);
    at = Math.min(at, counter.againAt);
  }
  const shown = `${shut.full} ${shut.conns} ${shut.gated} ${counter.rule.limits.pacing === "smooth" ? 0 : shut.at}`;
  const tell = shown !== counter.shown && now >= counter.shownAt + SHOW_MS;
  if (shown !== counter.shown && !tell) at = Math.min(at, counter.shownAt + SHOW_MS);
  books.alarm(counter, Math.max(at, now + 1));
  if (!tell) return;
  counter.shown = shown;
  counter.shownAt = now;
  for (const line of counter.lines)
    for (const list of [line.urgentMore, line.urgentConn, line.more, line.conn])
      for (const request of list) if (request.hold !== null) tellHold(books, request, now);
}

/** A request has begun to wait: its member gets a stake where it waits, and is told why. */
export function beginWait(books: Books, request: Request, now: number): void {
  for (const counter of request.places.keys()) touch(books, openPart(request.member, counter), now);
  tellHold(books, request, now);
}
