/**
 * URLs in plain text: where each begins and, as people write them, where it ends: `(https://a.example/b)`, `<https://a.example/>`, `see
 * https://a.example/b.`, `https://a.example/x(1)`.
 */
import { canChange, type Flat, type Mark, markAt, type Piece, trimmed } from "../flat.ts";

export interface FoundUrl extends Piece {
  /** Whether the template lets us know where it ends. */
  readonly whole: boolean;
}

const BEGIN = /https?:\/\//gi;
/** What is in no URL. */
const STOP = /[\s\p{Cc}<>"{}|\\^`«»“”„‹›]/u;
/** What belongs to the sentence when it is last. */
const SENTENCE = /[.,;:!?'*_~…。，、；：！？’]/;
/** What an expression that is a URL stands behind. */
const BEFORE = /[\s([{<"'>:]/;

/** URLs with `http(s)://` before them, and the expressions that are one. In order. */
export function findUrls(flat: Flat, isUrl: (mark: Mark) => boolean): FoundUrl[] {
  const { text } = flat;
  const starts = [...text.matchAll(BEGIN)]
    .map(({ index }) => index)
    .filter((at) => !/[\p{L}\p{N}]/u.test(text[at - 1] ?? " "));
  for (const mark of flat.marks) {
    const before = text[mark.at - 1] ?? " ";
    const beside = markAt(flat, mark.at - 1)?.tag ?? "value";
    if (isUrl(mark) && (BEFORE.test(before) || beside !== "value")) starts.push(mark.at);
  }
  const ending = new Map<number, boolean>();
  const found: FoundUrl[] = [];
  let from = 0;
  for (const start of starts.sort((a, b) => a - b)) {
    if (start < from) continue;
    from = scan(text, start, leaves(flat));
    const { end: last } = trimmed(flat, { start, end: from });
    const end = sentenceEnd(text, start, last);
    if (!/^https?:\/\/$/i.test(text.slice(start, end)))
      found.push({ start, end, whole: canChange(flat, { start, end }) && ends(flat, last, ending) });
  }
  return found;
}

/** Where the URL at the beginning of a text ends, 0 when there is none. */
export function urlLength(text: string): number {
  return /^https?:\/\/./i.test(text) ? sentenceEnd(text, 0, scan(text, 0)) : 0;
}

/** Up to what is in no URL, a bracket that was not opened in it, or the end of the branch it begins in. */
function scan(text: string, start: number, leaves: (at: number) => boolean = () => false): number {
  let round = 0;
  let square = 0;
  for (let at = start; at < text.length; at++) {
    const c = text[at] as string;
    if (c === "(") round++;
    else if (c === "[") square++;
    else if ((c === ")" && --round < 0) || (c === "]" && --square < 0) || STOP.test(c) || leaves(at)) return at;
  }
  return text.length;
}

/** To be asked about one place after the other: does the branch of the first one end here? */
function leaves(flat: Flat): (at: number) => boolean {
  let depth = 0;
  return (at) => {
    const tag = markAt(flat, at)?.tag;
    if (tag === "open") depth++;
    return (tag === "else" && depth === 0) || (tag === "close" && --depth < 0);
  };
}

function sentenceEnd(text: string, start: number, end: number): number {
  let last = end;
  while (last > start && SENTENCE.test(text[last - 1] as string)) last--;
  return last;
}

/** Blocks without content in a row that are looked behind. */
const MOST_STEPS = 200;

/** Whether nothing of a URL can be printed behind a place, whatever branches the message takes. */
function ends(flat: Flat, at: number, known: Map<number, boolean>, steps = 0): boolean {
  const mark = markAt(flat, at);
  const next = flat.text[at] ?? " ";
  if (mark === null) return STOP.test(next) || next === ")" || next === "]";
  const before = known.get(at);
  if (before !== undefined) return before;
  const behind = (place: number): boolean => steps < MOST_STEPS && ends(flat, place, known, steps + 1);
  let answer = false;
  if (mark.tag === "open") answer = behind(at + 1) && behind(mark.extent.other + 1);
  else if (mark.tag === "else") answer = behind(mark.extent.close + 1);
  else if (mark.tag === "close") answer = behind(at + 1);
  known.set(at, answer);
  return answer;
}
