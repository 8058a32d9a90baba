/** The text of a part: its transfer encoding (RFC 2045 §6) undone, its character set read. */
import type { Part } from "./split.ts";
import { octetsToText } from "./octets.ts";

/** Characters of a decoded body: what programs write is short, what people attach is not read. */
export const TEXT_MOST = 256 * 1024;

export function partText(part: Part): string {
  const body = part.body.slice(0, TEXT_MOST);
  const decoded = transferDecoded(body, part.headers.get("content-transfer-encoding"));
  return octetsToText(decoded, part.parameters.get("charset") ?? "");
}

/** Each character an octet, as in `Part`. */
function transferDecoded(body: string, encoding: string): string {
  const name = encoding.trim().toLowerCase();
  if (name.startsWith("base64")) return Buffer.from(body, "base64").toString("latin1");
  if (!name.startsWith("quoted-printable")) return body;
  return body
    .replace(/[ \t]+$/gm, "")
    .replace(/=\n/g, "")
    .replace(/=([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
