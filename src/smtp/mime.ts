/**
 * The MIME side of a message (RFC 2045, 2046): its structure is worked out once per content, with holes where each recipient's HTML and
 * text go; attachments are encoded then, once.
 *
 *     mixed ( alternative ( text, amp, related ( html, inline images ) ), attachments )        only the levels that are needed
 *
 * Boundaries begin with `=_`, which neither quoted-printable nor base64 can produce, and every part is one of those two: no content can
 * imitate one, so they need not be random. Nothing here is longer than 78 octets a line, and all is 7-bit.
 */
import { base64LinesLength, encodeBase64Lines } from "./base64-lines.ts";
import { encodeQuotedPrintable, quotedPrintableRoom } from "./quoted-printable.ts";

export interface MimeAttachment {
  readonly filename: string;
  readonly contentType: string;
  readonly bytes: Buffer;
  /** '' for an attachment, else an inline image. */
  readonly contentId: string;
}

export type PartName = "html" | "amp" | "text";
export type TextEncoding = "quoted-printable" | "base64";

export interface MimeShape {
  /** How the part is encoded, null when there is none. */
  readonly html: TextEncoding | null;
  /** Absent: none. */
  readonly amp?: TextEncoding | null;
  readonly text: TextEncoding | null;
  readonly attachments: readonly MimeAttachment[];
}

type Segment = { readonly bytes: Buffer } | { readonly hole: PartName; readonly encoding: TextEncoding };

export interface Skeleton {
  /** MIME-Version, Content-Type and, without multipart, Content-Transfer-Encoding of the message. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly segments: readonly Segment[];
}

/** base64 when more than a fifth of the octets are outside ASCII: from there on it is shorter than quoted-printable. */
export function encodingFor(template: string): TextEncoding {
  let outside = 0;
  for (let i = 0; i < template.length; i++) if (template.charCodeAt(i) > 127) outside++;
  const bytes = Buffer.byteLength(template);
  return (bytes - template.length + outside) * 5 > bytes ? "base64" : "quoted-printable";
}

interface Part {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: readonly (Segment | string)[];
}

/** At least one of html and text is there. */
export function buildSkeleton(shape: MimeShape): Skeleton {
  let level = 0;
  const multipart = (kind: string, parts: readonly Part[]): Part => {
    const boundary = `=_${kind}_${++level}`;
    const body: (Segment | string)[] = [];
    for (const part of parts) body.push(`--${boundary}\r\n${headerText(part.headers)}\r\n`, ...part.body, "\r\n");
    body.push(`--${boundary}--\r\n`);
    return { headers: [["Content-Type", `multipart/${kind}; boundary="${boundary}"`]], body };
  };
  const inline = shape.attachments.filter((a) => a.contentId !== "" && shape.html !== null);
  const attached = shape.attachments.filter((a) => !inline.includes(a));
  const bodies: Part[] = [];
  if (shape.text !== null) bodies.push(textPart("plain", "text", shape.text));
  // Last is what a program that knows all of them prefers (RFC 2046 §5.1.4); some show only the last, whatever it is.
  if (shape.amp != null) bodies.push(textPart("x-amp-html", "amp", shape.amp));
  if (shape.html !== null) {
    const html = textPart("html", "html", shape.html);
    bodies.push(inline.length === 0 ? html : multipart("related", [html, ...inline.map(filePart)]));
  }
  let root = bodies.length === 1 ? (bodies[0] as Part) : multipart("alternative", bodies);
  if (attached.length > 0) root = multipart("mixed", [root, ...attached.map(filePart)]);
  return { headers: [["MIME-Version", "1.0"], ...root.headers], segments: joined(root.body) };
}

let source = Buffer.allocUnsafe(64 * 1024);
let out = Buffer.allocUnsafe(256 * 1024);
/** Memory for one unusually large message is not kept for the next. */
const KEEP = 8 * 1024 * 1024;

/** The body of one message; ends with CRLF. Only valid until the next call: it lies in memory that is used again. */
export function writeBody(skeleton: Skeleton, parts: Readonly<Partial<Record<PartName, string>>>): Uint8Array {
  let room = 2;
  for (const segment of skeleton.segments) {
    room += "bytes" in segment ? segment.bytes.length : quotedPrintableRoom((parts[segment.hole] ?? "").length * 3) + 4;
  }
  if (out.length < room || out.length > Math.max(KEEP, room)) out = Buffer.allocUnsafe(room);
  let at = 0;
  for (const segment of skeleton.segments) {
    if ("bytes" in segment) at += segment.bytes.copy(out, at);
    else at = writeText(parts[segment.hole] ?? "", segment.encoding, at);
  }
  if (at > 0 && !(out[at - 2] === 13 && out[at - 1] === 10)) {
    out[at++] = 13;
    out[at++] = 10;
  }
  return out.subarray(0, at);
}

function writeText(text: string, encoding: TextEncoding, at: number): number {
  const exact = encoding === "base64" ? text.replace(/\r\n|\r|\n/g, "\r\n") : text;
  // One UTF-16 unit is at most 3 octets of UTF-8; a lone surrogate becomes U+FFFD.
  if (source.length < exact.length * 3 || source.length > Math.max(KEEP, exact.length * 3)) {
    source = Buffer.allocUnsafe(Math.max(64 * 1024, exact.length * 3));
  }
  const length = source.write(exact, 0, "utf8");
  return encoding === "base64"
    ? encodeBase64Lines(source, length, out, at)
    : encodeQuotedPrintable(source, length, out, at);
}

function textPart(subtype: string, hole: PartName, encoding: TextEncoding): Part {
  return {
    headers: [
      ["Content-Type", `text/${subtype}; charset=utf-8`],
      ["Content-Transfer-Encoding", encoding],
    ],
    body: [{ hole, encoding }],
  };
}

function filePart(file: MimeAttachment): Part {
  const bytes = Buffer.allocUnsafe(base64LinesLength(file.bytes.length));
  encodeBase64Lines(file.bytes, file.bytes.length, bytes, 0);
  // RFC 2046 §5: message/* and multipart/* may not be in base64; as plain octets with their name they arrive unharmed.
  const type = /^(?:message|multipart)\//i.test(file.contentType) ? "application/octet-stream" : file.contentType;
  const disposition = file.contentId === "" ? "attachment" : "inline";
  return {
    headers: [
      ["Content-Type", type],
      ["Content-Transfer-Encoding", "base64"],
      ...(file.contentId === "" ? [] : [["Content-ID", `<${file.contentId}>`] as const]),
      ["Content-Disposition", disposition + parameter("filename", file.filename)],
    ],
    body: [{ bytes }],
  };
}

/** `; name="value"`, or RFC 2231's form for what is long or outside ASCII. '' for an empty value. */
function parameter(name: string, value: string): string {
  if (value === "") return "";
  if (/^[\x20-\x7e]{1,60}$/.test(value)) return `;\r\n ${name}="${value.replace(/["\\]/g, "\\$&")}"`;
  const octets = [...Buffer.from(value.toWellFormed())].map((octet) =>
    /[A-Za-z0-9.-]/.test(String.fromCharCode(octet))
      ? String.fromCharCode(octet)
      : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`,
  );
  const pieces: string[] = [];
  let piece = "UTF-8''";
  for (const octet of octets) {
    if (piece.length + octet.length > 60) {
      pieces.push(piece);
      piece = "";
    }
    piece += octet;
  }
  pieces.push(piece);
  if (pieces.length === 1) return `;\r\n ${name}*=${piece}`;
  return pieces.map((part, i) => `;\r\n ${name}*${i}*=${part}`).join("");
}

function headerText(headers: readonly (readonly [string, string])[]): string {
  return headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** Neighbouring static pieces become one. */
function joined(pieces: readonly (Segment | string)[]): Segment[] {
  const segments: Segment[] = [];
  let pending: Buffer[] = [];
  const flush = (): void => {
    if (pending.length > 0) segments.push({ bytes: Buffer.concat(pending) });
    pending = [];
  };
  for (const piece of pieces) {
    if (typeof piece === "string") pending.push(Buffer.from(piece, "latin1"));
    else if ("bytes" in piece) pending.push(piece.bytes);
    else {
      flush();
      segments.push(piece);
    }
  }
  flush();
  return segments;
}
