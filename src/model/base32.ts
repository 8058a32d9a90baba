/**
 * RFC 4648 base32 in lower case without padding: what signed text in addresses and links is written in, because servers and gateways
 * fold the case of what they pass on. Reading takes either case, and takes each value in one spelling only.
 */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < 32; i++) {
  VALUES[ALPHABET.charCodeAt(i)] = i;
  VALUES[ALPHABET.toUpperCase().charCodeAt(i)] = i;
}

const DIGITS = Buffer.from(ALPHABET, "latin1");
const rest = new Uint8Array(5);
let out = Buffer.allocUnsafe(1024);

/** Five octets at a time into memory that is used again: a string grown letter by letter takes three times as long (measured). */
export function toBase32(bytes: Uint8Array): string {
  const room = Math.ceil(bytes.length / 5) * 8;
  if (out.length < room) out = Buffer.allocUnsafe(room * 2);
  const whole = bytes.length - (bytes.length % 5);
  for (let i = 0, at = 0; i < whole; i += 5, at += 8) putFive(bytes, i, at);
  if (whole < bytes.length) {
    rest.fill(0);
    for (let i = whole; i < bytes.length; i++) rest[i - whole] = bytes[i] as number;
    putFive(rest, 0, (whole / 5) * 8);
  }
  return out.toString("latin1", 0, Math.ceil((bytes.length * 8) / 5));
}

function putFive(bytes: Uint8Array, i: number, at: number): void {
  const high = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number);
  const low = ((bytes[i + 3] as number) << 8) | (bytes[i + 4] as number);
  out[at] = DIGITS[high >>> 19] as number;
  out[at + 1] = DIGITS[(high >>> 14) & 31] as number;
  out[at + 2] = DIGITS[(high >>> 9) & 31] as number;
  out[at + 3] = DIGITS[(high >>> 4) & 31] as number;
  out[at + 4] = DIGITS[((high & 15) << 1) | (low >>> 15)] as number;
  out[at + 5] = DIGITS[(low >>> 10) & 31] as number;
  out[at + 6] = DIGITS[(low >>> 5) & 31] as number;
  out[at + 7] = DIGITS[low & 31] as number;
}

/** The octets, or null when the text is no base32 or its last character carries bits that are not zero. */
export function fromBase32(text: string): Buffer | null {
  const bytes = Buffer.allocUnsafe(Math.floor((text.length * 5) / 8));
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
  // Five bits or more left over are a character that says nothing.
  return held === 0 && bits < 5 ? bytes : null;
}
