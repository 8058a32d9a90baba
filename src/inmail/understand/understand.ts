/**
 * A mail that came back, understood: what kind it is, and what it says of each recipient. Pure: octets and the bounce rules in, a value out; whatever the
 * octets, it returns. What a mail says to programs comes before what it says to people, and what its words say before its codes.
 */
import type { BounceTable } from "../../model/bounce-rules.ts";
import { harmless } from "../../model/harmless.ts";
import type { SaidSource } from "../../model/said.ts";
import { type Complaint, readComplaint } from "./complaint.ts";
import type { MailKind, MailResult, Understood } from "./contract.ts";
import { wordsToText } from "../mime/octets.ts";
import { failuresOf } from "./failures.ts";
import { addressesIn } from "../mime/headers.ts";
import { type Notified, readNotification } from "./notification.ts";
import { type Opened, openMail } from "./opened.ts";
import { reportResults } from "./report.ts";
import { resultOf } from "./result.ts";
import { type Signs, isAutoReply, isBulk, isChallenge, isFailure, isUnsubscribe, signsOf } from "./signs.ts";
import { tokensIn } from "./tokens.ts";
import { judgeEvidence } from "./evidence.ts";

type Made = Pick<Understood, "kind" | "results"> & { readonly feedbackType?: string; readonly cut?: boolean };

/** @param envelope the address it was sent to in SMTP, '' when that is not known. */
export function understand(bytes: Uint8Array, rules: BounceTable, envelope: string = ""): Understood {
  const mail = openMail(bytes);
  const made = madeOf(mail, rules);
  return {
    kind: made.kind,
    results: made.results,
    tokens: tokensIn(mail, envelope),
    from: mail.from,
    subject: harmless(mail.subject, 200),
    messageId: idOf(mail.headers.get("message-id")),
    about: aboutOf(mail),
    feedbackType: made.feedbackType ?? "",
    cut: mail.cut || made.cut === true,
  };
}

function madeOf(mail: Opened, rules: BounceTable): Made {
  const complaint = readComplaint(mail);
  if (complaint !== null) return ofComplaint(complaint, rules);
  const notified = readNotification(mail);
  if (notified !== null) return ofNotification(notified, rules);
  const signs = signsOf(mail);
  if (mail.disposition !== null && mail.status.length === 0) return { kind: "receipt", results: [] };
  if (mail.status.length > 0) {
    const report = reportResults(mail, signs, rules);
    if (report.results.length > 0) return { kind: "report", ...report };
  }
  if (isUnsubscribe(mail, signs)) return ofSender("unsubscribe", "unsubscribe", "unsubscribed", mail, rules);
  if (isFailure(mail, signs)) return { kind: "bounce", results: failuresOf(mail, signs, rules) };
  if (isChallenge(mail, signs)) return ofSender("challenge", "challenge", "replied", mail, rules);
  if (isAutoReply(mail, signs)) return ofSender("auto-reply", "auto-reply", "replied", mail, rules);
  return { kind: personOr(mail, signs), results: [] };
}

function ofComplaint({ kind, feedbackType, recipients, text, mx }: Complaint, rules: BounceTable): Made {
  if (kind === "other") return { kind, results: [], feedbackType };
  const verdict = rules.judge({ source: kind, code: 0, enhanced: "", text, mx, stage: "" });
  const results = (recipients.length > 0 ? recipients : [""]).map((recipient): MailResult => ({
    recipient,
    finalRecipient: "",
    action: "complained",
    verdict,
    status: "",
    replyCode: "",
    text: harmless(text.replace(/\s+/g, " "), 500),
    mx,
  }));
  return { kind, results, feedbackType };
}

const NOTIFIED: Readonly<Record<Notified["what"], readonly [MailKind, SaidSource, MailResult["action"]]>> = {
  bounce: ["bounce", "bounce", "failed"],
  complaint: ["complaint", "complaint", "complained"],
  delivery: ["report", "delivery", "delivered"],
};

function ofNotification({ what, recipients }: Notified, rules: BounceTable): Made {
  const [kind, source, action] = NOTIFIED[what];
  const results = recipients.map(({ address, status, text }): MailResult => {
    const judged = judgeEvidence(rules, source, "", { near: [{ text, status }] });
    return resultOf(address, action, judged, "");
  });
  return { kind, results };
}

/** It is about whoever sent it. Who hides the sender says nothing of anybody. */
function ofSender(
  kind: MailKind,
  source: SaidSource,
  action: MailResult["action"],
  mail: Opened,
  rules: BounceTable,
): Made {
  const sender = senderOf(mail);
  if (sender === "") return { kind, results: [] };
  const judged = judgeEvidence(rules, source, "", { near: [{ text: `${mail.subject}\n${mail.text}` }] });
  return { kind, results: [resultOf(sender, action, judged, "")] };
}

/** From is who has the mailbox; a robot's own address stands there too, and then the message it answers says whom it was sent to. */
function senderOf(mail: Opened): string {
  const from = addressesIn(mail.headers.get("from"), 1)[0] ?? addressesIn(mail.headers.get("reply-to"), 1)[0] ?? "";
  return from || (addressesIn(mail.headers.get("sender"), 1)[0] ?? "");
}

function personOr(mail: Opened, signs: Signs): MailKind {
  return mail.from === "" || isBulk(mail) || signs.daemon || signs.autoSubmitted !== "" ? "other" : "person";
}

function idOf(value: string): string {
  return /<([^<>\s]{1,250})>/.exec(value)?.[1] ?? "";
}

function aboutOf({ returned, headers }: Opened): Understood["about"] {
  const line = (name: string): string => harmless(wordsToText(returned?.get(name) ?? ""), 300);
  return {
    messageId:
      idOf(returned?.get("message-id") ?? "") || idOf(headers.get("in-reply-to")) || idOf(headers.get("references")),
    subject: line("subject"),
    from: line("from"),
    to: line("to"),
    date: line("date"),
  };
}
