/**
 * Who did not get it, and what is said of each, from a report that is only text. No knowledge of programs but of how they write: an address that begins a
 * line, stands alone, or follows the words that introduce one; then the lines about it. Our own addresses, postmasters and who may be asked are none.
 */
import type { Opened } from "./opened.ts";
import { addressesIn } from "../mime/headers.ts";

export interface Mentioned {
  readonly recipient: string;
  /** The lines about it, by what stands together; empty when there are none. */
  readonly said: readonly string[];
  /** It stands where programs put who failed. */
  readonly sure?: boolean;
}

const LINES_MOST = 1500;
const MENTIONED_MOST = 200;
/** Lines about one recipient. */
const ABOUT_MOST = 14;
/** Pieces about one recipient. */
const SAID_MOST = 8;

const ADDRESS = /<?([^\s<>()[\]"'`,;:|=\\：，；。、（）「」【】]{1,128}@[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?)>?/gi;

/** Whoever is addressed here is ours, or somebody to ask. */
const NOT_HERE =
  /\b(?:mail from|from|sender|reply-to|return-path|contact|write to|forward(?:ed)? (?:this|it)|send (?:mail|e-?mail|an? \w+) to|e-?mail:|mailto:|questions?|assistance|help|support|message-id|envelope-from|envelope-sender|abuse|report(?:ed)? (?:this|it|to)|on behalf of|authenticated (?:as|user)|received: )[:\s<"'=]*$/i;
const STAFF =
  /^(?:mailer-daemon|postmaster|abuse|support|help|helpdesk|hostmaster|webmaster|noreply|no-reply|admin|administrator|info-request)@/i;
/** What stands before an address that failed. */
const INTRODUCED =
  /(?:rcpt to|delivered to|deliver(?:ed|y|ing)?(?: \w+){0,4} to|recipients?(?: address)?(?:\(s\))?|addressee|failed to|message to|mail to|e-?mail to|address(?:\(es\)|es)?|to|user|account|mailbox|for|destinatari\w*|destinataires?|an|bei|宛先|адрес\w*|получател\w*|target mail address)\s*[:=]?\s*[<"'(]*$/i;

type Strength = 0 | 1 | 2 | 3;

interface Place {
  readonly recipient: string;
  readonly line: number;
  /** Behind the address on its line. */
  readonly at: number;
  readonly strength: Strength;
}

/** Of those that were found most surely; each once, in order. */
export function mentionedIn(mail: Opened, ours: ReadonlySet<string>): Mentioned[] {
  const lines = mail.text.split("\n", LINES_MOST);
  const places = lines.flatMap((line, i) => placesIn(line.slice(0, 1000), i, lines, ours)).slice(0, MENTIONED_MOST * 4);
  const strongest = Math.max(0, ...places.map(({ strength }) => strength));
  if (strongest === 0) return [];
  const chosen = places.filter(({ strength }) => strength === strongest);
  const seen = new Map<string, Mentioned>();
  chosen.forEach((place) => {
    const key = place.recipient.toLowerCase();
    const said = aboutOf(place, lines, chosen);
    const known = seen.get(key);
    if (known !== undefined) seen.set(key, { ...known, said: [...known.said, ...said].slice(0, SAID_MOST) });
    else if (seen.size < MENTIONED_MOST) seen.set(key, { recipient: place.recipient, said, sure: strongest >= 2 });
  });
  return [...seen.values()];
}

/** What is said of an address that is known from elsewhere: every line with it, and those about it. */
export function saidOf(text: string, recipient: string): string[] {
  const lines = text.split("\n", LINES_MOST);
  const wanted = recipient.toLowerCase();
  const said: string[] = [];
  const answers: string[] = [];
  for (let i = 0; i < lines.length && said.length < 8 && answers.length < 8; i++) {
    const line = (lines[i] ?? "").slice(0, 1000);
    const at = line.toLowerCase().indexOf(wanted);
    if (wanted === "" || at < 0 || NOT_HERE.test(line.slice(0, at))) continue;
    const lead = line.slice(0, at);
    const place = { recipient, line: i, at: at + wanted.length, strength: 3 as const };
    if (TRANSCRIPT.test(lead)) answers.push(...aboutOf(place, lines, []));
    else if (/^[\s<>"'(*-]*$/.test(lead)) said.push(...aboutOf(place, lines, []));
    else said.push(line);
  }
  return [...answers, ...said].slice(0, SAID_MOST * 2);
}

function placesIn(line: string, i: number, lines: readonly string[], ours: ReadonlySet<string>): Place[] {
  if (!line.includes("@")) return [];
  const places: Place[] = [];
  for (const match of line.matchAll(ADDRESS)) {
    const recipient = (match[1] ?? "").replace(/^['*_.-]+|[.'_-]+$/g, "");
    const before = line.slice(0, match.index);
    if (!recipient.includes("@") || ours.has(recipient.toLowerCase()) || STAFF.test(recipient) || NOT_HERE.test(before))
      continue;
    places.push({
      recipient,
      line: i,
      at: match.index + match[0].length,
      strength: strengthOf(before, line.slice(match.index + match[0].length), i, lines),
    });
  }
  return places;
}

function strengthOf(before: string, behind: string, i: number, lines: readonly string[]): Strength {
  const lead = before
    .replace(/^[\s>*•·#-]+/, "")
    .replace(/[[<"'(]+$/, "")
    .trim();
  // The header of what is returned, told in the text: to whom it went, which need not be who failed.
  if (/^\W*(?:to|cc|an|para|pour|a|кому|宛先)\W*[:：]/i.test(before) && isHeaderLine(lines, i)) return 1;
  if (
    lead === "" &&
    /^[\s>)\]"'.]*($|[:;,-]|\.\.\.|\s*\(|\s+\[|\s{2,}|\s+(?:on|invalid|error|reason|unknown|is|does|cannot|was|has|failed|- )\b)/i.test(
      behind,
    )
  )
    return 3;
  if (/^(?:\d{3}[ -])?(?:\d\.\d\.\d{1,3} )?$/.test(`${lead} `) && /^>?\.\.\./.test(behind)) return 3;
  if (INTRODUCED.test(before)) return 3;
  if (lead === "" || /[:=]\s*[<"']?$/.test(before)) return 2;
  // A name before it, as in `Ann <ann@example.com>`, under a line that ends in a colon.
  const above = (lines[i - 1] ?? "").trim() || (lines[i - 2] ?? "").trim();
  if (above.endsWith(":")) return 2;
  return 1;
}

const BEGINS_ANOTHER = /^[<("']{0,3}[^\s<>()"'@]{1,128}@[^\s<>()"':;,@]{1,250}[>)"']{0,3}(?:[\s:;,]|\.\.\.|$)/;

/** Whether lines of a header stand around it: `From: …`, `Subject: …`. */
function isHeaderLine(lines: readonly string[], at: number): boolean {
  const near = lines.slice(Math.max(0, at - 4), at + 4).filter((_, i) => i !== Math.min(at, 4));
  return near.some((line) =>
    /^\W{0,6}(?:from|subject|date|sent|received on|message-id|von|betreff|de|asunto|objet)\W{0,3}[:：]/i.test(line),
  );
}

/** From behind the address to the next one, the next paragraph that is about something else, or the end. */
function aboutOf(place: Place, lines: readonly string[], others: readonly Place[]): string[] {
  const line = lines[place.line] ?? "";
  if (TRANSCRIPT.test(line)) return transcriptOf(place.line, lines);
  const spoken = /^\s*(<<<|>>>)\s*(.*)/.exec(line);
  if (spoken !== null) return spoken[1] === "<<<" ? [spoken[2] ?? ""] : [];
  const said = [line.slice(place.at).replace(/^[>\s:;,.)"']+/, "")];
  const next =
    others.find((other) => other.line > place.line && other.recipient.toLowerCase() !== place.recipient.toLowerCase())
      ?.line ?? lines.length;
  let empty = 0;
  for (let i = place.line + 1; i < Math.min(next, lines.length, place.line + ABOUT_MOST); i++) {
    const line = (lines[i] ?? "").trim();
    if (line === "") {
      empty++;
      if (empty > 1 && said.join("").trim() !== "") break;
      continue;
    }
    if (BEGINS_ANOTHER.test(line) && !line.toLowerCase().includes(place.recipient.toLowerCase())) break;
    if (/^[-=_*#]{5,}/.test(line) && said.join("").trim() !== "") break;
    said.push(line);
  }
  // What stood before the address on its line may be the reason: `550 no such user ann@example.com`.
  const lead = line.slice(0, place.at);
  if (/[a-z]{3,}/i.test(lead.replace(ADDRESS, ""))) said.unshift(lead);
  const about = said.join("\n").trim().slice(0, 2000);
  return about === "" ? [] : [about];
}

/** `550 <ann@example.com>... User unknown`, as sendmail writes; the answer of the server it had talked to stands above. */
const TRANSCRIPT = /^\s*[45]\d\d[ -]/;

function transcriptOf(at: number, lines: readonly string[]): string[] {
  const said = [(lines[at] ?? "").trim()];
  for (let i = at + 1; i < Math.min(lines.length, at + 4) && /^\s+\S/.test(lines[i] ?? ""); i++)
    said.push((lines[i] ?? "").trim());
  for (let i = at - 1; i >= Math.max(0, at - 5); i--) {
    const line = lines[i] ?? "";
    if (/^\s*<<<\s*[45]\d\d/.test(line)) return [line.replace(/^\s*<<<\s*/, ""), said.join("\n")];
    if (line.includes("@") && !/^\s*(?:>>>|<<<)/.test(line)) break;
  }
  return [said.join("\n")];
}

/** To whom the returned message went: when the report itself names nobody. */
export function returnedTo(mail: Opened, ours: ReadonlySet<string>): string[] {
  const { returned } = mail;
  if (returned === null) return [];
  const to = [
    "x-original-to",
    "to",
    "cc",
    "delivered-to",
    "envelope-to",
    "x-envelope-to",
    "x-rcpt-to",
    "apparently-to",
  ].map((name) => returned.all(name).flatMap((value) => addressesIn(value, 10)));
  return (to.find((list) => list.length > 0) ?? []).filter(
    (address) => !ours.has(address.toLowerCase()) || to[1]?.length === 1,
  );
}
