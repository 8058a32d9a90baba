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

export function toBase32(bytes: Uint8Array): string {
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
