/**
 * What a server said, as people know it from mail: `451 4.7.1 Try again later`; written and read. Its text begins with the enhanced code
 * already, as a rule (RFC 2034 §4). Hostile as the text is.
 */

export interface Said {
  /** 0: there was no reply. */
  readonly code: number;
  /** RFC 3463 status, '' for none. */
  readonly enhanced: string;
  readonly text: string;
}

/**
 * Where something was said: `reply`: in our own dialogue; the others in a mail. `bounce`: it reports a failure. `delay`: somebody still tries.
 * `delivery`: it arrived, or was passed on to where nothing is reported from.
 */
export const SAID_SOURCES = [
  "reply",
  "bounce",
  "delay",
  "delivery",
  "complaint",
  "unsubscribe",
  "auth-report",
  "auto-reply",
  "challenge",
] as const;
export type SaidSource = (typeof SAID_SOURCES)[number];

/** What was said about one failure, as bounce rules look at it. */
export interface Statement extends Said {
  readonly source: SaidSource;
  /** Exchanger, or of a mail the server that it reports of. '' for nobody. */
  readonly mx: string;
  /** A Stage (outcome.ts), or '' when nobody knows. */
  readonly stage: string;
}

/** @param nothing instead of a code when there was no reply. */
export function said({ code, enhanced, text }: Said, nothing = ""): string {
  const repeated = enhanced === "" || text === enhanced || text.startsWith(`${enhanced} `);
  return [code > 0 ? String(code) : nothing, repeated ? "" : enhanced, text].filter((part) => part !== "").join(" ");
}

const SAID = /^\s*(?:(\d{3})(?:[ -]\s*|$))?(?:#?([245]\.\d{1,3}\.\d{1,3})(?:[\s:;,-]+|$))?(.*)$/s;

/** Code, enhanced code and the text behind them; what is not there is 0 and ''. */
export function readSaid(line: string): Said {
  const parts = SAID.exec(line);
  return { code: Number(parts?.[1] ?? 0), enhanced: parts?.[2] ?? "", text: parts?.[3] ?? "" };
}

/** An enhanced code somewhere in a text, behind any mark: `(#5.1.1)`, `... 5.7.1:`. Parts of addresses and longer numbers are none. */
const ENHANCED = /(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)/g;

/** The first enhanced code in the text that is of the class of `code` (of any class when it is 0); '' for none. */
export function enhancedIn(text: string, code: number): string {
  const digit = code > 0 ? String(code).charAt(0) : "";
  for (const [, found = ""] of text.slice(0, 1000).matchAll(ENHANCED))
    if (digit === "" || found.startsWith(digit)) return found;
  return "";
}
