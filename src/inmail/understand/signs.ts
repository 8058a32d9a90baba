/**
 * What speaks for a mail being from a program, and from what kind of program: a mail server that reports a failure, somebody's automatic reply, a
 * challenge. Each sign is weak; only together they decide, and never without words: a mailbox quota in a person's letter is no bounce.
 */
import { foldText } from "../../model/bounce-text.ts";
import { DAEMON } from "./daemon.ts";
import type { Opened } from "./opened.ts";
import { type SubjectWord, type TextWord, subjectWordsIn, wordsIn } from "./words.ts";

export interface Signs {
  readonly text: ReadonlySet<TextWord>;
  readonly subject: ReadonlySet<SubjectWord>;
  /** A mail server or its keeper wrote it. */
  readonly daemon: boolean;
  /** The null return path (RFC 5321 §4.5.5), as far as it is to be seen. */
  readonly nullPath: boolean;
  /** RFC 3834 §5: `auto-replied`, `auto-generated` …, '' for a person. */
  readonly autoSubmitted: string;
  /** Marks of programs that reply by themselves, before and beside RFC 3834. */
  readonly autoMarks: boolean;
  /** An answer or a forwarded mail, by its subject. */
  readonly answered: boolean;
}

const AUTO_MARKS = [
  "x-autoreply",
  "x-autorespond",
  "x-auto-reply",
  "x-autoresponder",
  "x-mail-autoreply",
  "x-autoreply-from",
  "x-vacation",
  "auto-reply",
] as const;

export function signsOf(mail: Opened): Signs {
  const { headers } = mail;
  const precedence = [headers.get("precedence"), headers.get("x-precedence")].join(" ").toLowerCase();
  const returnPath = headers.get("return-path");
  return {
    text: wordsIn(mail.text),
    subject: subjectWordsIn(mail.subject),
    daemon: DAEMON.test(mail.fromText) || /<>\s*$/.test(headers.get("from")),
    nullPath: headers.has("return-path") && /^\s*(?:<\s*>|<?mailer-daemon(?:@[^>]*)?>?|"?<>"?)\s*$/i.test(returnPath),
    autoSubmitted: (/^\s*([\w-]+)/.exec(headers.get("auto-submitted"))?.[1] ?? "").toLowerCase().replace(/^no$/, ""),
    autoMarks:
      AUTO_MARKS.some((name) => headers.has(name)) ||
      /auto[_-]?reply|auto[_-]?respon/.test(precedence) ||
      /autorepl|autorespon/i.test(headers.get("x-mailer") + headers.get("delivered-to") + headers.get("user-agent")),
    answered: /^\s*(?:re|fw|fwd|aw|wg|tr|rv|sv|vs|antw|odp|rif|r|i)\s*(?:\[\d+\])?\s*:/i.test(mail.subject),
  };
}

/** Whether a mail server tells in words that it could not deliver, or cannot yet. */
export function isFailure(mail: Opened, signs: Signs): boolean {
  const { text, subject, daemon, nullPath, autoSubmitted } = signs;
  const named = mail.headers.has("x-failed-recipients");
  const report = mail.type === "multipart/report" && !/disposition|feedback/.test(mail.reportType);
  const says = text.has("failed") || text.has("delayed") || text.has("dialogue") || text.has("over");
  const titled = subject.has("failed") || subject.has("delayed");
  if (named) return says || titled;
  // Somebody's automatic reply says it in its subject, and returns nothing.
  if ((subject.has("auto") || signs.autoMarks) && !daemon && !nullPath) return false;
  const score =
    (daemon ? 3 : 0) +
    (nullPath ? 2 : 0) +
    (autoSubmitted === "" ? 0 : 1) +
    (report ? 2 : 0) +
    (titled ? 2 : 0) +
    (text.has("failed") ? 2 : 0) +
    (text.has("dialogue") ? 1 : 0) +
    (text.has("delayed") ? 1 : 0) +
    (mail.returned === null ? 0 : 1);
  // In a language nobody here knows: a mail server sends a message back, and says so in no words but these.
  const mute = daemon && mail.returned !== null && (nullPath || autoSubmitted !== "" || report);
  if (daemon || nullPath || report)
    return (says || titled || mute) && score >= (daemon ? 4 : 5) && !(signs.answered && !daemon && !nullPath);
  // Nobody signed as a program: only what says so in title and text is one, no answer, and of bulk mail only what shows it in one more way.
  const shown = mail.returned !== null || autoSubmitted !== "" || text.has("dialogue") || TITLE.test(mail.subject);
  return titled && text.has("failed") && !signs.answered && (shown || !isBulk(mail));
}

/** A subject that begins so is no person's. */
const TITLE =
  /^\s*(?:undeliver(?:able|ed)|non-?deliver\w*|delivery (?:failure|status|notification|has failed)|returned mail|mail delivery (?:failed|failure)|failure notice)\b/i;

export function isDelay(mail: Opened, { text, subject }: Signs): boolean {
  if (text.has("over")) return false;
  return (
    text.has("delayed") ||
    subject.has("delayed") ||
    (mail.status.length === 0 && /\bdelay(?:ed)?\b/i.test(mail.subject))
  );
}

/** How much of a letter an automatic reply may be, when nothing but its words says that it is one. */
const SHORT = 1500;

export function isAutoReply(mail: Opened, signs: Signs): boolean {
  const { subject, text, autoSubmitted, autoMarks } = signs;
  if (signs.daemon && !subject.has("auto") && !autoMarks) return false;
  if (autoSubmitted.startsWith("auto-replied") || autoMarks) return true;
  if (subject.has("auto")) return true;
  if (signs.nullPath && (text.has("away") || wordsIn(mail.subject).has("away"))) return true;
  if (autoSubmitted === "auto-generated" && (text.has("away") || signs.answered)) return true;
  // Unmarked: short, about being away, and by somebody who was written to.
  const said = foldText(mail.text);
  return (
    text.has("away") &&
    said.length < SHORT &&
    signs.answered &&
    /out of office|vacation| on leave |away from|autom|autorespon| holiday|abwesen|urlaub|conge|ausente|ferias|ferie/.test(
      said,
    )
  );
}

export function isChallenge(mail: Opened, { text, subject, daemon }: Signs): boolean {
  if (daemon && !text.has("challenge")) return false;
  return text.has("challenge") && (subject.has("challenge") || signsOfChallenger(mail));
}

function signsOfChallenger(mail: Opened): boolean {
  return /boxbe|spamarrest|bluebottle|choicemail|mailblocks|sendio|knowspam|spamblocker|challenge|tmda/i.test(
    mail.fromText + mail.headers.get("x-mailer") + mail.headers.get("x-boxbe-notify") + mail.headers.get("sender"),
  );
}

/** A request to get no more: by the mail program of the recipient, or in words, short. */
export function isUnsubscribe(mail: Opened, { subject, daemon }: Signs): boolean {
  if (mail.headers.has("x-apple-unsubscribe")) return true;
  if (daemon || !subject.has("unsubscribe")) return false;
  const words = foldText(mail.subject).trim().split(" ").length;
  return words <= 4 && mail.text.trim().length < 400 && !mail.headers.has("list-unsubscribe");
}

/** Mail of lists and bulk, what a filter before us has marked, and reports that sum up (RFC 7489 §7.2): nobody who writes to us. */
export function isBulk(mail: Opened): boolean {
  const { headers } = mail;
  return (
    headers.has("list-id") ||
    headers.has("list-unsubscribe") ||
    /\b(?:bulk|junk|list)\b/i.test(headers.get("precedence")) ||
    /^\s*yes/i.test(headers.get("x-spam-flag")) ||
    /^\s*yes/i.test(headers.get("x-spam-status")) ||
    /^\s*(?:\[[^\]]*\]\s*)?report domain:/i.test(mail.subject)
  );
}
