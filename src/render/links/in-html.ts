/**
 * The links of an HTML template, and what else tracking needs to know of the document: where our own attributes stand, where the body ends,
 * whether it is AMP. Links are `a` and `area`, and whatever of Outlook's drawing language (`v:…`) has an href, in conditional comments too.
 *
 * An expression may stand for anything: the document is read as if each of them were a letter, and each branch of a block were there. What
 * cannot be understood so (an address that begins in one branch and goes on in another) is left alone.
 */
import {
  type Branch,
  branchAt,
  canChange,
  type Flat,
  isSpace,
  isWithin,
  markAt,
  type Piece,
  trimmed,
} from "../flat.ts";
import { type Attribute, readHtml, type Tag } from "../html.ts";
import { type Labelled, openLabels, tidy } from "./labels.ts";
import { attributeName, tagName, valueOf } from "./tag-names.ts";

export interface FoundLink {
  /** The value of its href, without white space around it. */
  readonly href: Piece;
  readonly quote: Attribute["quote"];
  /** Its text as a reader sees it, '' where it has none. */
  readonly shown: string;
  /** `data-track-name`, else what is shown, else the alternative text of its image. */
  readonly label: string;
  /** `data-track-category`. */
  readonly category: string;
  /** `data-track`, in small letters. */
  readonly track: string;
}

export interface FoundHtml {
  /** In the order of the document. */
  readonly links: readonly FoundLink[];
  /** Our own attributes. */
  readonly cuts: readonly Piece[];
  /** Where to put what shall come last: before the last `</body>`, else at the end. */
  readonly bodyEnd: number;
  readonly amp: boolean;
}

/** Elements that no text runs through. */
const BREAKING = new Set("br p div td th tr table li ul ol h1 h2 h3 h4 h5 h6 center".split(" "));
/** Elements whose content is no text of the document. */
const SILENT = new Set("script style title textarea noembed noframes iframe xmp".split(" "));

/** `isAmp`: it is AMP whatever it says of itself. */
export function findHtml(flat: Flat, isAmp: boolean): FoundHtml {
  const links: FoundLink[] = [];
  const cuts: Piece[] = [];
  const labels = { shown: openLabels(flat), hidden: openLabels(flat) };
  const of = ({ hidden }: { readonly hidden: boolean }): typeof labels.shown => labels[hidden ? "hidden" : "shown"];
  let bodyEnd = flat.text.length;
  let amp = isAmp;
  let inert = 0;
  let silent = false;

  const link = (tag: Tag, element: string): void => {
    const found = linksOf(flat, tag);
    const { start } = tag.name;
    cuts.push(...cutsOf(flat, tag));
    links.push(...found);
    of(tag).begin(element, found, start, branchAt(flat, start), element === "area" ? valueOf(flat, tag, "alt") : "");
    if (element === "area") of(tag).end(element, start);
  };

  readHtml(flat.text, {
    open(tag) {
      const element = tagName(flat, tag.name);
      silent = SILENT.has(element);
      if (element === "html") amp ||= tag.attributes.some(({ name }) => AMP.test(attributeName(flat, name)));
      // Nobody sees it, but in AMP, where it is shown filled in.
      if (element === "template" && !tag.hidden && !amp) inert++;
      if (BREAKING.has(element)) of(tag).gap();
      if (element === "img") of(tag).image(() => valueOf(flat, tag, "alt"));
      if (inert === 0 && (element === "a" || element === "area" || element.startsWith("v:"))) link(tag, element);
    },
    close(tag) {
      const element = tagName(flat, tag.name);
      silent = false;
      if (element === "template" && !tag.hidden) inert = Math.max(0, inert - 1);
      if (BREAKING.has(element)) of(tag).gap();
      of(tag).end(element, tag.name.start);
      const start = tag.name.start - "</".length;
      if (element === "body" && !tag.hidden && branchAt(flat, start) === flat.root) bodyEnd = start;
    },
    text(piece, hidden) {
      if (!silent) of({ hidden }).text(piece);
    },
  });
  for (const each of Object.values(labels)) each.begin("a", [], flat.text.length, flat.root);
  return { links, cuts, bodyEnd, amp };
}

const AMP = /^(?:amp|⚡\uFE0F?)4email$/;

/** One, or as many as branches have an href of their own; of two in one branch the first counts, as in a browser. */
function linksOf(flat: Flat, tag: Tag): (FoundLink & Labelled)[] {
  const having = new Set<Branch>();
  const counts = tag.attributes.filter(({ name }) => {
    if (attributeName(flat, name) !== "href") return false;
    const branch = branchAt(flat, name.end);
    if (isWithin(branch, having)) return false;
    having.add(branch);
    return true;
  });
  if (counts.length === 0) return [];
  const category = tidy(valueOf(flat, tag, "data-track-category"));
  const track = valueOf(flat, tag, "data-track").trim().toLowerCase();
  const label = tidy(valueOf(flat, tag, "data-track-name"));
  return counts.map(({ value, quote }) => ({
    href: trimmed(flat, value),
    quote,
    shown: "",
    label,
    category,
    track,
  }));
}

function cutsOf(flat: Flat, tag: Tag): Piece[] {
  const ours = tag.attributes.filter(({ name }) => /^data-track(-name|-category)?$/.test(attributeName(flat, name)));
  return ours.map((attribute) => cutOf(flat, attribute)).filter((cut) => canChange(flat, cut));
}

/** An attribute, with the white space before it where something behind it still keeps its neighbours apart. */
function cutOf(flat: Flat, { name, end: to }: Attribute): Piece {
  let from = name.start;
  while (from < name.end && markAt(flat, from) !== null) from++;
  const { start, end } = trimmed(flat, { start: from, end: to });
  const next = flat.text[end];
  // A slash would go on with a value without quotes.
  const apart = isSpace(next) || next === ">";
  let before = start;
  while (apart && isSpace(flat.text[before - 1])) before--;
  return { start: before, end };
}
