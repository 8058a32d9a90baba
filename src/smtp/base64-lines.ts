/** Base64 in lines of 76 characters with CRLF between them (RFC 2045 §6.8), into memory that is there already. */

const PER_LINE = 76;

/** Octets `encodeBase64Lines` writes for so many octets. */
export function base64LinesLength(bytes: number): number {
  const characters = Math.ceil(bytes / 3) * 4;
  return characters + Math.max(0, Math.ceil(characters / PER_LINE) - 1) * 2;
}

/** Encodes `source[0…length)` to `out[at…]` and returns where it ended; there is no line end behind the last line. */
export function encodeBase64Lines(source: Buffer, length: number, out: Buffer, at: number): number {
  let o = at;
  // 57 octets make one line; a few hundred lines at a time keep the strings small.
  for (let from = 0; from < length; from += 57 * 512) {
    const text = source.toString("base64", from, Math.min(length, from + 57 * 512));
    for (let i = 0; i < text.length; i += PER_LINE) {
      if (o > at) {
        out[o++] = 13;
        out[o++] = 10;
      }
      o += out.write(text.slice(i, i + PER_LINE), o, "latin1");
    }
  }
  return o;
}
