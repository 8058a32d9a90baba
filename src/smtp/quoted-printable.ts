/**
 * Quoted-printable (RFC 2045 §6.7) into memory that is there already. One pass over UTF-8 with a table; a line is copied octet by octet
 * until something must be encoded.
 *
 * Promises: lines of at most 76 octets; CR, LF and CRLF all become CRLF, so no bare one is left; a line never begins with a dot (no
 * dot-stuffing needed, RFC 5321 §4.5.2) nor with `From ` (mbox writers would change it); white space before a line end is encoded.
 */

/** 0: copied; 1: always encoded; 2: line end. Space and tab are copied, and encoded afterwards when a line end follows. */
const CLASS = new Uint8Array(256);
for (let octet = 0; octet < 256; octet++) {
  CLASS[octet] = (octet < 32 && octet !== 9) || octet === 61 || octet > 126 ? 1 : 0;
}
CLASS[13] = 2;
CLASS[10] = 2;

const HEX = Buffer.from("0123456789ABCDEF", "latin1");
/** RFC 2045 §6.7 (5): 76 with the `=` of a soft line break. */
const LINE = 75;

/** Octets `encodeQuotedPrintable` may write for so many octets of UTF-8. */
export function quotedPrintableRoom(bytes: number): number {
  // The worst line: 25 encoded octets, `=` and CRLF.
  return Math.ceil(bytes * 3.25) + 80;
}

/** Encodes `source[0…length)` to `out[at…]` and returns where it ended. The caller has made `quotedPrintableRoom(length)`. */
export function encodeQuotedPrintable(source: Uint8Array, length: number, out: Uint8Array, at: number): number {
  let i = 0;
  let o = at;
  while (i < length) {
    // Start of a line of the output.
    const start = o;
    const full = start + LINE;
    const first = source[i] as number;
    if (first === 46 || (first === 70 && isFrom(source, i, length))) {
      o = encode(first, out, o);
      i++;
    }
    let ended = false;
    while (i < length) {
      let octet = source[i] as number;
      while (CLASS[octet] === 0 && o < full) {
        out[o++] = octet;
        if (++i === length) break;
        octet = source[i] as number;
      }
      if (i === length) break;
      if (CLASS[octet] === 2) {
        o = endOfLine(out, start, o);
        i += octet === 13 && i + 1 < length && source[i + 1] === 10 ? 2 : 1;
        ended = true;
        break;
      }
      if (CLASS[octet] === 0 || o + 3 > full) {
        // Full. One more octet would fit when it is the last of its line, but then the rule would need a look ahead for each octet.
        out[o++] = 61;
        out[o++] = 13;
        out[o++] = 10;
        ended = true;
        break;
      }
      o = encode(octet, out, o);
      i++;
    }
    // The text's last line has no line end of its own, and its white space must not be the last either.
    if (!ended) o = protectEnd(out, start, o);
  }
  return o;
}

function isFrom(source: Uint8Array, i: number, length: number): boolean {
  return (
    i + 4 < length && source[i + 1] === 114 && source[i + 2] === 111 && source[i + 3] === 109 && source[i + 4] === 32
  );
}

function encode(octet: number, out: Uint8Array, o: number): number {
  out[o] = 61;
  out[o + 1] = HEX[octet >> 4] as number;
  out[o + 2] = HEX[octet & 15] as number;
  return o + 3;
}

function endOfLine(out: Uint8Array, start: number, o: number): number {
  const end = protectEnd(out, start, o);
  out[end] = 13;
  out[end + 1] = 10;
  return end + 2;
}

/** RFC 2045 §6.7 (3): no white space at the end of a line. */
function protectEnd(out: Uint8Array, start: number, o: number): number {
  const last = out[o - 1] as number;
  if (o === start || (last !== 32 && last !== 9)) return o;
  if (o + 2 <= start + LINE) return encode(last, out, o - 1);
  out[o - 1] = 61;
  out[o] = 13;
  out[o + 1] = 10;
  return encode(last, out, o + 2);
}
