/**
 * Complaints: a recipient pressed "this is spam". By RFC 5965, or as Hotmail does (the mail itself, under a subject), or as a notification in JSON. And what
 * looks like one and is none: failure reports after RFC 6591, and "not spam" (RFC 6430).
 */
import { type Headers, addressesIn, readHeaders } from "../mime/headers.ts";
import type { Opened } from "./opened.ts";
import { subjectWordsIn } from "./words.ts";

export interface Complaint {
  readonly kind: "complaint" | "auth-report" | "other";
  readonly feedbackType: string;
  readonly recipients: readonly string[];
  readonly text: string;
  readonly mx: string;
}

const RECIPIENTS_MOST = 100;

/** null: it is none of these. */
export function readComplaint(mail: Opened): Complaint | null {
  if (mail.feedback !== null) return byFeedback(mail, readHeaders(mail.feedback));
  return byLook(mail);
}

function byFeedback(mail: Opened, fields: Headers): Complaint {
  const feedbackType = fields.get("feedback-type").toLowerCase().split(/[\s;]/, 1)[0] ?? "";
  const told = ["original-rcpt-to", "removal-recipient", "x-original-rcpt-to", "original-recipient"].map((name) =>
    fields
      .all(name)
      .slice(0, RECIPIENTS_MOST)
      .flatMap((value) => addressesIn(value.replace(/^\s*[\w-]+\s*;/, ""), 10)),
  );
  const named = told.find((list) => list.length > 0) ?? [];
  return {
    kind:
      feedbackType.startsWith("auth-failure") || feedbackType === "dmarc"
        ? "auth-report"
        : feedbackType === "not-spam"
          ? "other"
          : "complaint",
    feedbackType,
    recipients: named.length > 0 ? unique(named) : returnedRecipients(mail),
    text: mail.text.trim().slice(0, 500),
    mx: fields.get("reporting-mta").replace(/^\s*[\w-]+\s*;\s*/, ""),
  };
}

/** Hotmail sends the message back under a subject of its own, and names the recipient in a header only it writes. */
function byLook(mail: Opened): Complaint | null {
  const hotmail = mail.from === "staff@hotmail.com" || (mail.returned?.has("x-hmxmroriginalrecipient") ?? false);
  const subject = subjectWordsIn(mail.subject).has("complaint");
  if (mail.returned === null || !(hotmail || (subject && mail.attached))) return null;
  return {
    kind: "complaint",
    feedbackType: "abuse",
    recipients: returnedRecipients(mail),
    text: mail.subject,
    mx: hotmail ? "hotmail.com" : "",
  };
}

function returnedRecipients({ returned }: Opened): string[] {
  if (returned === null) return [];
  for (const name of [
    "x-hmxmroriginalrecipient",
    "x-original-to",
    "delivered-to",
    "envelope-to",
    "to",
    "x-rcpt-to",
    "cc",
  ]) {
    const found = returned.all(name).flatMap((value) => addressesIn(value, 10));
    if (found.length > 0) return unique(found).slice(0, RECIPIENTS_MOST);
  }
  return [];
}

function unique(addresses: readonly string[]): string[] {
  return [...new Map(addresses.map((address) => [address.toLowerCase(), address])).values()];
}
