/**
 * The token: the signed text that names a message in return paths, links, unsubscribe addresses and Message-IDs (design §5).
 *
 *     token = base32( key id (1 byte) ‖ message id (8 bytes, big endian) ‖ HMAC-SHA256(key, key id ‖ message id) cut to 80 bits )
 *
 * 19 bytes, 31 characters of RFC 4648 base32 in lower case without padding: servers that fold the case of a local part do not
 * break it, and with `b+` before it stays within the 64 octets of RFC 5321 §4.5.3.1.1. 80 bits leave a forger 2^80 guesses a message id.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

export interface TokenKey {
  /** 0…255; names the key inside the token. */
  readonly id: number;
  readonly secret: Uint8Array;
}

/** The first key signs; all of them verify. */
export type TokenKeyRing = readonly TokenKey[];

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const TOKEN_LENGTH = 31;
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < 32; i++) {
  VALUES[ALPHABET.charCodeAt(i)] = i;
  VALUES[ALPHABET.toUpperCase().charCodeAt(i)] = i;
}

/** The token of a message. `messageId` is a non-negative safe integer. */
export function signToken(key: TokenKey, messageId: number): string {
  const bytes = Buffer.allocUnsafe(19);
  bytes[0] = key.id;
  bytes.writeUInt32BE(Math.floor(messageId / 0x1_0000_0000), 1);
  bytes.writeUInt32BE(messageId >>> 0, 5);
  mac(key, bytes).copy(bytes, 9, 0, 10);
  return base32(bytes);
}

/** The message id of a genuine token, or null for anything else; takes the same time for every wrong token. */
export function verifyToken(ring: TokenKeyRing, token: string): number | null {
  const bytes = fromBase32(token);
  if (bytes === null) return null;
  const key = ring.find((k) => k.id === bytes[0]);
  const expected = mac(key ?? { id: 0, secret: new Uint8Array(32) }, bytes).subarray(0, 10);
  const genuine = timingSafeEqual(expected, bytes.subarray(9));
  if (!genuine || key === undefined) return null;
  const id = bytes.readUInt32BE(1) * 0x1_0000_0000 + bytes.readUInt32BE(5);
  return Number.isSafeInteger(id) ? id : null;
}

function mac(key: TokenKey, bytes: Buffer): Buffer {
  return createHmac("sha256", key.secret).update(bytes.subarray(0, 9)).digest();
}

function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >>> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + ALPHABET[(held << (5 - bits)) & 31] : text;
}

function fromBase32(text: string): Buffer | null {
  if (text.length !== TOKEN_LENGTH) return null;
  const bytes = Buffer.allocUnsafe(19);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? -1;
    if (value < 0) return null;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >>> bits;
      held &= (1 << bits) - 1;
    }
  }
  // The last character carries 3 unused bits: only zero is ours, so a token has exactly one spelling but for case.
  return held === 0 ? bytes : null;
}
