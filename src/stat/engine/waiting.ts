/**
 * Who waits where. A request waits at every counter one of its exchangers belongs to, in the line of its member; the lines of a counter
 * take turns, and within a line the urgent ones come first, then the oldest. Sets keep the order of insertion and lose a request at once.
 */
import type { Path } from "../../model/traffic.ts";
import { matchRule } from "../../model/mx-rules.ts";
import { type Books, type Counter, type Line, type Request, openCounter } from "./books.ts";

/** A lane wants one of its nearest exchangers; who sits behind thirty others is never asked. */
const MOST_EXCHANGERS = 32;

/** Finds the counters of a request and puts it into their lines. In the order of its exchangers. */
export function enqueue(books: Books, request: Request, now: number): void {
  if (request.conn !== null) request.places.set(request.conn.counter, [request.conn.path]);
  else
    for (const { mx, ip } of request.exchangers.slice(0, MOST_EXCHANGERS)) {
      const { publicId } = request;
      const counter = openCounter(books, matchRule(books.rules, mx, publicId), publicId, ip, now);
      const paths = request.places.get(counter);
      if (paths === undefined) request.places.set(counter, [{ publicId, mx, ip }]);
      else paths.push({ publicId, mx, ip });
    }
  for (const counter of request.places.keys()) {
    let line = counter.lines.find(({ member }) => member === request.member);
    if (line === undefined) {
      line = {
        member: request.member,
        urgentMore: new Set(),
        urgentConn: new Set(),
        more: new Set(),
        conn: new Set(),
      };
      counter.lines.push(line);
    }
    listOf(line, request).add(request);
    counter.waiting++;
    books.waiting.add(counter);
  }
}

/** Out of all lines: granted, cancelled, or its member is gone. */
export function dequeue(books: Books, request: Request): void {
  for (const counter of request.places.keys()) {
    const at = counter.lines.findIndex(({ member }) => member === request.member);
    const line = counter.lines[at];
    if (line === undefined || !listOf(line, request).delete(request)) continue;
    if (lengthOf(line) === 0) counter.lines.splice(at, 1);
    if (--counter.waiting === 0) books.waiting.delete(counter);
  }
  request.places.clear();
}

function listOf(line: Line, { conn, urgent }: Request): Set<Request> {
  if (conn !== null) return urgent ? line.urgentMore : line.more;
  return urgent ? line.urgentConn : line.conn;
}

export function lengthOf(line: Line): number {
  return line.urgentMore.size + line.urgentConn.size + line.more.size + line.conn.size;
}

/** A path over which the request may go now, and at most so many messages. */
export interface Choice {
  readonly request: Request;
  readonly path: Path;
  readonly messages: number;
}

/** The first request of a line that `test` lets go. `conns`: those that want a connection are looked at too. */
export function pick(line: Line, conns: boolean, test: (request: Request) => Choice | null): Choice | null {
  return (
    older(line.urgentMore, conns ? line.urgentConn : NONE, test) ?? older(line.more, conns ? line.conn : NONE, test)
  );
}

const NONE: ReadonlySet<Request> = new Set();

/** Merges two lists by age. A lane that may not go is asked about once, however many of its requests wait. */
function older(
  a: ReadonlySet<Request>,
  b: ReadonlySet<Request>,
  test: (request: Request) => Choice | null,
): Choice | null {
  const left = a.values();
  const right = b.values();
  let x = left.next();
  let y = right.next();
  let shut: Set<string> | null = null;
  while (!x.done || !y.done) {
    const takeX = !x.done && (y.done === true || x.value.order < y.value.order);
    const request = (takeX ? x.value : y.value) as Request;
    // What is asked for over a connection depends on its path alone; who wants one may have other exchangers than its neighbour.
    const lane = request.conn === null ? `${request.site}|${request.publicId}` : "";
    if (lane === "" || shut === null || !shut.has(lane)) {
      const choice = test(request);
      if (choice !== null) return choice;
      if (lane !== "") (shut ??= new Set()).add(lane);
    }
    if (takeX) x = left.next();
    else y = right.next();
  }
  return null;
}

/** The next turn is somebody else's. */
export function rotate(counter: Counter, line: Line): void {
  const at = counter.lines.indexOf(line);
  if (at < 0) return;
  counter.lines.splice(at, 1);
  counter.lines.push(line);
}
