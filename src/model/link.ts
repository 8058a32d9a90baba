/**
 * A tracked link: what stands behind the token in `https://t.example.com/r/<token>/<link>` (design §5). It says where to go and is signed, so
 * the redirector needs keys and nothing else, and can be made to redirect nowhere the sender did not send anybody.
 *
 *     link = base32( key id (1 byte) ‖ kind and scheme (1 byte) ‖ delivery ‖ number ‖ URL without its scheme ‖ MAC (10 bytes) )
 *     MAC  = HMAC-SHA256(key, "postilion link\0" ‖ all before it), cut to 80 bits
 *
 * Delivery and number are varints of 7 bits a byte, low ones first. Base32 rather than base64url: gateways that lower the case of a URL break
 * nothing (modules.md §11.3); without the scheme the text is as long as the URL in base64url would be. For a static URL it is made once a delivery;
 * only the token changes from recipient to recipient.
 */
import { timingSafeEqual } from "node:crypto";
import { fromBase32, toBase32 } from "./base32.ts";
import { BLOCK, digest, openPads } from "./hmac.ts";
import type { TokenKey, TokenKeyRing } from "./token.ts";

/**
 * `click` a link of the content; `open` the open pixel (no URL); `trap` a link no person can see: only a machine follows it. A number once
 * given to a word is never given to another: old mail is clicked for years.
 */
const LINK_KINDS = ["click", "open", "trap"] as const;
export type LinkKind = (typeof LINK_KINDS)[number];

export interface Link {
  readonly kind: LinkKind;
  /** 0: that of the message the token names. */
  readonly delivery: number;
  /** Of the link in the delivery, from 1; 0 for the open pixel. */
  readonly number: number;
  /** Printable ASCII, absolute, http or https; '' for the open pixel. */
  readonly url: string;
}

/** Longest URL that is tracked: with it the request line stays under 8 KB, which every proxy takes. */
export const MOST_URL = 4096;
/** Longest text of a link; anything longer is not looked at. */
export const MOST_LINK = Math.ceil(((MOST_URL + 32) * 8) / 5);

const LABEL = Buffer.from("postilion link\0", "latin1");
const MAC_BYTES = 10;
/** Where, behind pad and label, what is signed begins. */
const BODY = BLOCK + LABEL.length;
const padsOf = openPads(LABEL, MOST_URL + 64);
/** What a URL begins with, by number in bits 2–3 of the second byte; '' for any other (there is none: targetOf). */
const SCHEMES = ["", "https://www.", "https://", "http://"] as const;

/** `url` is what `targetOf` returned. */
export function signLink(key: TokenKey, { kind, delivery, number, url }: Link): string {
  if (url.length > MOST_URL) throw new RangeError(`a URL of ${url.length} octets`);
  const scheme = schemeOf(url);
  const made = padsOf(key);
  const { inner } = made;
  inner[BODY] = key.id;
  inner[BODY + 1] = LINK_KINDS.indexOf(kind) | (scheme << 2);
  let end = putVarint(inner, BODY + 2, delivery);
  end = putVarint(inner, end, number);
  end += inner.write(url.slice(SCHEMES[scheme]!.length), end, "latin1");
  end += inner.write(digest(made, end), end, MAC_BYTES, "latin1");
  return toBase32(inner.subarray(BODY, end));
}

function schemeOf(url: string): number {
  for (let i = 1; i < SCHEMES.length; i++) if (url.startsWith(SCHEMES[i]!)) return i;
  return 0;
}

/** A genuine link, or null for anything else; a wrong one takes as long as a right one of its length. */
export function verifyLink(ring: TokenKeyRing, text: string): Link | null {
  if (text.length > MOST_LINK) return null;
  const bytes = fromBase32(text);
  if (bytes === null || bytes.length < 4 + MAC_BYTES) return null;
  const body = bytes.subarray(0, bytes.length - MAC_BYTES);
  const key = ring.find(({ id }) => id === bytes[0]);
  const genuine = timingSafeEqual(mac(key ?? NO_KEY, body), bytes.subarray(bytes.length - MAC_BYTES));
  if (!genuine || key === undefined) return null;
  return read(body);
}

const NO_KEY: TokenKey = { id: 0, secret: new Uint8Array(32) };

function read(body: Buffer): Link | null {
  const kind = LINK_KINDS[(body[1] as number) & 3];
  const scheme = SCHEMES[(body[1] as number) >>> 2];
  const delivery = readVarint(body, 2);
  const number = delivery === null ? null : readVarint(body, delivery.next);
  // Signed by us, and yet: a version of years ago may have written what this one does not know.
  if (kind === undefined || scheme === undefined || delivery === null || number === null) return null;
  const url = scheme + body.toString("latin1", number.next);
  return { kind, delivery: delivery.value, number: number.value, url };
}

/**
 * The URL as a Location header may carry it, or why there is no redirecting to it: absolute, http or https, no user name in it (it would
 * show one host and go to another), no control character, no white space, at most 4,096 octets.
 */
export function targetOf(url: string): { readonly url: string } | { readonly refused: string } {
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x20\x7f\\]/.test(url)) return { refused: "has a space, a backslash or a control character" };
  if (!/^https?:\/\/[^/?#]/i.test(url)) return { refused: "is not an absolute http or https URL" };
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return { refused: "is not a URL" };
  }
  if (parsed.username !== "" || parsed.password !== "" || /^https?:\/\/[^/?#]*@/i.test(url))
    return { refused: "has a user name" };
  // Outside ASCII only what `URL` makes of it can be sent (RFC 9110 §10.2.2); anything else goes as it was written.
  const wire = /^[\x21-\x7e]+$/.test(url) ? url : parsed.href;
  return wire.length > MOST_URL ? { refused: `is longer than ${MOST_URL} octets` } : { url: wire };
}

function mac(key: TokenKey, body: Buffer): Buffer {
  const made = padsOf(key);
  return Buffer.from(digest(made, BODY + body.copy(made.inner, BODY)), "latin1").subarray(0, MAC_BYTES);
}

function putVarint(into: Buffer, at: number, value: number): number {
  let left = value;
  let to = at;
  while (left > 127) {
    into[to++] = (left % 128) + 128;
    left = Math.floor(left / 128);
  }
  into[to++] = left;
  return to;
}

function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly next: number } | null {
  let value = 0;
  let place = 1;
  for (let i = from; i < bytes.length && i < from + 8; i++) {
    const byte = bytes[i] as number;
    value += (byte & 127) * place;
    place *= 128;
    if (byte < 128) return Number.isSafeInteger(value) ? { value, next: i + 1 } : null;
  }
  return null;
}
