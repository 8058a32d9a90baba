/**
 * Which links of a content are tracked, under which number, and the templates with tracked ones in their place. Every link of the HTML part
 * has a number, tracked or not, then those of the AMP part, then, where URLs of the text are tracked, those of the text: numbers
 * depend on nothing but the content. The rest of a template stays as it is, but for our own attributes, which are taken out.
 */
import type { ContentLink, Tracking } from "../model/delivery.ts";
import { MOST_URL } from "../model/link.ts";
import type { TemplateNode } from "../model/template.ts";
import { type Change, canChange, changed, type Flat, flatten, type Mark, marksIn, type Piece, typed } from "./flat.ts";
import { attributeValue } from "./html.ts";
import { findHtml, type FoundLink } from "./links/in-html.ts";
import { acceptFor, clickTarget, hrefNode, linkNode, staticLink, type Target, textUrlNode } from "./links/print.ts";
import { beginRefusal, isUrlLabel, names, OURS } from "./links/reasons.ts";
import { findUrls } from "./links/in-text.ts";

/** The templates of a content that hold links; null: there is none. */
export interface Parts {
  readonly html: readonly TemplateNode[] | null;
  readonly amp: readonly TemplateNode[] | null;
  readonly text: readonly TemplateNode[] | null;
}

export interface TrackedParts extends Parts {
  readonly links: readonly ContentLink[];
  /** What is signed once a delivery. */
  readonly targets: readonly Target[];
}

/** What grows while the parts are looked at. */
interface Book {
  readonly tracking: Tracking;
  readonly links: ContentLink[];
  readonly targets: Target[];
  /** Expressions that are the whole address of a link of the HTML. */
  readonly addresses: Set<string>;
}

export function trackParts(parts: Parts, tracking: Tracking): TrackedParts {
  const book: Book = { tracking, links: [], targets: [], addresses: new Set() };
  const html = parts.html === null ? null : page(book, parts.html, "html");
  const amp = parts.amp === null ? null : page(book, parts.amp, "amp");
  const text = parts.text !== null && tracking.textLinks ? plain(book, parts.text) : parts.text;
  const pixel = tracking.opens ? book.targets.push({ kind: "open", number: 0, url: "" }) - 1 : -1;
  const last = { kind: "trap", number: book.links.length + 1, url: tracking.url } as const;
  const trap = tracking.trap && html?.amp === false ? book.targets.push(last) - 1 : -1;
  return {
    html: html === null ? null : html.with([...trapNodes(trap), ...pixelNodes(pixel, html.amp)]),
    amp: amp === null ? null : amp.with(pixelNodes(pixel, true)),
    text,
    links: book.links,
    targets: book.targets,
  };
}

interface Page {
  readonly amp: boolean;
  /** The template with its links in their place, and something at the end of its body. */
  with(end: readonly TemplateNode[]): TemplateNode[];
}

function page(book: Book, nodes: readonly TemplateNode[], part: "html" | "amp"): Page {
  const flat = flatten(nodes);
  const { links, cuts, bodyEnd, amp } = findHtml(flat, part === "amp");
  const changes: Change[] = cuts.map((cut) => ({ ...cut, nodes: () => [] }));
  for (const link of links) {
    const number = book.links.length + 1;
    const { label, category, href } = link;
    const decided = decide(book.tracking, flat, link);
    const { url, personalised, untracked } = decided;
    if (marksIn(flat, href).length === 1 && href.end === href.start + 1) book.addresses.add(url);
    book.links.push({ number, part, url: url.slice(0, MOST_URL), personalised, label, category, untracked });
    if (untracked !== "") continue;
    const accept = acceptFor(beginOf(flat, href, attributeValue), book.tracking.url);
    const make = personalised
      ? (from: readonly TemplateNode[]) => [hrefNode(from, number, link.quote, accept)]
      : only(staticLink(book.targets.push({ kind: "click", number, url }) - 1, url));
    changes.push({ ...href, nodes: make });
  }
  return {
    amp,
    with: (end) =>
      changed(
        nodes,
        [...changes, { start: bodyEnd, end: bodyEnd, nodes: () => end }].sort((a, b) => a.start - b.start),
      ),
  };
}

/** What a piece begins with in every message. */
function beginOf(flat: Flat, piece: Piece, decode: (text: string) => string): string {
  return decode(flat.text.slice(piece.start, marksIn(flat, piece)[0]?.at ?? piece.end));
}

function only(node: TemplateNode): () => readonly TemplateNode[] {
  return () => [node];
}

interface Decision {
  /** As it goes into the link, or as it was typed. */
  readonly url: string;
  readonly personalised: boolean;
  readonly untracked: string;
}

function decide(tracking: Tracking, flat: Flat, { href, shown, track }: FoundLink): Decision {
  const personalised = marksIn(flat, href).length > 0;
  const written = typed(flat, href, attributeValue);
  const left = (untracked: string): Decision => ({ url: written, personalised, untracked });
  if (!canChange(flat, href)) return left("begins or ends inside a block of the template");
  if (written === "") return left("is empty");
  const refused = beginRefusal(flat, href);
  if (refused !== "") return left(refused);
  // What AMP's own templates fill in stands in braces that are text to ours.
  if (!personalised && written.includes("{{")) return left("is filled in by the program that shows it");
  const target = personalised ? { url: written } : clickTarget(written, tracking.url);
  if ("refused" in target) return left(target.refused);
  if (!tracking.clicks) return left("clicks are not tracked");
  if (track === "off") return left('has data-track="off"');
  if (track !== "on" && !tracking.urlLabels && isUrlLabel(shown, written)) return left("has a URL as its label");
  return { url: target.url, personalised, untracked: "" };
}

/** Expressions that are taken for a URL in plain text, without being an address in the HTML. */
const URL_NAME = /(?:url|link|href)$/i;

function plain(book: Book, nodes: readonly TemplateNode[]): readonly TemplateNode[] {
  const { tracking, links, targets } = book;
  const flat = flatten(nodes);
  const changes: Change[] = [];
  const isUrl = (mark: Mark): boolean => {
    if (mark.tag !== "value") return false;
    const { expr } = mark.node;
    const name = expr.kind === "path" ? (expr.parts.at(-1) ?? "") : "";
    return URL_NAME.test(name) || book.addresses.has(typed(flat, { start: mark.at, end: mark.at + 1 }, String));
  };
  for (const found of findUrls(flat, isUrl)) {
    const number = links.length + 1;
    const { url, personalised, untracked } = decideUrl(tracking, flat, found, found.whole);
    links.push({
      number,
      part: "text",
      url: url.slice(0, MOST_URL),
      personalised,
      label: "",
      category: "",
      untracked,
    });
    if (untracked !== "") continue;
    const accept = acceptFor(beginOf(flat, found, String), tracking.url);
    const make = personalised
      ? (from: readonly TemplateNode[]) => [textUrlNode(from, number, accept)]
      : only(staticLink(targets.push({ kind: "click", number, url }) - 1, url));
    changes.push({ start: found.start, end: found.end, nodes: make });
  }
  return changed(nodes, changes);
}

function decideUrl(tracking: Tracking, flat: Flat, piece: Piece, whole: boolean): Decision {
  const [mark] = marksIn(flat, piece);
  const personalised = mark !== undefined;
  const written = typed(flat, piece, String);
  const left = (untracked: string): Decision => ({ url: written, personalised, untracked });
  if (!whole) return left("begins or ends inside a block of the template");
  if (mark?.at === piece.start && mark.tag === "value" && names(mark.node.expr, OURS)) return left("is one of ours");
  const target = personalised ? { url: written } : clickTarget(written, tracking.url);
  if ("refused" in target) return left(target.refused);
  return tracking.clicks ? { url: target.url, personalised, untracked: "" } : left("clicks are not tracked");
}

function pixelNodes(position: number, amp: boolean): TemplateNode[] {
  if (position < 0) return [];
  const [begin, end] = amp
    ? ['<amp-img src="', '" width="1" height="1" alt=""></amp-img>']
    : ['<img src="', '" width="1" height="1" alt="" style="width:1px;height:1px;border:0">'];
  return [linkNode(({ open, texts }) => `${begin}${open}${texts[position]}.gif${end}`)];
}

/** No person sees it and no keyboard or screen reader comes to it: who follows it is a machine. */
function trapNodes(position: number): TemplateNode[] {
  if (position < 0) return [];
  const end = '" style="display:none" aria-hidden="true" tabindex="-1"></a>';
  return [linkNode(({ click, texts }) => `<a href="${click}${texts[position]}${end}`)];
}
