/**
 * Header values for the wire: encoded (RFC 2047), quoted and folded (RFC 5322 §2.2.3, lines of 78 where it can be, 998 never passed).
 *
 * Everything here takes any text and gives a value in which a CR LF is always followed by a space: nothing that goes in can end a
 * header or begin another. Text outside ASCII is UTF-8 in encoded words that never cut a character in two (RFC 2047 §5).
 */

/** RFC 5322 §2.1.1. */
const LINE = 78;
/** Longest run without white space that is left as it is; longer ones could pass 998 octets and become encoded words. */
const MAX_RUN = 900;
/** RFC 2047 §2: 75 characters with `=?UTF-8?Q?` and `?=`. */
const WORD = 75 - 12;

/** Set by us for every message, or by servers on the way: `Content.headers` may not have them. Lower case. */
export const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "content-type",
  "content-transfer-encoding", "content-disposition", "content-id", "content-description", "dkim-signature",
  "domainkey-signature", "return-path", "received", "received-spf", "delivered-to", "authentication-results",
  "arc-seal", "arc-message-signature", "arc-authentication-results",
]); // prettier-ignore

/** Why a name cannot be the name of an extra header, or ''. */
export function headerNameRefusal(name: string): string {
  // RFC 5322 §3.6.8 allows any printable character but the colon; a name that begins with a letter cannot begin a line with a dot.
  if (!/^[A-Za-z][A-Za-z0-9!#$%&'*+^_`|~.-]*$/.test(name)) return "is not a valid header name";
  if (name.length > 76) return "is longer than 76 characters";
  const lower = name.toLowerCase();
  return RESERVED_HEADERS.has(lower) || lower.startsWith("resent-") ? "is set by Postilion itself" : "";
}

/** The value of an unstructured header (Subject, own ones): ASCII words as they are, what lies between others as encoded words. */
export function unstructured(name: string, value: string): string {
  const text = clean(value);
  if (isPlain(text)) return text.length + name.length + 2 <= LINE ? text : fold(text, name.length + 2);
  const words = text.split(" ");
  let first = 0;
  let last = words.length - 1;
  while (first < last && isPlain(words[first] ?? "")) first++;
  while (last > first && isPlain(words[last] ?? "")) last--;
  const before = words.slice(0, first).join(" ");
  const after = words.slice(last + 1).join(" ");
  // Its first word begins a line of its own unless it follows the name: 78 − name − ": " is what is left then.
  const encoded = encodedWords(
    words.slice(first, last + 1).join(" "),
    before === "" ? LINE - name.length - 2 : LINE,
    false,
  );
  return fold([before, encoded, after].filter((part) => part !== "").join(" "), name.length + 2);
}

/** The value of an address header with one mailbox. The address went through `parseAddress`; `name` is any text. */
export function mailbox(header: string, name: string, address: string): string {
  const text = clean(name);
  if (text === "") return address;
  const phrase = displayName(text, LINE - header.length - 2);
  const column = phrase.length - (phrase.lastIndexOf("\n") + 1) + (phrase.includes("\n") ? 0 : header.length + 2);
  return `${phrase}${column + address.length + 3 > LINE ? "\r\n " : " "}<${address}>`;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
let dateSecond = Number.NaN;
let dateText = "";

/** RFC 5322 §3.3, in UTC. */
export function dateHeader(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== dateSecond) {
    const d = new Date(second * 1000);
    const two = (n: number): string => String(n).padStart(2, "0");
    const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
    const day = `${DAYS[d.getUTCDay()]}, ${two(d.getUTCDate())} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
    dateText = `${day} ${time} +0000`;
    dateSecond = second;
  }
  return dateText;
}

/** Well-formed, white space only as single spaces between words. */
function clean(value: string): string {
  // Most values are a few plain words: one look is cheaper than three replacements.
  if (/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(value)) return value;
  return value
    .toWellFormed()
    .replace(/[ \r\n\t\0]+/g, " ")
    .replace(/^ | $/g, "");
}

/** Printable ASCII that no reader takes for an encoded word and that folds within 998 octets. */
function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text) && !text.includes("=?") && (text.length <= MAX_RUN || longestRun(text) <= MAX_RUN);
}

function longestRun(text: string): number {
  let longest = 0;
  for (const word of text.split(" ")) longest = Math.max(longest, word.length);
  return longest;
}

/** Breaks lines before a space where the text behind it would pass column 78; text that has line breaks already keeps them. */
function fold(text: string, column: number): string {
  let out = "";
  let at = column;
  for (const [i, piece] of text.split(/(?<!\n) /).entries()) {
    const lead = piece.indexOf("\r\n");
    const length = lead < 0 ? piece.length : lead;
    if (i > 0) {
      const breaks = at + 1 + length > LINE;
      out += breaks ? "\r\n " : " ";
      at = breaks ? 1 : at + 1;
    }
    out += piece;
    at = lead < 0 ? at + piece.length : piece.length - piece.lastIndexOf("\n") - 1;
  }
  return out;
}

/** RFC 5322 §3.2.5 phrase: atoms, a quoted string, or encoded words. */
function displayName(text: string, room: number): string {
  const printable = /^[\x20-\x7e]*$/.test(text) && !text.includes("=?") && text.length <= LINE - 4;
  if (!printable) return encodedWords(text, room, true);
  return /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/.test(text)
    ? text
    : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Encoded words with a folded space between them; the first has `room` characters, but never less than it needs for one. */
function encodedWords(text: string, room: number, phrase: boolean): string {
  const safe = phrase ? /[^A-Za-z0-9!*+/ -]/g : /[^\x20-\x3c\x3e\x40-\x5e\x60-\x7e]/g;
  // RFC 2047 §4: Q where the text stays readable in it, B for the rest.
  const asQ = (text.match(safe)?.length ?? 0) * 2 <= text.length;
  const words: string[] = [];
  let piece = "";
  let length = 0;
  let limit = Math.max(12, Math.min(WORD, room - 12));
  if (!asQ) limit = Math.floor(limit / 4) * 3;
  const finish = (): void => {
    words.push(asQ ? `=?UTF-8?Q?${piece}?=` : `=?UTF-8?B?${Buffer.from(piece).toString("base64")}?=`);
    piece = "";
    length = 0;
    limit = asQ ? WORD : 45;
  };
  for (const character of text) {
    const encoded = asQ ? q(character, phrase) : character;
    const size = asQ ? encoded.length : Buffer.byteLength(character);
    if (length + size > limit) finish();
    piece += encoded;
    length += size;
  }
  finish();
  return words.join("\r\n ");
}

/** RFC 2047 §4.2; in a phrase §5 (3) leaves fewer characters unencoded. */
function q(character: string, phrase: boolean): string {
  if (character === " ") return "_";
  if ((phrase ? /^[A-Za-z0-9!*+/-]$/ : /^[\x21-\x3c\x3e\x40-\x5e\x60-\x7e]$/).test(character)) return character;
  let out = "";
  for (const octet of Buffer.from(character)) out += `=${octet < 16 ? "0" : ""}${octet.toString(16).toUpperCase()}`;
  return out;
}
