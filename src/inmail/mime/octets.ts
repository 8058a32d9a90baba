/**
 * Octets to text, and the only importer of libmime. What names no character set and is not ASCII is UTF-8 when it is valid UTF-8, else Windows-1252.
 * Wrong labels are common in bounces (ISO-2022-JP called US-ASCII), so what the octets show comes first.
 */
import libmime from "libmime";

const ISO_2022 = /\x1b(?:\$[@B]|\([BJI]|\$\(D)/;

/** @param octets each character an octet. @param charset as it is named, '' for not at all. */
export function octetsToText(octets: string, charset: string): string {
  const label = charset
    .trim()
    .toLowerCase()
    .replace(/^['"]|['"]$/g, "");
  const ascii = !/[^\x00-\x7f]/.test(octets);
  if (ascii && octets.includes("\x1b") && ISO_2022.test(octets)) return decode(bytesOf(octets), "iso-2022-jp");
  if (ascii && !/^(?:unicode-1-1-)?utf-7$|^hz|^iso-2022|^utf-16/.test(label)) return octets;
  const bytes = bytesOf(octets);
  const named = /^(?:us-)?ascii$|^unknown-8bit$|^7bit$|^8bit$/.test(label) ? "" : label;
  if (named === "" || named === "utf-8" || named === "utf8") {
    const utf8 = bytes.toString("utf8");
    if (!utf8.includes("\ufffd")) return utf8;
    return named === "" ? decode(bytes, "windows-1252") : utf8;
  }
  return decode(bytes, named);
}

/** Encoded words (RFC 2047) read; words that are none stay as they came. */
export function wordsToText(value: string): string {
  if (!value.includes("=?")) return value;
  try {
    return libmime.decodeWords(value.slice(0, 4000));
  } catch {
    return value; // a word that is none: shown as it came
  }
}

const bytesOf = (octets: string): Buffer => Buffer.from(octets, "latin1");

function decode(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return decodeRare(bytes, charset.replace(/^unicode-1-1-/, ""));
  }
}

/** UTF-7 and other names the platform's own decoder does not know. */
function decodeRare(bytes: Buffer, charset: string): string {
  try {
    const text: unknown = libmime.charset.decode(bytes, charset);
    return typeof text === "string" ? text : bytes.toString("latin1");
  } catch {
    return bytes.toString("latin1");
  }
}
