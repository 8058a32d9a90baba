/**
 * Why a message failed or was deferred, in one word of the ledger, from the reply's RFC 3463 status, its code and (only where servers
 * are known to give no status) its text. First match wins.
 */
import type { Outcome } from "./outcome.ts";

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
  "in-doubt",
  "unrenderable",
  "expired",
  "suppressed",
  "journal",
  "other",
] as const;
export type Reason = (typeof REASONS)[number];

interface Rule {
  readonly reason: Reason;
  /** Enhanced statuses without their class: `1.1`. */
  readonly statuses?: readonly string[];
  readonly codes?: readonly number[];
  readonly text?: RegExp;
}

const RULES: readonly Rule[] = [
  { reason: "user-unknown", statuses: ["1.1", "1.0", "1.3", "1.6"] },
  { reason: "invalid-domain", statuses: ["1.2", "1.10", "4.4"] },
  { reason: "account-disabled", statuses: ["2.1"] },
  { reason: "mailbox-full", statuses: ["2.2"] },
  { reason: "too-large", statuses: ["2.3", "3.4"] },
  // Greylisting has no status of its own: RFC 6647 §5 asks for 4.7.1, and everyone says the word.
  { reason: "greylisted", text: /gr[ae]y-?list/i },
  {
    reason: "rate-limited",
    text: /too many (connections|messages|recipients)|rate limit|throttl|try again later.*limit/i,
  },
  { reason: "mailbox-full", text: /(mailbox|quota).{0,40}(full|exceed)|over ?quota/i },
  {
    reason: "user-unknown",
    text: /(user|recipient|mailbox|address).{0,30}(unknown|not found|does not exist|no such)|no such (user|recipient|mailbox)|unknown (user|recipient)/i,
  },
  { reason: "refused", statuses: ["7.0", "7.1", "7.25", "7.26", "7.27"] },
  { reason: "refused", text: /spam|block(ed|list)|blacklist|denied|policy|reputation|refused/i },
  { reason: "too-large", codes: [552], text: /size|large/i },
];

/** The reason of an outcome that did not deliver. */
export function reasonOf(o: Outcome): Reason {
  if (o.kind === "unroutable") return "invalid-domain";
  if (o.kind === "unreachable") return "unreachable";
  if (o.kind === "in-doubt") return "in-doubt";
  if (o.kind === "unrenderable") return "unrenderable";
  if (o.kind === "expired") return "expired";
  const status = o.enhanced.slice(2);
  for (const rule of RULES) {
    if (rule.statuses?.includes(status)) return rule.reason;
    if (rule.codes !== undefined && !rule.codes.includes(o.code)) continue;
    if (rule.text?.test(o.text)) return rule.reason;
  }
  return o.enhanced.slice(2, 4) === "7." ? "refused" : "other";
}
