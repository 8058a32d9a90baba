/**
 * SMTP replies (RFC 5321 §4.2) out of a stream of bytes, as it comes: split anywhere, many in one packet, over many lines.
 * A peer may be broken or hostile, so every line and every reply has a limit, and whatever is not a reply is an error the caller
 * answers by closing: after it nobody knows which answer belongs to which command. Texts are kept as latin1 and are never trusted:
 * what is shown to people goes through `replyText` or `display`.
 */

export interface Reply {
  /** 200…599. */
  readonly code: number;
  /** The text of each line, without code and separator, as latin1; at least one, which may be ''. */
  readonly lines: readonly string[];
}

export interface ReplyParser {
  /**
   * Takes the next bytes and calls `take` for each complete reply, until it returns false. Returns '' or, in one line, why this is not
   * SMTP; the parser is then of no further use.
   */
  push(chunk: Buffer, take: (reply: Reply) => boolean): string;
  /** True when bytes wait that are not a complete reply, or that `take` did not want. */
  readonly unread: boolean;
}

/** RFC 5321 §4.5.3.1.5 says 512; real servers write longer lines. */
const LINE_LIMIT = 8 * 1024;
const REPLY_LIMIT = 64 * 1024;
const LINES_LIMIT = 200;
/** Longest text an outcome carries. */
const TEXT_LIMIT = 500;

const NOTHING = Buffer.alloc(0);

export function openReplyParser(): ReplyParser {
  let held: Buffer = NOTHING;
  let code = 0;
  let lines: string[] = [];
  let size = 0;

  /** One line, bytes start…end without its LF. Returns the code when it ends a reply, 0 when more lines follow, -1 for no reply at all. */
  function line(bytes: Buffer, start: number, lineEnd: number): number {
    const end = lineEnd > start && bytes[lineEnd - 1] === 13 ? lineEnd - 1 : lineEnd;
    const length = end - start;
    if (length < 3) return -1;
    const hundreds = bytes[start]! - 48;
    const tens = bytes[start + 1]! - 48;
    const ones = bytes[start + 2]! - 48;
    if (hundreds < 2 || hundreds > 5 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return -1;
    const found = hundreds * 100 + tens * 10 + ones;
    if (code !== 0 && found !== code) return -1;
    const separator = length === 3 ? 32 : bytes[start + 3];
    if (separator !== 32 && separator !== 45) return -1;
    lines.push(length > 4 ? bytes.toString("latin1", start + 4, end) : "");
    size += length;
    if (separator === 32) return found;
    code = found;
    return 0;
  }

  return {
    push(chunk, take) {
      let bytes = chunk;
      // A split line is rare and short: joined, so that there is one way to read a line.
      if (held.length > 0) {
        bytes = Buffer.concat([held, chunk]);
        held = NOTHING;
      }
      let start = 0;
      for (let end = bytes.indexOf(10, start); end >= 0; end = bytes.indexOf(10, start)) {
        if (end - start > LINE_LIMIT) return "a line of more than 8 KB in a reply";
        const ended = line(bytes, start, end);
        if (ended < 0) {
          const what = display(bytes.toString("latin1", start, Math.min(end, start + 120)));
          return code === 0 ? `not an SMTP reply: ${what}` : `a reply ${code} goes on with: ${what}`;
        }
        if (size > REPLY_LIMIT || lines.length > LINES_LIMIT) return "a reply of more than 64 KB or 200 lines";
        start = end + 1;
        if (ended === 0) continue;
        const reply = { code: ended, lines };
        code = 0;
        size = 0;
        lines = [];
        if (start < bytes.length) held = bytes; // for `unread`, while `take` looks
        const more = take(reply);
        held = NOTHING;
        if (!more) break;
      }
      if (start < bytes.length) {
        if (bytes.length - start > LINE_LIMIT && bytes.indexOf(10, start) < 0)
          return "a line of more than 8 KB in a reply";
        // A copy: the rest of a line must not keep a whole read buffer alive.
        held = Buffer.from(bytes.subarray(start));
      }
      return "";
    },
    get unread() {
      return held.length > 0 || code !== 0;
    },
  };
}

/** The text of a reply for people and for bounce rules: one line, no control characters, at most 500 characters. */
export function replyText(reply: Reply): string {
  const [first = "", ...rest] = reply.lines;
  if (rest.length === 0) return display(first);
  // Servers repeat the enhanced code on each line (RFC 2034 §4); once is enough to read.
  const code = ENHANCED.exec(first)?.[0] ?? "";
  const others = rest.map((text) =>
    code !== "" && text.startsWith(code) ? text.slice(code.length).trimStart() : text,
  );
  return display([first, ...others].join(" "));
}

const ENHANCED = /^#?([245])\.(\d{1,3})\.(\d{1,3})(?!\S)/;

/** RFC 3463 status at the beginning of the text (RFC 2034 §4), '' when there is none or it contradicts the code. */
export function enhancedCode(reply: Reply): string {
  const match = ENHANCED.exec(reply.lines[0] ?? "");
  if (match === null || Number(match[1]) !== Math.floor(reply.code / 100)) return "";
  return `${match[1]}.${Number(match[2])}.${Number(match[3])}`;
}

// oxlint-disable-next-line no-control-regex -- removing them is the purpose
const CONTROLS = /[\0-\x1f\x7f-\x9f]/g;

/** Text of a stranger as one harmless line: tabs become spaces, other control characters (C0, DEL, C1) go, 500 characters stay. */
export function display(text: string): string {
  const short = text.length > TEXT_LIMIT * 4 ? text.slice(0, TEXT_LIMIT * 4) : text;
  return short.replaceAll("\t", " ").replace(CONTROLS, "").trim().slice(0, TEXT_LIMIT);
}
