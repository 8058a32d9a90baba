/**
 * The token: the signed text that names a message in return paths, links, unsubscribe addresses and Message-IDs (design §5).
 *
 *     token = base32( key id (1 byte) ‖ message id (8 bytes, big endian) ‖ HMAC-SHA256(key, key id ‖ message id) cut to 80 bits )
 *
 * 19 bytes, 31 characters of RFC 4648 base32 in lower case without padding: servers that fold the case of a local part do not
 * break it, and with `b+` before it stays within the 64 octets of RFC 5321 §4.5.3.1.1. 80 bits leave a forger 2^80 guesses a message id.
 */
import { timingSafeEqual } from "node:crypto";
import { fromBase32, toBase32 } from "./base32.ts";
import { BLOCK, digest, openPads } from "./hmac.ts";

export interface TokenKey {
  /** 0…255; names the key inside the token. */
  readonly id: number;
  readonly secret: Uint8Array;
}

/** The first key signs; all of them verify. */
export type TokenKeyRing = readonly TokenKey[];

/** In place of a token in links and pixels that are not to say whose they are. */
export const ANONYMOUS = "-";

const TOKEN_LENGTH = 31;
/** Key id and message id; what stands behind them. */
const SIGNED_BYTES = 9;
const MAC_BYTES = 10;
const padsOf = openPads(new Uint8Array(0), SIGNED_BYTES);

/** A text that differs when the keys do. Holds the secrets. */
export function ringMark(ring: TokenKeyRing): string {
  return JSON.stringify(ring.map(({ id, secret }) => [id, Buffer.from(secret).toString("base64")]));
}

/** The token of a message. `messageId` is a non-negative safe integer. */
export function signToken(key: TokenKey, messageId: number): string {
  const bytes = Buffer.allocUnsafe(19);
  bytes[0] = key.id;
  bytes.writeUInt32BE(Math.floor(messageId / 0x1_0000_0000), 1);
  bytes.writeUInt32BE(messageId >>> 0, 5);
  bytes.write(mac(key, bytes), SIGNED_BYTES, MAC_BYTES, "latin1");
  return toBase32(bytes);
}

/** The message id of a genuine token, or null for anything else; takes the same time for every wrong token. */
export function verifyToken(ring: TokenKeyRing, token: string): number | null {
  const bytes = token.length === TOKEN_LENGTH ? fromBase32(token) : null;
  if (bytes === null) return null;
  const key = ring.find((k) => k.id === bytes[0]);
  const expected = Buffer.from(mac(key ?? NO_KEY, bytes), "latin1").subarray(0, MAC_BYTES);
  const genuine = timingSafeEqual(expected, bytes.subarray(SIGNED_BYTES));
  if (!genuine || key === undefined) return null;
  const id = bytes.readUInt32BE(1) * 0x1_0000_0000 + bytes.readUInt32BE(5);
  return Number.isSafeInteger(id) ? id : null;
}

const NO_KEY: TokenKey = { id: 0, secret: new Uint8Array(32) };

/** An octet a character. */
function mac(key: TokenKey, bytes: Buffer): string {
  const pads = padsOf(key);
  bytes.copy(pads.inner, BLOCK, 0, SIGNED_BYTES);
  return digest(pads, BLOCK + SIGNED_BYTES);
}
