/**
 * What servers and people write about a failure, made comparable. `foldText` is what bounce rules look into: small letters and digits, every
 * mark a blank, every address `@`, every number, time, IP and id `#`. Names of hosts stay: block lists and help pages are known by them.
 * `textPattern` is the same text for people and for a rule: as it was written, `*` for whatever differs from one mail to the next.
 */
import { harmless } from "./harmless.ts";

/** Longest text that is looked at: a reply has some hundred characters, what a program says about one recipient some thousand. */
export const TEXT_MOST = 4000;

/** Characters a `*` may stand for: a name, an address, some words; not the next sentence but one. */
export const GAP_MOST = 60;

/** Of a mail address, a Message-ID too: what stands around the @. Bounded, so that no text makes it slow. */
const ADDRESS = /[^\s<>()[\]"',;:=@]{1,64}@[^\s<>()[\]"',;:=@]{1,255}/g;
const IP = /\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){4,7}\b/gi;
const TIME = /\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?z?)?\b|\b\d{1,2}:\d\d(?::\d\d)?\b/gi;
/** A number of five digits and more, or ten letters and digits mixed: nobody's word. */
const ID = /\b(?:\d{5,}|(?=[a-z]{0,9}\d)(?=\d{0,9}[a-z])[a-z\d]{10,})\b/gi;
const HOST = /\b(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.){1,10}[a-z]{2,24}\b/gi;

/** Words that texts which say the same differ in. */
const FILLER_WORDS = "(?:the|an?|is|are|was|were|be|been|has|have|had|its|his|her|their|this|that)";
const FILLER = new RegExp(` ${FILLER_WORDS}(?= )`, "g");
const FIRST = new RegExp(`^ ${FILLER_WORDS} `);
const LAST = new RegExp(` ${FILLER_WORDS} $`);
const OTHER = /[^\x00-\x7e]/;

/** Letters whose stroke or other half is no accent to Unicode. */
const LETTERS: Readonly<Record<string, string>> = {
  ł: "l",
  Ł: "l",
  ø: "o",
  Ø: "o",
  đ: "d",
  Đ: "d",
  ß: "ss",
  æ: "ae",
  Æ: "ae",
  œ: "oe",
  Œ: "oe",
  ı: "i",
};

/** Half- and full-width letters are the same, so are those with and without accents; soft hyphens and zero-width characters are none. */
function plainLetters(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]+|\p{Cf}+/gu, "")
    .replace(/[łŁøØđĐßæÆœŒı]/g, (letter) => LETTERS[letter] ?? letter)
    .normalize("NFC");
}

/** With a blank at both ends: a pattern that begins with one begins with a word. */
export function foldText(text: string): string {
  let folded = (text.length > TEXT_MOST ? text.slice(0, TEXT_MOST) : text).replace(/[\u0000-\u001f\u007f]+/g, " ");
  if (OTHER.test(folded)) folded = plainLetters(folded);
  folded = folded.toLowerCase();
  if (folded.includes("@")) folded = folded.replace(ADDRESS, " \u0001 ");
  if (/\d/.test(folded)) {
    folded = folded.replace(TIME, " \u0002 ").replace(IP, " \u0002 ").replace(ID, "\u0002");
  }
  folded = folded.replace(/[^a-z0-9\u0001\u0002\u0080-\uffff]+/g, " ");
  if (OTHER.test(folded)) folded = folded.replace(/[[\p{P}\p{S}\p{Z}\p{C}]--[\u0001\u0002]]+/gv, " ");
  return ` ${folded.trim()} `.replace(FILLER, "").replaceAll("\u0001", "@").replaceAll("\u0002", "#");
}

/** A pattern of a rule, folded as texts are; `@` stands for an address, `#` for a number or id, `*` for anything between. */
export function foldPattern(pattern: string): string {
  const cut = pattern.slice(0, TEXT_MOST);
  return (OTHER.test(cut) ? plainLetters(cut) : cut)
    .toLowerCase()
    .split("*")
    .map(foldPiece)
    .filter((piece) => piece.trim() !== "")
    .join("*");
}

function foldPiece(piece: string): string {
  let folded = piece;
  if (folded.length > 1 && folded.includes("@")) folded = folded.replace(ADDRESS, "@");
  if (/\d/.test(folded)) folded = folded.replace(TIME, "#").replace(IP, "#").replace(ID, "#");
  folded = OTHER.test(folded)
    ? folded.replace(/(?:(?![@#])[\p{P}\p{S}\p{Z}\p{C}])+/gu, " ")
    : folded.replace(/[^a-z0-9@#]+/g, " ");
  return withoutFiller(folded);
}

/** Where a piece begins or ends with a blank or such a word, a word begins or ends. */
function withoutFiller(piece: string): string {
  const words = ` ${piece} `.replace(/ +/g, " ");
  const kept = words.replace(FILLER, "");
  const begins = piece.startsWith(" ") || FIRST.test(words);
  const ends = piece.endsWith(" ") || LAST.test(words);
  return kept.slice(begins ? 0 : 1, ends ? kept.length : -1);
}

/** Patterns that one text may stand for. */
export const EXPANDED_MOST = 2000;

/**
 * The patterns a text of a rule stands for: `(user|mailbox) (is |)full` is four. Brackets without a bar are marks like any other; there is
 * none inside another. Throws a RangeError for more than EXPANDED_MOST.
 */
export function expandPattern(text: string): string[] {
  let patterns = [""];
  for (const part of text.split(/(\([^()|]*\|[^()]*\))/)) {
    const choices = part.startsWith("(") && part.includes("|") ? part.slice(1, -1).split("|") : [part];
    if (patterns.length * choices.length > EXPANDED_MOST)
      throw new RangeError(`${JSON.stringify(text)} stands for more than ${EXPANDED_MOST} texts`);
    patterns = patterns.flatMap((before) => choices.map((choice) => before + choice));
  }
  // Between words a star is words, or none: `mailbox * full` is also `mailbox full`.
  const gaps = patterns.flatMap((pattern) =>
    pattern.includes(" * ") ? [pattern, pattern.replaceAll(" * ", " ")] : [pattern],
  );
  return [...new Set(gaps.map(foldPattern))];
}

/**
 * A text with `*` for its addresses, hosts, IPs, times and ids: texts that say the same are the same, and a rule that has it as its pattern
 * takes them all. At most 500 characters, one line.
 */
export function textPattern(text: string): string {
  const one = harmless(text, TEXT_MOST)
    .replaceAll("*", " ")
    .replace(ADDRESS, "*")
    .replace(TIME, "*")
    .replace(IP, "*")
    .replace(HOST, "*")
    .replace(ID, "*")
    .replace(/\b\d+\b(?!\.\d)(?<!\d\.\d+)/g, (digits) => (digits.length === 3 ? digits : "*"));
  return harmless(one.replaceAll(/\*[*\s]*\*/g, "*"), 500);
}
