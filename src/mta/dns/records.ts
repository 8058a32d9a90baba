/** The data of DNS records, from octets: addresses (RFC 1035, RFC 3596), MX, TXT, TLSA (RFC 6698). null for what cannot be read. */
import type { TlsaRecord } from "../../smtp/tlsa.ts";
import type { MxRecord } from "./answer.ts";
import { readName, type Reply } from "./packet.ts";

export function readA(data: Uint8Array): string | null {
  return data.length === 4 ? data.join(".") : null;
}

export function readAaaa(data: Uint8Array): string | null {
  if (data.length !== 16) return null;
  const hex = Buffer.from(data).toString("hex");
  // The short form (RFC 5952), as every other part writes addresses.
  return new URL(`http://[${hex.match(/.{4}/g)!.join(":")}]`).hostname.slice(1, -1);
}

export function readMx(data: Uint8Array, { message }: Reply, offset: number): MxRecord | null {
  if (data.length < 3) return null;
  const exchange = readName(message, offset + 2);
  if (exchange === null || exchange.end !== offset + data.length) return null;
  return { priority: message.readUInt16BE(offset), exchange: exchange.name };
}

/** Its strings joined, as every user of TXT wants them (RFC 8461 §3.1, RFC 8460 §3). */
export function readTxt(data: Uint8Array): string | null {
  const bytes = Buffer.from(data);
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes[at]!;
    if (end > bytes.length) return null;
    text += bytes.toString("latin1", at + 1, end);
    at = end;
  }
  return text;
}

export function readTlsa(data: Uint8Array): TlsaRecord | null {
  const [usage, selector, matching] = data;
  if (usage === undefined || selector === undefined || matching === undefined || data.length < 4) return null;
  // A copy: the message it lies in is as large as 64 KB.
  return { usage, selector, matching, data: Uint8Array.from(data.subarray(3)) };
}
