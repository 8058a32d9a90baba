/**
 * The verdict: what a failure means for the one who sent. Made by the bounce rules (bounce-rules.ts) of a reply in the dialogue or of a mail
 * that came back. It is an action, not a label: what becomes of the address, what else is touched, what somebody should do.
 */
import type { Reason } from "./reason.ts";

/** `hard`: the address is of no use any more. `soft`: counted, too many of them are hard. `ignored`: says nothing about the address. */
export const VERDICT_TYPES = ["hard", "soft", "ignored"] as const;
export type VerdictType = (typeof VERDICT_TYPES)[number];

/** What it is about: this address, this message's content, everything at this site, everything from our IP. */
export const VERDICT_SCOPES = ["recipient", "message", "site", "our-ip"] as const;
export type VerdictScope = (typeof VERDICT_SCOPES)[number];

export interface Verdict {
  readonly type: VerdictType;
  readonly reason: Reason;
  readonly scope: VerdictScope;
  /** One sentence for the operator, '' when there is nothing to do. */
  readonly advice: string;
  /** The rule that said so, '' for none. */
  readonly rule: string;
  /** Whether that rule knew the text. Of what only a code was known, or nothing, the text waits to be qualified. */
  readonly byText: boolean;
  /** Short hash of all rules in force then. */
  readonly version: string;
}

/** Names under which reasons are counted outside: those of other systems' tables and of the labelled mails. */
export const CATEGORIES = [
  "user_unknown",
  "invalid_domain",
  "unreachable",
  "account_disabled",
  "mailbox_full",
  "message_too_large",
  "refused",
  "feedback_loop",
  "out_of_office",
  "challenge_response",
  "delayed",
  "delivered",
  "auth_report",
  "not_defined",
] as const;
export type Category = (typeof CATEGORIES)[number];

const CATEGORY_OF: Readonly<Record<Reason, Category>> = {
  "user-unknown": "user_unknown",
  "mailbox-full": "mailbox_full",
  "account-disabled": "account_disabled",
  "invalid-domain": "invalid_domain",
  "too-large": "message_too_large",
  greylisted: "refused",
  "rate-limited": "refused",
  refused: "refused",
  unreachable: "unreachable",
  complaint: "feedback_loop",
  unsubscribed: "feedback_loop",
  "auth-report": "auth_report",
  "out-of-office": "out_of_office",
  challenge: "challenge_response",
  delayed: "delayed",
  delivered: "delivered",
  "in-doubt": "not_defined",
  unrenderable: "not_defined",
  expired: "unreachable",
  suppressed: "feedback_loop",
  journal: "not_defined",
  other: "not_defined",
};

export function categoryOf(reason: Reason): Category {
  return CATEGORY_OF[reason];
}
