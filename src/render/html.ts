/**
 * HTML as a browser's tokenizer takes it apart (htmlparser2's), each thing with its place; the only importer of htmlparser2 and entities.
 * There is no tree: nothing nests, so depth costs nothing, and the time is linear.
 *
 * What Outlook shows and others take for a comment, `<!--[if mso]>…<![endif]-->`, is taken apart too, and called hidden.
 */
import { decodeHTML, decodeHTMLAttribute } from "entities";
import { Tokenizer } from "htmlparser2";
import type { Piece } from "./flat.ts";

export interface Attribute {
  readonly name: Piece;
  /** As it stands there, without quotes; empty at the end of the name when there is none. */
  readonly value: Piece;
  /** `"`, `'`, or '' when it is not quoted. */
  readonly quote: '"' | "'" | "";
  /** Behind the closing quote. */
  readonly end: number;
}

export interface Tag {
  readonly name: Piece;
  readonly attributes: readonly Attribute[];
  /** Inside a conditional comment. */
  readonly hidden: boolean;
}

export interface HtmlEvents {
  /** A tag that is complete: one that the document's end cuts is none. */
  open(tag: Tag): void;
  close(tag: Omit<Tag, "attributes">): void;
  /** Text, or what stands in an element that holds no tags (`script`, `style`, `title`, `textarea` …). */
  text(piece: Piece, hidden: boolean): void;
}

export function readHtml(html: string, events: HtmlEvents): void {
  read(html, { start: 0, end: html.length }, false, events);
}

/** An attribute's value as a browser reads it: named references without semicolon count, but not before `=` or a letter. */
export function attributeValue(raw: string): string {
  if (!raw.includes("&")) return raw;
  return hasOnlyAmp(raw) ? raw.replaceAll("&amp;", "&") : decodeHTMLAttribute(raw);
}

/** As in almost every URL: a quarter of a microsecond less (measured). */
function hasOnlyAmp(raw: string): boolean {
  for (let at = raw.indexOf("&"); at >= 0; at = raw.indexOf("&", at + 1))
    if (!raw.startsWith("amp;", at + 1)) return false;
  return true;
}

export function textValue(raw: string): string {
  return raw.includes("&") ? decodeHTML(raw) : raw;
}

function read(html: string, { start: from, end: to }: Piece, hidden: boolean, events: HtmlEvents): void {
  let name: Piece = { start: 0, end: 0 };
  let attribute = name;
  let attributes: Attribute[] = [];
  const piece = (start: number, end: number): Piece => ({ start: from + start, end: from + end });
  const open = (): void => events.open({ name, attributes, hidden });
  const none = (): void => {};
  const tokenizer = new Tokenizer(
    { decodeEntities: false },
    {
      onopentagname(start, end) {
        name = piece(start, end);
        attributes = [];
      },
      onattribname: (start, end) => void (attribute = piece(start, end)),
      onattribend: (quote, end) => void attributes.push(attributeOf(html, attribute, quote, from + end)),
      onopentagend: open,
      onselfclosingtag: open,
      onclosetag: (start, end) => events.close({ name: piece(start, end), hidden }),
      ontext: (start, end) => events.text(piece(start, end), hidden),
      oncomment(start, end, closing) {
        if (hidden) return;
        const content = piece(start, end - closing);
        const condition = conditionLength(html, content);
        if (condition > 0) read(html, { start: content.start + condition, end: content.end }, true, events);
      },
      oncdata: none,
      onattribdata: none,
      onattribentity: none,
      ondeclaration: none,
      onprocessinginstruction: none,
      ontextentity: none,
      onend: none,
    },
  );
  // To a browser that one is a comment up to the first `>`, to the tokenizer in this spelling.
  tokenizer.write(html.slice(from, to).replaceAll("<![CDATA[", "<![cdata["));
  tokenizer.end();
}

/** Octets of `[if …]>` at the beginning of a comment, 0 when it has no condition. */
function conditionLength(html: string, { start, end }: Piece): number {
  const head = html.slice(start, Math.min(end, start + 256));
  return /^\s*\[if\s[^\]>]*\]>/i.exec(head)?.[0].length ?? 0;
}

/** `quote` is htmlparser2's QuoteType: 0 no value, 1 unquoted, 2 single, 3 double. */
function attributeOf(html: string, name: Piece, quote: number, end: number): Attribute {
  if (quote === 0) return { name, value: { start: name.end, end: name.end }, quote: "", end: name.end };
  // Between name and value are white space and the equals sign only.
  let start = html.indexOf("=", name.end) + 1;
  while (start < end && " \t\n\f\r".includes(html[start] as string)) start++;
  if (quote === 1) return { name, value: { start, end }, quote: "", end };
  return { name, value: { start: start + 1, end: end - 1 }, quote: quote === 2 ? "'" : '"', end };
}
