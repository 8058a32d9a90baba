/**
 * Text of strangers (replies, exchanger names, reasons typed by people) as one line that can be shown anywhere: on a terminal, in a log, in
 * a page. Nothing in it moves a cursor, starts a new line or turns the direction of what stands beside it.
 */

/**
 * Control characters (C0, DEL, C1), format characters (bidirectional overrides, zero-width ones, soft hyphens), line and paragraph
 * separators, private use and lone surrogates: none of them has to be seen to understand a reply.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+/gu;

/** At most `most` characters; what is cut ends in `…`, what was removed leaves one space. */
export function harmless(text: string, most: number = 300): string {
  // Cut before the work: a megabyte is not searched for the sake of 300 characters.
  const short = text.length > most * 4 ? text.slice(0, most * 4) : text;
  const clean = short.replace(UNSEEN, " ").replaceAll(/ {2,}/g, " ").trim();
  if (clean.length <= most && short.length === text.length) return clean;
  return clean.length < most ? `${clean}…` : `${clean.slice(0, most - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
