/** What a mail that came back is, and what it says of each recipient: what this folder makes of octets, and everything else of inMail goes on with. */
import type { Verdict } from "../../model/verdict.ts";

/**
 * - `report`: delivery status for programs (RFC 3464). `bounce`: a failure told in text alone.
 * - `complaint`: RFC 5965, or as a provider writes it. `auth-report`: a DMARC failure report (RFC 6591), which is no complaint.
 * - `auto-reply`: RFC 3834 and those that do not say so. `challenge`: somebody's system asks for proof of a person.
 * - `unsubscribe`: a request by mail (RFC 2369). `receipt`: it was shown or deleted (RFC 8098).
 * - `person`: somebody wrote. `other`: lists, spam, reports about something else.
 */
export const MAIL_KINDS = [
  "report",
  "bounce",
  "complaint",
  "auth-report",
  "auto-reply",
  "challenge",
  "unsubscribe",
  "receipt",
  "person",
  "other",
] as const;
export type MailKind = (typeof MAIL_KINDS)[number];

/** Absent things are ''. Everything in it was written by strangers. */
export interface MailResult {
  /** The address we sent to, as it is written there; '' when nobody is named. */
  readonly recipient: string;
  /** Where the message ended, when the recipient forwards. */
  readonly finalRecipient: string;
  readonly action:
    | "failed"
    | "delayed"
    | "delivered"
    | "relayed"
    | "expanded"
    | "complained"
    | "replied"
    | "unsubscribed";
  readonly verdict: Verdict;
  /** RFC 3463 status. */
  readonly status: string;
  /** Three digits. */
  readonly replyCode: string;
  /** What was said, one line of at most 500 characters: what is qualified when no rule knew it. */
  readonly text: string;
  /** The server that said it. */
  readonly mx: string;
}

/** Text that may be a token (model/token.ts), and where it stood: none of it is believed before its signature is verified. */
export interface TokenFound {
  readonly token: string;
  readonly where: "envelope" | "header" | "returned" | "unsubscribe" | "text" | "subject";
}

export interface Understood {
  readonly kind: MailKind;
  /** Empty for what is no bounce, complaint, request or automatic reply. */
  readonly results: readonly MailResult[];
  /** The surest first. */
  readonly tokens: readonly TokenFound[];
  /** Of the mail itself. */
  readonly from: string;
  readonly subject: string;
  readonly messageId: string;
  /** Of the message it is about, when it is returned or named. */
  readonly about: {
    readonly messageId: string;
    readonly subject: string;
    readonly from: string;
    readonly to: string;
    readonly date: string;
  };
  /** Feedback-Type of a complaint or report. */
  readonly feedbackType: string;
  /** Larger, deeper or of more recipients than is looked at. */
  readonly cut: boolean;
}
