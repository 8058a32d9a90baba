/**
 * The last lines of a dialogue, for the outcome of a message that was not accepted: those of the session and those of this message. Its
 * neighbours on the session are other people: their addresses, and the tokens in their return paths, are nothing for who looks at it.
 *
 * Nearly all messages are accepted, so the good case only puts a reference into a ring; lines are made when somebody asks. The caller
 * keeps secrets out: what it hands to `sent` is shown.
 */
import { display, type Reply } from "./reply.ts";

/** `of`: id of the message it belongs to; 0: the session's own. */
export interface Transcript {
  /** Commands as written, one or more lines. */
  sent(commands: string, of: number): void;
  /** A message body was written: shown as `> [1234 octets]`. */
  body(octets: number, of: number): void;
  received(reply: Reply, of: number): void;
  /** The last lines of a message and of the session, `> ` ours and `< ` theirs, without control characters, each at most 200 characters. */
  lines(of: number): string[];
}

/** Commands, bodies and replies that are remembered: a message has up to seven, and those of ten in flight lie between each other. */
const REMEMBERED = 64;
const LINE_LIMIT = 200;

export function openTranscript(limit = 20): Transcript {
  const ring: (string | number | Reply)[] = [];
  // Numbers, not the messages: a ring of references would keep their bodies.
  const owners: number[] = [];
  let next = 0;
  const keep = (entry: string | number | Reply, of: number): void => {
    ring[next] = entry;
    owners[next] = of;
    next = next + 1 === REMEMBERED ? 0 : next + 1;
  };
  return {
    sent: keep,
    body: keep,
    received: keep,
    lines(of) {
      const mine = (_: unknown, i: number): boolean => owners[i] === of || owners[i] === 0;
      const newer = ring.slice(0, next).filter(mine);
      const older = ring.filter((entry, i) => i >= next && mine(entry, i));
      return [...older, ...newer].flatMap(format).slice(-limit);
    },
  };
}

function format(entry: string | number | Reply): string[] {
  if (typeof entry === "number") return [`> [${entry} octets]`];
  if (typeof entry === "string")
    return entry
      .replace(/\r\n$/, "")
      .split("\r\n")
      .map((line) => cut(`> ${display(line)}`));
  const last = entry.lines.length - 1;
  return entry.lines.map((line, i) => cut(`< ${entry.code}${i < last ? "-" : " "}${display(line)}`.trimEnd()));
}

function cut(line: string): string {
  return line.length > LINE_LIMIT ? line.slice(0, LINE_LIMIT) : line;
}
