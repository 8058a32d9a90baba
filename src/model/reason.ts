/**
 * Why a message failed, was deferred or came back, in one word of the ledger. One list for replies in the dialogue and for mail that comes
 * back; which word a text means is said by the bounce rules, handed in as a function.
 */
import type { Outcome } from "./outcome.ts";
import type { Statement } from "./said.ts";

export const REASONS = [
  "user-unknown",
  "mailbox-full",
  "account-disabled",
  "invalid-domain",
  "too-large",
  "greylisted",
  "rate-limited",
  "refused",
  "unreachable",
  // Only of mail that comes back.
  "complaint",
  "unsubscribed",
  "auth-report",
  "out-of-office",
  "challenge",
  "delayed",
  "delivered",
  // Only on our own side.
  "in-doubt",
  "unrenderable",
  "expired",
  "suppressed",
  "journal",
  "other",
] as const;
export type Reason = (typeof REASONS)[number];

/** The bounce rules in force (`BounceTable.judge`). */
export type Judge = (said: Statement) => { readonly reason: Reason; readonly rule: string };

/** The reason of an outcome that did not deliver; `other` for a reply no rule knows. */
export function reasonOf(outcome: Outcome, judge: Judge): Reason {
  const { kind } = outcome;
  if (kind === "unroutable") return "invalid-domain";
  if (kind === "in-doubt" || kind === "unrenderable" || kind === "expired" || kind === "unreachable") return kind;
  const { rule, reason } = judge(statementOf(outcome));
  return rule === "" ? "other" : reason;
}

/** What an exchanger answered, as the bounce rules look at it. */
export function statementOf({ code, enhanced, text, mx, stage }: Outcome): Statement {
  return { source: "reply", code, enhanced, text, mx, stage };
}
