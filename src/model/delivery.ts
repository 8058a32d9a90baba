/**
 * Our words as types: delivery, recipient, message, part (design §1), with the numbers under which the ledger keeps
 * them. A number once given to a word is never given to another: rows of years ago are read with this table.
 */

/** `draft` → `ready` (start asked for, waits for notBefore) → `sending` ⇄ `paused` → `finished` | `stopped`. */
export const DELIVERY_STATES = ["draft", "ready", "sending", "paused", "finished", "stopped"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** Position in this list = the number in column `message.status`. */
export const MESSAGE_STATUSES = [
  "pending",
  "deferred",
  "sent",
  "failed",
  "bounced",
  "excluded",
  "cancelled",
  "in-doubt",
] as const;
export type MessageStatus = (typeof MESSAGE_STATUSES)[number];

/** The statuses a message can be attempted from; all others are final or wait for a decision. */
export const OPEN_STATUSES: readonly MessageStatus[] = ["pending", "deferred"];

export function statusNumber(status: MessageStatus): number {
  return MESSAGE_STATUSES.indexOf(status);
}

export function statusName(number: number): MessageStatus {
  const name = MESSAGE_STATUSES[number];
  if (name === undefined) throw new RangeError(`no message status has number ${number}`);
  return name;
}

/** Position = column `event.type`. */
export const EVENT_TYPES = [
  "accepted",
  "excluded",
  "sent",
  "deferred",
  "failed",
  "in-doubt",
  "resolved",
  "cancelled",
  "bounced",
  "opened",
  "clicked",
  "unsubscribed",
  "complained",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Classes of turn, most urgent first; position = column `delivery.priority`. */
export const PRIORITIES = ["transactional", "high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** What becomes of a message whose final dot was written and whose answer was never read. */
export const IN_DOUBT_POLICIES = ["retry", "hold", "assume-sent"] as const;
export type InDoubtPolicy = (typeof IN_DOUBT_POLICIES)[number];

/** Delays before try 2, 3, …, in seconds; the last one repeats until the deadline. Default: 5 min, 30 min, hourly. */
export type RetrySchedule = readonly number[];
export const DEFAULT_RETRY_SCHEDULE: RetrySchedule = [300, 1800, 3600];

/** Default validity of a delivery, in seconds: 5 days (spec modules.md §7.5). */
export const DEFAULT_VALIDITY = 5 * 24 * 3600;

export interface Mailbox {
  readonly address: string;
  /** Display name, unencoded; may be a template; '' when none. */
  readonly name: string;
}

export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  /** Base64. */
  readonly data: string;
  /** Content-ID without angle brackets for an inline image (`cid:logo`), '' for an attachment. */
  readonly contentId: string;
}

/** How a content is tracked (ops/tracking.md). */
export interface Tracking {
  /** Base address of the redirection server, without trailing slash. */
  readonly url: string;
  /** Links of the HTML part. */
  readonly clicks: boolean;
  /** The open pixel. */
  readonly opens: boolean;
  /** Links of the text part too. */
  readonly textLinks: boolean;
  /** Also links whose label is itself a URL: phishing filters compare the two. */
  readonly urlLabels: boolean;
  /** No recipient in links and pixel. */
  readonly anonymous: boolean;
  /** A link no person can see, to know machines by. */
  readonly trap: boolean;
  /** A delivery of one message: its links name no delivery, so that contents are compiled once for many of them. */
  readonly single: boolean;
}

/** A link of a content that is tracked, or that was left alone. */
export interface ContentLink {
  /** From 1, in the order of the content: what tracked links and statistics call it. */
  readonly number: number;
  readonly part: "html" | "amp" | "text";
  /** As a template where it is personalised. */
  readonly url: string;
  readonly personalised: boolean;
  /** `data-track-name`, else the text of the link, else the alternative text of its image; '' when there is none. */
  readonly label: string;
  /** `data-track-category`. */
  readonly category: string;
  /** '' for a tracked one, else why it is left alone. */
  readonly untracked: string;
}

/** What is the same for every recipient of a delivery: stored once under its hash, compiled once a thread. */
export interface Content {
  /** Templates (Handlebars). `html` or `text` is '' when the part is absent; at least one is there. */
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  /** An AMP document (amp4email) for programs that show it; absent or '': none. A template as well: AMP's own braces are written `\{{`. */
  readonly amp?: string;
  /** True: `text` was not given; make it from the HTML (html-to-text). */
  readonly textFromHtml: boolean;
  readonly from: Mailbox;
  /** null: no Reply-To. */
  readonly replyTo: Mailbox | null;
  /** Display name of the To header as a template, '' for the bare address. */
  readonly toName: string;
  /** Extra headers in order; values are templates. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly attachments: readonly Attachment[];
  /** Variables every recipient has; a recipient's own win. */
  readonly globals: Readonly<Record<string, unknown>>;
  /** Domain of the envelope sender `b+<token>@…` (RFC 5321 §4.5.5 wants it to take reports). */
  readonly returnPathDomain: string;
  /** List-Unsubscribe (RFC 2369) + List-Unsubscribe-Post (RFC 8058). null: not asked for. */
  readonly listUnsubscribe: {
    /** Base of the one-click address, without trailing slash: `https://t.example.com` → `…/u/<token>`; '' for none. */
    readonly url: string;
    /** Mailbox domain for `mailto:u+<token>@…`; '' for none. */
    readonly mailtoDomain: string;
  } | null;
  /** Feedback-ID as Gmail reads it, already complete (`a:b:c:sender`); '' for none. */
  readonly feedbackId: string;
  /** Absent: not tracked. */
  readonly tracking?: Tracking;
}

/** How a delivery is sent; no part of it changes a byte of a message. */
export interface DeliverySettings {
  readonly affinity: string;
  readonly priority: Priority;
  /** Turns within the class, 1…100. */
  readonly weight: number;
  /** Epoch ms, null when not given. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  /** Seconds from the start. */
  readonly validity: number;
  readonly retrySchedule: RetrySchedule;
  readonly inDoubt: InDoubtPolicy;
}

/** Counters of a delivery. `accepted` is always the sum of the others but `claimed` (which is within pending/deferred). */
export interface Counters {
  readonly accepted: number;
  readonly pending: number;
  readonly claimed: number;
  readonly deferred: number;
  readonly sent: number;
  readonly failed: number;
  readonly bounced: number;
  readonly excluded: number;
  readonly cancelled: number;
  readonly inDoubt: number;
}
