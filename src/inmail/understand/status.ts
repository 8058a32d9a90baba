/**
 * Delivery status (RFC 3464 §2) as mail servers write it: a block about the message, then one for each recipient. Many get it wrong (blank lines inside of
 * a block, none between blocks, no action, no type before the address), and all of them are read.
 */
import { addressesIn } from "../mime/headers.ts";

export const ACTIONS = ["failed", "delayed", "delivered", "relayed", "expanded"] as const;
export type Action = (typeof ACTIONS)[number];

export interface RecipientStatus {
  /** The address we sent to, as far as it is told; '' when none is. */
  readonly recipient: string;
  /** Where it ended after it was forwarded, when that is another; '' else. */
  readonly finalRecipient: string;
  readonly action: Action;
  /** `5.1.1`, '' for none. */
  readonly status: string;
  /** Without its type, on one line. */
  readonly diagnostic: string;
  /** The server that said so, '' for none. */
  readonly remoteMta: string;
}

export interface MessageStatus {
  readonly reportingMta: string;
  readonly envelopeId: string;
  readonly recipients: readonly RecipientStatus[];
  /** There were more than are read. */
  readonly cut: boolean;
}

/** Recipients of one report: ours are of one message each; a list's may be thousands. */
export const RECIPIENTS_MOST = 1000;
const VALUE_MOST = 4000;

type Fields = Map<string, string>;

export function readStatus(text: string): MessageStatus {
  const message: Fields = new Map();
  const recipients: Fields[] = [];
  let current: Fields = message;
  let last = "";
  let cut = false;
  /** An empty line stood before this one. */
  let apart = false;
  for (const line of linesOf(text)) {
    if (/^[ \t]/.test(line) && last !== "") {
      const before = current.get(last) ?? "";
      if (before.length < VALUE_MOST) current.set(last, `${before} ${line.trim()}`);
      continue;
    }
    const match = /^([\w-]{1,60})[ \t]*:[ \t]*(.*)$/.exec(line);
    last = "";
    if (match === null) {
      apart ||= line.trim() === "";
      continue;
    }
    const name = (match[1] ?? "").toLowerCase();
    if (beginsBlock(name, current, current === message, apart)) {
      if (recipients.length >= RECIPIENTS_MOST) {
        cut = true;
        break;
      }
      current = new Map();
      recipients.push(current);
    }
    apart = false;
    last = name;
    if (!current.has(name)) current.set(name, (match[2] ?? "").slice(0, VALUE_MOST));
  }
  return {
    reportingMta: typed(message.get("reporting-mta") ?? ""),
    envelopeId: message.get("original-envelope-id") ?? "",
    recipients: blocksOf(message, recipients).map(recipientOf),
    cut,
  };
}

const OF_RECIPIENT = ["final-recipient", "original-recipient", "action", "status", "diagnostic-code"];

/** An address that is there already begins the next block, empty line or not; behind an empty line any field of a recipient does. */
function beginsBlock(name: string, current: Fields, isMessage: boolean, apart: boolean): boolean {
  if (!OF_RECIPIENT.includes(name)) return false;
  if (isMessage) return name.endsWith("-recipient") || (apart && current.size > 0);
  return current.has(name) && (apart || name.endsWith("-recipient"));
}

/** Without splitting a megabyte of them for the first thousand. */
function* linesOf(text: string): Generator<string> {
  let from = 0;
  while (from < text.length) {
    let end = text.indexOf("\n", from);
    if (end < 0) end = text.length;
    yield text.slice(from, Math.min(end, from + VALUE_MOST));
    from = end + 1;
  }
}

/** One without any address is of the only recipient, whoever that is; what stands in front of the only recipient is of that one too. */
function blocksOf(message: Fields, recipients: readonly Fields[]): readonly Fields[] {
  const [only] = recipients;
  if (recipients.length === 1 && only !== undefined) return [new Map([...message, ...only])];
  if (recipients.length > 0) return recipients;
  return message.has("action") || message.has("status") || message.has("diagnostic-code") ? [message] : [];
}

function recipientOf(fields: Fields): RecipientStatus {
  const original = addressOf(fields.get("original-recipient") ?? "");
  const final = addressOf(fields.get("final-recipient") ?? "") || addressOf(fields.get("x-actual-recipient") ?? "");
  const status =
    /\b([245])\s*\.\s*(\d{1,3})\s*\.\s*(\d{1,3})\b/
      .exec(fields.get("status") ?? "")
      ?.slice(1, 4)
      .join(".") ?? "";
  const diagnostic = diagnosticOf(fields);
  return {
    recipient: original || final,
    finalRecipient: original !== "" && final !== "" && final.toLowerCase() !== original.toLowerCase() ? final : "",
    action: actionOf(fields.get("action") ?? "", status),
    status,
    diagnostic,
    remoteMta: typed(fields.get("remote-mta") ?? ""),
  };
}

function actionOf(text: string, status: string): Action {
  const word = /^\s*([a-z]+)/i.exec(text)?.[1]?.toLowerCase() ?? "";
  const known = ACTIONS.find((action) => action === word);
  if (known !== undefined) return known;
  if (/^(delay|deferred|warn)/.test(word)) return "delayed";
  return status.startsWith("2") ? "delivered" : "failed";
}

/** `smtp; 550 …`; X-… when there is nothing else: Exchange and others put the words there. */
function diagnosticOf(fields: Fields): string {
  const given = fields.get("diagnostic-code") ?? "";
  const other = fields.get("x-display-name") === undefined ? (fields.get("x-supplementary-info") ?? "") : "";
  const text = given.replace(/^\s*(?:x-)?[\w.-]{1,40}\s*;\s*/i, "");
  const words =
    text.trim() === ""
      ? ((other ||
          fields
            .get("status")
            ?.replace(/^[\s\d.]+/, "")
            .replace(/^\((.*)\)$/, "$1")) ??
        "")
      : text;
  return words.replace(/\s+/g, " ").trim();
}

/** `dns; mx.example.com (192.0.2.1)` is mx.example.com. */
function typed(value: string): string {
  return /^(?:[\w-]+\s*;\s*)?\[?([\w.:-]+)/.exec(value.trim())?.[1]?.toLowerCase() ?? "";
}

/** `rfc822; ann@example.com`, `<ann@example.com>`, with or without a type; RFC 6533 addresses and xtext (RFC 3461 §4) decoded. */
function addressOf(value: string): string {
  const bare = value.replace(/^\s*[\w-]{1,20}\s*;\s*/, "").trim();
  const text = bare
    .replace(/\\x\{([\da-f]{2,6})\}/gi, (whole, hex: string) => character(hex) ?? whole)
    .replaceAll("+2B", "+")
    .replaceAll("+3D", "=");
  const quoted = /"[^"\n]{1,64}"@[^\s<>;,]{1,253}/.exec(text)?.[0];
  return quoted ?? addressesIn(text, 1)[0] ?? /^<?([^\s<>;,@]{1,64})>?$/.exec(text)?.[1] ?? "";
}

function character(hex: string): string | undefined {
  const code = Number.parseInt(hex, 16);
  return code < 0x11_0000 ? String.fromCodePoint(code) : undefined;
}
