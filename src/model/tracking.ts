/**
 * What the redirector writes down of a hit, and how: one line a record in its log, with a checksum, so that whoever reads it knows a damaged
 * one from a good one and can go on behind it.
 *
 *     <CRC-32 of the rest, 8 hex digits> SP <JSON array> LF
 *
 * Everything in a record but the numbers comes from a stranger.
 */
import { crc32 } from "node:zlib";

/** Position = the number in a record and in column `tracking.kind`. */
export const TRACKING_KINDS = ["open", "click", "unsubscribe", "mirror", "page", "transaction"] as const;
export type TrackingKind = (typeof TRACKING_KINDS)[number];

/**
 * Who made a hit; position = column `tracking.class`. `proxy`: a provider fetched the image because a person opened the mail (Gmail, Yahoo);
 * `prefetch`: it was fetched whether anybody looked or not (Apple Mail Privacy Protection); `scanner`: a security gateway or another
 * machine. A person is behind `person` and `proxy`.
 */
export const VISITOR_CLASSES = ["person", "proxy", "prefetch", "scanner"] as const;
export type VisitorClass = (typeof VISITOR_CLASSES)[number];

/** Of web tracking: what a shop says of a page or a purchase. */
export interface WebHit {
  /** Name of the page or of the kind of transaction. */
  readonly tag: string;
  /** 0 when none is given. */
  readonly amount: number;
  readonly articles: number;
  /** Further parameters, in the order they came. */
  readonly more: readonly (readonly [name: string, value: string])[];
}

export interface TrackingRecord {
  /** Epoch ms, the redirector's clock. */
  readonly at: number;
  readonly kind: TrackingKind;
  /** 0: not known (anonymous tracking). */
  readonly message: number;
  /** 0: that of the message. */
  readonly delivery: number;
  /** Number of the link in the delivery; 0 when it is none. */
  readonly link: number;
  readonly method: string;
  /**
   * What the request said of itself, '' for nothing: `trap`, `prefetch` (its Purpose header), `one-click` (RFC 8058), `page` (the form of the
   * unsubscribe page).
   */
  readonly hint: string;
  /** As much of the client's address as the settings let through, '' for nothing. */
  readonly ip: string;
  readonly userAgent: string;
  /** The visitor's cookie, '' for none. */
  readonly visitor: string;
  readonly web: WebHit | null;
}

/** Characters of a user agent that are kept. */
export const MOST_USER_AGENT = 400;
/** Octets of a record with its line end; nothing longer is written, nothing longer is read. */
export const MOST_RECORD = 4096;

/** The record as a line, ends with LF. */
export function encodeRecord(r: TrackingRecord): string {
  const web = r.web === null ? 0 : [r.web.tag, r.web.amount, r.web.articles, r.web.more];
  const body = JSON.stringify([
    r.at,
    TRACKING_KINDS.indexOf(r.kind),
    r.message,
    r.delivery,
    r.link,
    r.method,
    r.hint,
    r.ip,
    r.userAgent,
    r.visitor,
    web,
  ]);
  return `${crc32(body).toString(16).padStart(8, "0")} ${body}\n`;
}

/** The record of a line without its LF, as text or in UTF-8, or why there is none. */
export function decodeRecord(line: string | Buffer): TrackingRecord | string {
  const octets = typeof line === "string" ? Buffer.from(line, "utf8") : line;
  if (octets.length > MOST_RECORD) return "longer than any record";
  const checksum = octets.length > 9 && octets[8] === SPACE ? readChecksum(octets) : -1;
  if (checksum < 0) return "no checksum";
  const body = octets.subarray(9);
  if (crc32(body) !== checksum) return "wrong checksum";
  let fields: unknown;
  try {
    fields = JSON.parse(body.toString("utf8"));
  } catch {
    return "not JSON";
  }
  return (Array.isArray(fields) ? fromFields(fields) : null) ?? "not a record";
}

const SPACE = 32;

/** Eight lower-case hexadecimal digits; -1 when they are not. */
function readChecksum(octets: Buffer): number {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const code = octets[i]!;
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function fromFields(f: readonly unknown[]): TrackingRecord | null {
  const [at, kind, message, delivery, link, method, hint, ip, userAgent, visitor, web] = f;
  const name = typeof kind === "number" ? TRACKING_KINDS[kind] : undefined;
  const hit = webOf(web);
  if (name === undefined || hit === undefined) return null;
  if (!isCount(at) || !isCount(message) || !isCount(delivery) || !isCount(link)) return null;
  if (typeof method !== "string" || typeof hint !== "string" || typeof ip !== "string") return null;
  if (typeof userAgent !== "string" || typeof visitor !== "string") return null;
  return { at, kind: name, message, delivery, link, method, hint, ip, userAgent, visitor, web: hit };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function webOf(value: unknown): WebHit | null | undefined {
  if (value === 0) return null;
  if (!Array.isArray(value)) return undefined;
  const [tag, amount, articles, more] = value as unknown[];
  if (typeof tag !== "string" || typeof amount !== "number" || typeof articles !== "number") return undefined;
  if (!Array.isArray(more)) return undefined;
  const pairs = more.filter(
    (pair): pair is [string, string] =>
      Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string" && typeof pair[1] === "string",
  );
  return pairs.length === more.length ? { tag, amount, articles, more: pairs } : undefined;
}
