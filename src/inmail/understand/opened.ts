/**
 * A mail that came back, opened: its header, what it says to people, its parts for programs (delivery status, feedback, disposition), and what it returns
 * of the message it is about. What a person forwards or quotes is not opened: a report inside a message/rfc822 is somebody else's.
 */
import { wordsToText } from "../mime/octets.ts";
import { partText } from "../mime/part-text.ts";
import { type Headers, addressesIn, readHeaders } from "../mime/headers.ts";
import { htmlText } from "../mime/html-text.ts";
import { type Part, splitMail } from "../mime/split.ts";
import { cutReturned } from "./returned.ts";
import { DAEMON } from "./daemon.ts";

export interface Opened {
  readonly headers: Headers;
  readonly subject: string;
  /** The address of From, small letters; '' for none. */
  readonly from: string;
  /** From as it is shown: name and address. */
  readonly fromText: string;
  /** `multipart/report`. */
  readonly type: string;
  readonly reportType: string;
  /** What it says to people, without what it returns. */
  readonly text: string;
  /** The bodies of message/delivery-status and the like, in order. */
  readonly status: readonly string[];
  /** Of message/feedback-report; null: there is none. */
  readonly feedback: string | null;
  /** Of message/disposition-notification; null: there is none. */
  readonly disposition: string | null;
  /** The header of the message it is about; null: nothing is returned. */
  readonly returned: Headers | null;
  /** The returned message came as a part of its own. */
  readonly attached: boolean;
  /** As it is returned: where a token may be. */
  readonly returnedText: string;
  /** Larger, deeper or of more parts than is looked at. */
  readonly cut: boolean;
}

/** Fields of a report that stand in the text: the part was not marked as one, or its boundary is broken. */
const STATUS_FIELD = /^(?:reporting-mta|original-envelope-id|final-recipient|original-recipient|action)[ \t]*:/im;

function statusInText(text: string): { readonly said: string; readonly status: string } | null {
  const at = text.search(STATUS_FIELD);
  if (at < 0) return null;
  const status = text.slice(at);
  if (!/^final-recipient[ \t]*:/im.test(status) || !/^(?:action|status)[ \t]*:/im.test(status)) return null;
  // What follows is the returned message, and stays in the text for whoever looks for that.
  return { said: text, status: cutReturned(status).said };
}

/** Characters of the text for people. */
const TEXT_MOST = 64 * 1024;
/** Of the returned message, for the search of a token. */
const RETURNED_MOST = 64 * 1024;

export function openMail(bytes: Uint8Array): Opened {
  const mail = splitMail(bytes);
  const opened = openPart(mail, mail.cut);
  const inner = wrappedIn(mail, opened);
  return inner === null ? opened : { ...openPart(inner, mail.cut), attached: true };
}

/**
 * A gateway's disclaimer around a report: the mail is one message and words, and both are signed by a mail server. What a person forwards is signed by
 * the person.
 */
function wrappedIn(mail: Part, { status, fromText }: Opened): Part | null {
  if (status.length > 0 || !mail.type.startsWith("multipart/") || !DAEMON.test(fromText)) return null;
  const inner = mail.parts.find(({ type }) => type === "message/rfc822")?.parts[0];
  if (inner === undefined || inner.type !== "multipart/report" || !DAEMON.test(inner.headers.get("from"))) return null;
  return inner;
}

function openPart(mail: Part, cut: boolean): Opened {
  const found: Found = { plain: [], html: [], status: [], feedback: null, disposition: null, messages: [] };
  collect(mail, found);
  const whole = textOf(found);
  const inside = found.status.length === 0 ? statusInText(whole) : null;
  if (inside !== null) found.status.push(inside.status);
  const said = inside?.said ?? whole;
  const attached = found.messages[0];
  const inText = cutReturned(said);
  const returned =
    attached ?? (inText.returned === "" ? null : { headers: readHeaders(inText.returned), text: inText.returned });
  const from = mail.headers.get("from");
  return {
    headers: mail.headers,
    subject: wordsToText(mail.headers.get("subject")).replace(/\s+/g, " ").slice(0, 500),
    from: (addressesIn(from)[0] ?? "").toLowerCase(),
    fromText: wordsToText(from).slice(0, 300),
    type: mail.type,
    reportType: (mail.parameters.get("report-type") ?? "").toLowerCase(),
    text: inText.said,
    status: found.status,
    feedback: found.feedback,
    disposition: found.disposition,
    returned: returned?.headers ?? null,
    attached: attached !== undefined,
    returnedText: returned?.text.slice(0, RETURNED_MOST) ?? "",
    cut,
  };
}

interface Found {
  readonly plain: string[];
  readonly html: string[];
  readonly status: string[];
  feedback: string | null;
  disposition: string | null;
  readonly messages: { readonly headers: Headers; readonly text: string }[];
}

function collect(part: Part, found: Found): void {
  switch (part.type) {
    case "message/delivery-status":
    case "message/global-delivery-status": {
      const text = partText(part);
      // Some write to people in a part for programs.
      (STATUS_FIELD.test(text) || /^status[ \t]*:/im.test(text) ? found.status : found.plain).push(text);
      return;
    }
    case "message/feedback-report":
      found.feedback ??= partText(part);
      return;
    case "message/disposition-notification":
    case "message/global-disposition-notification":
      found.disposition ??= partText(part);
      return;
    case "message/rfc822":
    case "message/global":
    case "text/rfc822-headers":
    case "text/rfc822":
    case "message/rfc822-headers":
    case "message/global-headers":
    case "message/partial": {
      const inner = part.parts[0];
      const text = partText(part);
      found.messages.push({ headers: inner?.headers ?? readHeaders(text.split(/\n\n/, 1)[0] ?? ""), text });
      return;
    }
    case "text/html":
      if (!isAttachment(part)) found.html.push(partText(part));
      return;
    default:
      if (part.parts.length > 0) for (const each of part.parts) collect(each, found);
      // A boundary that never comes, or is not told: all of it is one text.
      else if (part.type.startsWith("multipart/") && found.plain.length === 0) found.plain.push(partText(part));
      else if (part.type.startsWith("text/") && !isAttachment(part)) found.plain.push(partText(part));
  }
}

function isAttachment(part: Part): boolean {
  return /^attachment\b/i.test(part.headers.get("content-disposition"));
}

function textOf(found: Found): string {
  const plain = found.plain.filter((text) => text.trim() !== "");
  // Some call plain text what is HTML.
  const said = plain.map((text) => (/^\s*<(!doctype|html)/i.test(text) ? htmlText(text) : text));
  if (said.join("").trim().length < 20) said.push(...found.html.map(htmlText));
  return said.join("\n\n").slice(0, TEXT_MOST);
}
