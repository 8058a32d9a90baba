/**
 * Pieces of what was said, given to the bounce rules one after the other, the nearest to the recipient first. The first one whose words a rule knows
 * decides; when no words are known, the first one whose code is.
 */
import { type BounceTable, verdictOf } from "../../model/bounce-rules.ts";
import { harmless } from "../../model/harmless.ts";
import { type SaidSource, enhancedIn } from "../../model/said.ts";
import type { Verdict } from "../../model/verdict.ts";

export interface Piece {
  readonly text: string;
  /** Of the report, when the text has none of its own. */
  readonly status?: string;
  /** How far the dialogue had come, when what stands around it says so. */
  readonly stage?: string;
}

export interface Judged {
  readonly verdict: Verdict;
  /** What was said, one line. */
  readonly text: string;
  /** Three digits, 0 for none. */
  readonly code: number;
  /** `5.1.1`, '' for none. */
  readonly status: string;
}

/** A reply code in a text: behind a mark or a blank, before a blank, a dash or a mark, and no part of a number. */
const CODE = /(?:^|[\s:;('"[#<>=,-])([45]\d\d)(?=[\s:;,.)\]'"-]|$)(?![.-]\d{4})/g;

/** The first reply code in the text, 0 for none. One before an enhanced code or in front of the text is surer than others. */
export function codeIn(text: string): number {
  const short = text.slice(0, 2000);
  const sure =
    /(?:^|[\s:;('"[])([45]\d\d)[ -]#?[45]\.\d{1,3}\.\d{1,3}/.exec(short)?.[1] ?? /^\s*([45]\d\d)[\s-]/.exec(short)?.[1];
  if (sure !== undefined) return Number(sure);
  for (const [, code] of short.matchAll(CODE)) return Number(code);
  return 0;
}

const REPLY = /[\s:;'"(<>-][45]\d\d[ -](?=\S)(?![\d.]+\])/;

const STAGES: readonly (readonly [RegExp, string])[] = [
  [/end of data|after data|in reply to data|final data|<crlf>\.<crlf>|message body|pipelined data/i, "dot"],
  [/rcpt to|rcpt_to|\[rcpt/i, "rcpt"],
  [/mail from|mail_from/i, "mail"],
  [/\behlo\b|\bhelo\b/i, "ehlo"],
  [/initial connection|greeting|while connecting|sent_connect/i, "banner"],
  [/my name was rejected/i, "ehlo"],
];

export function stageIn(text: string): string {
  const short = text.slice(0, 1000);
  return STAGES.find(([mark]) => mark.test(short))?.[1] ?? "";
}

/** What there is to be judged. */
export interface Evidence {
  /** About this recipient, the nearest first. */
  readonly near: readonly Piece[];
  /** About the mail as a whole; asked for when the near ones say nothing. */
  general?(): readonly Piece[];
  /** Where codes are looked for when what decided has none; '' when it is about several recipients. */
  readonly whole?: string;
}

export function judgeEvidence(rules: BounceTable, source: SaidSource, mx: string, evidence: Evidence): Judged {
  const near = judgePieces(rules, source, mx, evidence.near);
  const far = near.sure || near.words !== null ? null : judgePieces(rules, source, mx, evidence.general?.() ?? []);
  const words = near.words ?? far?.words ?? null;
  // Of a delay, a complaint and the like the kind alone decides, words or none.
  const judged =
    words ?? near.code ?? far?.code ?? near.first ?? far?.first ?? judgeText(rules, source, mx, { text: "" });
  const first = near.first ?? far?.first;
  // Words that were found farther away have the codes that stood near.
  const code = judged.code || (first?.code ?? 0) || codeIn(evidence.whole ?? "");
  const status = judged.status || (first?.status ?? "") || enhancedIn(evidence.whole ?? "", code);
  return { verdict: judged.verdict, text: judged.text, code, status };
}

interface JudgedPieces {
  /** By a rule that is for these words, and not for what nothing else is known of. */
  readonly sure: boolean;
  /** By words, the surest there are. */
  readonly words: Judged | null;
  readonly code: Judged | null;
  readonly first: Judged | null;
}

function judgePieces(rules: BounceTable, source: SaidSource, mx: string, pieces: readonly Piece[]): JudgedPieces {
  let words: Judged | null = null;
  let code: Judged | null = null;
  let first: Judged | null = null;
  for (const piece of pieces.flatMap(withReply)) {
    if (piece.text.trim() === "" && (piece.status ?? "") === "") continue;
    const judged = judgeText(rules, source, mx, piece);
    first ??= judged;
    if (judged.sure) return { sure: true, words: judged, code, first };
    if (judged.verdict.byText) words ??= judged;
    else if (judged.verdict.rule !== "") code ??= judged;
  }
  return { sure: false, words, code, first };
}

function judgeText(
  rules: BounceTable,
  source: SaidSource,
  mx: string,
  { text, status = "", stage = "" }: Piece,
): Judged & { readonly sure: boolean } {
  const code = codeIn(text);
  // The words of a report may name another code than its status: what the server said comes first.
  const enhanced = enhancedIn(text, code) || status;
  const rule = rules.find({ source, code, enhanced, text, mx, stage: stage || stageIn(text) });
  const verdict = rule === null ? rules.unknown : verdictOf(rule, rules.version);
  // A rule that looks at the moment knows as much as one that knows the words; of other kinds of mail the kind is enough.
  const knows = verdict.byText || source !== "bounce" || (rule?.match.stages.length ?? 0) > 0;
  const sure = rule !== null && !rules.weak(rule) && knows;
  return { verdict, text: harmless(text.replace(/\s+/g, " "), 500), code, status: enhanced, sure };
}

/** A server's answer inside of what a program says around it comes first: `host mx.example.com said: 550 5.1.1 …`. */
function withReply(piece: Piece): Piece[] {
  const at = piece.text.search(REPLY);
  if (at <= 0) return [piece];
  const reply = piece.text.slice(at).replace(/^[^45]+/, "");
  const end = reply.search(REPLY_ENDS);
  return [{ ...piece, text: end < 0 ? reply : reply.slice(0, end), stage: stageIn(piece.text) }, piece];
}

/** A line that is no longer the server's: of the dialogue, of another recipient, or the program's own last word. */
const REPLY_ENDS =
  /\n\s*(?:<<<|>>>|\.\.\.|-{3}|\/?I'm not going to try|Giving up|<?[^\s<>@]{1,128}@[^\s<>@]{1,250}>?(?:\.\.\.|:|\s*$))/im;
