/**
 * The last lines of a dialogue, for the outcome of a message that was not accepted. Nearly all messages are accepted, so the good case
 * only puts a reference into a ring; lines are made when somebody asks. The caller keeps secrets out: what it hands to `sent` is shown.
 */
import { display, type Reply } from "./reply.ts";

export interface Transcript {
  /** Commands as written, one or more lines. */
  sent(commands: string): void;
  /** A message body was written: shown as `> [1234 octets]`. */
  body(octets: number): void;
  received(reply: Reply): void;
  /** The last lines, `> ` ours and `< ` theirs, without control characters, each at most 200 characters. */
  lines(): string[];
}

const LINE_LIMIT = 200;

export function openTranscript(limit = 20): Transcript {
  // Every entry is at least one line, so `limit` entries are always enough.
  const ring: (string | number | Reply)[] = [];
  let next = 0;
  const keep = (entry: string | number | Reply): void => {
    ring[next] = entry;
    next = next + 1 === limit ? 0 : next + 1;
  };
  return {
    sent: keep,
    body: keep,
    received: keep,
    lines: () => [...ring.slice(next), ...ring.slice(0, next)].flatMap(format).slice(-limit),
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
