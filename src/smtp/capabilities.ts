/**
 * What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1): one keyword a line, in any case, with parameters. Unknown and
 * malformed lines are passed over; an extension is used only when its keyword is there.
 */
import type { Reply } from "./reply.ts";

export interface Capabilities {
  /** RFC 2920. */
  readonly pipelining: boolean;
  /** RFC 3030. */
  readonly chunking: boolean;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtputf8: boolean;
  /** RFC 3207. */
  readonly starttls: boolean;
  /** RFC 3461. */
  readonly dsn: boolean;
  /** RFC 1870: SIZE is known, so MAIL may say it. */
  readonly size: boolean;
  /** Largest message in octets; 0: none was named. */
  readonly sizeLimit: number;
  /** RFC 4954: mechanisms in capitals. */
  readonly auth: readonly string[];
}

/** A server that knows HELO only. */
export const NO_CAPABILITIES: Capabilities = parse([]);

/** The capabilities in a 250 to EHLO; its first line is the greeting. */
export function capabilities(reply: Reply): Capabilities {
  return parse(reply.lines.slice(1));
}

function parse(lines: readonly string[]): Capabilities {
  const offered = new Map<string, string[]>();
  for (const line of lines) {
    // `AUTH=LOGIN PLAIN` is how servers of the last century wrote it, and some still do.
    const words = line
      .trim()
      .toUpperCase()
      .replace(/^AUTH=/, "AUTH ")
      .split(/\s+/);
    const [keyword = "", ...parameters] = words;
    if (keyword !== "") offered.set(keyword, [...(offered.get(keyword) ?? []), ...parameters]);
  }
  return {
    pipelining: offered.has("PIPELINING"),
    chunking: offered.has("CHUNKING"),
    eightBitMime: offered.has("8BITMIME"),
    smtputf8: offered.has("SMTPUTF8"),
    starttls: offered.has("STARTTLS"),
    dsn: offered.has("DSN"),
    size: offered.has("SIZE"),
    sizeLimit: sizeLimit(offered.get("SIZE")?.[0] ?? ""),
    auth: offered.get("AUTH") ?? [],
  };
}

/** RFC 1870 §3: up to 20 digits; 0 or nothing means that no limit is named. */
function sizeLimit(text: string): number {
  const limit = /^\d{1,20}$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(limit) ? limit : 0;
}
