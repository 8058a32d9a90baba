/**
 * What makes bounce rules unfit to be used, found without a mail. Each is proven by its own examples; one that would take nearly everything
 * is found by sentences that stand in every mail about a failure. What is only useless is found by bounce-rules-lint.ts.
 */
import {
  type BounceMatch,
  type BounceRule,
  type BounceTable,
  FAILURES,
  piecesOfText,
  readsText,
} from "./bounce-rules.ts";
import { GAP_MOST, foldText } from "./bounce-text.ts";
import { harmless } from "./harmless.ts";
import { type Statement, readSaid } from "./said.ts";

export interface BounceRuleProblem {
  /** `warning`: it works, and is not what somebody meant. */
  readonly severity: "error" | "warning";
  readonly at: string;
  readonly rule: string;
  readonly text: string;
}

/** Letters and digits of a text, at least; of a whole word (`" spf "`) three. */
const SHORTEST_TEXT = 4;
const SHORTEST_WORD = 3;

/** They stand in mails about every failure, whatever its cause: no rule may know a cause by them. */
const ORDINARY = [
  "Your message could not be delivered to one or more recipients.",
  "This is the mail system at host mail.example.com. I'm sorry to have to inform you that your message could not be delivered.",
  "This message was created automatically by mail delivery software. A message that you sent could not be delivered to all of its recipients.",
  "This is a permanent error. The following address(es) failed:",
  "Hi. This is the qmail-send program at example.com. I'm afraid I wasn't able to deliver your message to the following addresses. This is a permanent error; I've given up. Sorry it didn't work out.",
  "Sorry, we were unable to deliver your message to the following address. Below this line is a copy of the message. No further attempts will be made.",
  "Technical details of permanent failure: The response from the remote server was:",
  "Your message was rejected by mail.example.com for the following reason: The destination computer refused to accept it.",
  "The error that the other server returned was: host mail.example.com said: (in reply to RCPT TO command)",
  "The original message was received at Mon, 1 Jan 2024 00:00:00 from mail.example.com",
  "----- The following addresses had permanent fatal errors ----- ----- Transcript of session follows -----",
  "Delivery to the following recipients failed.",
  "Your message did not reach some or all of the intended recipients.",
  "Undelivered Mail Returned to Sender. Returned mail: see transcript for details. Delivery Status Notification (Failure)",
  "For further assistance, please send mail to postmaster. Diagnostic information for administrators. Reporting-MTA, Final-Recipient",
  "Below this line is a copy of the message. Original message headers. Please do not reply to this message.",
].map(foldText);

/** An example as a statement; exchanger, stage and source are the first ones the rule names. */
export function exampleStatement(example: string, match: BounceMatch): Statement {
  const mx = match.mx[0] ?? "mx.example.net";
  return {
    ...readSaid(example),
    source: match.sources[0] ?? "reply",
    stage: match.stages[0] ?? "rcpt",
    mx: mx.replaceAll("*", "mx1").replaceAll("?", "1"),
  };
}

/** @param over ids of an operator's rules: they may take what a rule that came along was for. */
export function checkBounceRules(table: BounceTable, over: ReadonlySet<string> = new Set()): BounceRuleProblem[] {
  const problems: BounceRuleProblem[] = [];
  const seen = new Set<string>();
  for (const rule of table.rules) {
    const say = (text: string): void => void problems.push({ severity: "error", at: rule.origin, rule: rule.id, text });
    if (seen.has(rule.id)) say("there is another rule of this name");
    seen.add(rule.id);
    for (const text of tooGeneral(rule, table.weak(rule))) say(text);
    if (rule.examples.length === 0) say("has no example of what it is for");
    for (const example of rule.examples) {
      const taken = table.find(exampleStatement(example, rule.match));
      if (taken === rule || (taken !== null && over.has(taken.id))) continue;
      const by = taken === null ? "matches no rule" : `is taken by rule ${taken.id} (${taken.origin})`;
      say(`its example ${by}: ${harmless(example, 100)}`);
    }
  }
  return problems;
}

/** @param weak it stands behind the codes: a common word that ends no address may stand there. */
function tooGeneral(rule: BounceRule, weak: boolean): string[] {
  const { match, verdict } = rule;
  const problems: string[] = [];
  const failures = match.sources.length === 0 || match.sources.some((source) => FAILURES.includes(source));
  const says = [match.codes, match.enhanced, match.texts, match.all].some((list) => list.length > 0);
  if (failures && !says) problems.push("matches every failure: name codes, enhanced codes or texts");
  const alone = match.all.length === 0 ? match.texts.length : 0;
  for (const [i, text] of [...match.texts, ...match.all, ...match.not].entries()) {
    const patterns = piecesOfText(text);
    const short = patterns.map(tooShort).find((least) => least > 0) ?? 0;
    if (short > 0)
      problems.push(`text ${JSON.stringify(text)} is too short to mean anything: at least ${short} characters`);
    if (i >= alone || (weak && verdict.type !== "hard")) continue;
    const ordinary = ORDINARY.find((sentence) => patterns.some((pieces) => holds([sentence], pieces)));
    if (ordinary !== undefined)
      problems.push(`text ${JSON.stringify(text)} is in mails about every failure:${ordinary.trimEnd()}`);
  }
  const oneCode = match.enhanced.length > 0 && match.enhanced.every((mask) => !/[*?]/.test(mask.slice(1)));
  if (failures && verdict.type === "hard" && !readsText(rule) && !oneCode)
    problems.push("ends addresses for a code alone: name texts, or enhanced codes without * and ?");
  return problems;
}

/** The length it should have, 0 when it is long enough. */
function tooShort(pieces: readonly string[]): number {
  const text = pieces.join("");
  const least = /^ .* $/.test(text) ? SHORTEST_WORD : SHORTEST_TEXT;
  // In other scripts two characters are a word.
  return text.replaceAll(" ", "").length < least && !/[^\x00-\x7e]/.test(text) ? least : 0;
}

/** Whether every text that has the pieces of one pattern, each within the gap, has those of the other; false when that is not certain. */
export function holds(pieces: readonly string[], wanted: readonly string[]): boolean {
  if (pieces.some((piece) => holdsAll(piece, wanted))) return true;
  const last = pieces.length - 1;
  if (last < 1 || wanted.length !== pieces.length) return false;
  return pieces.every((piece, i) => {
    const want = wanted[i] ?? "";
    return i === 0 ? piece.endsWith(want) : i === last ? piece.startsWith(want) : piece === want;
  });
}

/** One after the other in one text, from each place where the first of them is. */
function holdsAll(text: string, [first = "", ...rest]: readonly string[]): boolean {
  for (let at = text.indexOf(first); at >= 0; at = text.indexOf(first, at + 1)) {
    let end = at + first.length;
    const all = rest.every((want) => {
      const next = text.indexOf(want, end);
      const near = next >= 0 && next - end <= GAP_MOST;
      end = next + want.length;
      return near;
    });
    if (all) return true;
  }
  return false;
}
