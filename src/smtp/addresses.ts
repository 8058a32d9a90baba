/**
 * Mailbox addresses: RFC 5321 §4.1.2 as far as a sender wants it, RFC 6531 for local parts outside ASCII.
 *
 * One pass over the characters with a table; only an address with a character outside ASCII, or a quoted one, takes the slow way.
 * Promise: what `parseAddress` accepts may be written into a command or a header as it is. No space, control character, angle
 * bracket or second `@` survives; the domain is lower case and in A-labels. Refused on purpose: address literals (mail to an IP
 * address is not what a newsletter means), and quoted local parts with anything that would need its quotes twice (parsers disagree).
 */
import { domainToASCII } from "node:url";

export interface ParsedAddress {
  /** Normalised: local part as given (NFC), domain lower case in A-labels. */
  readonly address: string;
  readonly local: string;
  readonly domain: string;
  /** The local part is not ASCII: the message needs SMTPUTF8. */
  readonly smtputf8: boolean;
}

const MAX_LOCAL_BYTES = 64;
const MAX_ADDRESS_BYTES = 254;
const MAX_LABEL_BYTES = 63;
const AT = 64;
const DOT = 46;
const HYPHEN = 45;

/** RFC 5322 §3.2.3 atext. */
const ATEXT = new Uint8Array(128);
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~")
  ATEXT[c.charCodeAt(0)] = 1;

/** The parts of an address, or the reason (a sentence without a full stop) why it is refused. */
export function parseAddress(text: string): ParsedAddress | string {
  // Long before any limit in octets: nothing below looks at more than this many characters.
  if (text.length > MAX_ADDRESS_BYTES) return "the address is longer than 254 octets";
  let at = 0;
  let previous = DOT;
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === AT) break;
    if (c > 127 || (c === 34 && at === 0)) return parseSlowly(text);
    if (c === DOT ? previous === DOT : ATEXT[c] !== 1)
      return c === DOT ? "a dot stands wrong in the local part" : refusal(c);
    previous = c;
  }
  if (at === text.length) return "there is no @";
  if (at === 0) return "the local part is empty";
  if (previous === DOT) return "a dot stands wrong in the local part";
  if (at > MAX_LOCAL_BYTES) return "the local part is longer than 64 octets";
  for (let i = at + 1; i < text.length; i++) if (text.charCodeAt(i) > 127) return parseSlowly(text);
  return finish(text.slice(0, at), text.slice(at + 1).toLowerCase(), false);
}

/** The domain of an address that was parsed before: what follows its last `@`; '' without one. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "" : address.slice(at + 1);
}

/** Why this is no domain for mail, or '' when it is one. Takes A-labels in lower case. */
export function domainRefusal(domain: string): string {
  if (domain === "") return "the domain is empty";
  if (domain.charCodeAt(0) === 91) return "address literals are not accepted";
  let label = 0;
  let dots = 0;
  let digits = true;
  let previous = DOT;
  for (let i = 0; i < domain.length; i++) {
    const c = domain.charCodeAt(i);
    if (c === DOT) {
      if (label === 0 || previous === HYPHEN) return "a label of the domain is empty or ends with a hyphen";
      dots++;
      label = 0;
      digits = true;
    } else {
      const digit = c >= 48 && c <= 57;
      if (!digit && !(c >= 97 && c <= 122) && !(c === HYPHEN && label > 0)) return refusal(c);
      if (!digit) digits = false;
      if (++label > MAX_LABEL_BYTES) return "a label of the domain is longer than 63 octets";
    }
    previous = c;
  }
  if (label === 0 || previous === HYPHEN) return "a label of the domain is empty or ends with a hyphen";
  // An all-numeric top label is an IPv4 address, or becomes one in some resolver.
  if (digits) return "the domain is a number";
  if (dots === 0 && domain !== "localhost") return "the domain has no dot";
  return "";
}

/** A domain as given (any case, U-labels) to A-labels in lower case; '' when it is none. Does not check it: `domainRefusal`. */
export function toAsciiDomain(domain: string): string {
  // domainToASCII decodes %41 and reads numbers as addresses, as URLs want: only letters, digits, hyphens, dots and non-ASCII go in.
  return /^[a-z0-9.\u0080-\uffff-]+$/i.test(domain) && domain.isWellFormed() ? domainToASCII(domain) : "";
}

function finish(local: string, domain: string, smtputf8: boolean): ParsedAddress | string {
  const refused = domainRefusal(domain);
  if (refused !== "") return refused;
  const address = `${local}@${domain}`;
  const bytes = smtputf8 ? Buffer.byteLength(address) : address.length;
  return bytes > MAX_ADDRESS_BYTES ? "the address is longer than 254 octets" : { address, local, domain, smtputf8 };
}

/** Quoted local parts, local parts outside ASCII, domains in U-labels. */
function parseSlowly(text: string): ParsedAddress | string {
  if (!text.isWellFormed()) return "the address is not valid Unicode";
  const at = text.lastIndexOf("@");
  if (at < 0) return "there is no @";
  const local = text.slice(0, at).normalize("NFC");
  const refused = local.startsWith('"') ? quotedRefusal(local) : dotStringRefusal(local);
  if (refused !== "") return refused;
  if (Buffer.byteLength(local) > MAX_LOCAL_BYTES) return "the local part is longer than 64 octets";
  const given = text.slice(at + 1);
  // eslint-disable-next-line no-control-regex
  const domain = /^[\x00-\x7f]*$/.test(given) ? given.toLowerCase() : toAsciiDomain(given);
  if (domain === "" && given !== "") return "the domain is not valid";
  // "a.b"@x is a.b@x (RFC 5321 §4.1.2: the quoted form is only for what needs it); one spelling, or duplicates slip through.
  const inner = local.slice(1, -1);
  const unquoted = local.startsWith('"') && dotStringRefusal(inner) === "" ? inner : local;
  return finish(unquoted, domain, /[^\x20-\x7e]/.test(unquoted));
}

/** Quotes are for stray dots (`"a..b"@`, given out by real providers); characters that only quotes allow are refused. */
function quotedRefusal(local: string): string {
  if (local.length < 3 || !local.endsWith('"')) return "the quotes of the local part are not closed";
  for (let i = 1; i < local.length - 1; i++) {
    const c = local.charCodeAt(i);
    if (c > 127) return "a quoted local part must be ASCII";
    if (c !== DOT && ATEXT[c] !== 1) return refusal(c);
  }
  return "";
}

function dotStringRefusal(local: string): string {
  if (local === "") return "the local part is empty";
  let previous = DOT;
  for (let i = 0; i < local.length; i++) {
    const c = local.charCodeAt(i);
    if (c < 128 && c !== DOT && ATEXT[c] !== 1) return refusal(c);
    if (c === DOT && previous === DOT) return "a dot stands wrong in the local part";
    previous = c;
  }
  if (previous === DOT) return "a dot stands wrong in the local part";
  // Separators, controls, formats (bidi marks), unassigned: invisible in an address, so there only to deceive.
  return /[\p{Z}\p{C}]/u.test(local) ? "there is an invisible character in the local part" : "";
}

function refusal(c: number): string {
  if (c <= 32 || c === 127)
    return c === 32 ? "there is a space in the address" : "there is a control character in the address";
  return `the character ${String.fromCharCode(c)} is not allowed there`;
}
