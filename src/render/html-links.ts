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
  marksIn,
  type Piece,
  trimmed,
  typed,
} from "./flat.ts";
import { type Attribute, attributeValue, readHtml, type Tag, textValue } from "./html.ts";

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

/** Characters of a label. */
const MOST_LABEL = 200;
/** Elements that no text runs through. */
const BREAKING = new Set("br p div td th tr table li ul ol h1 h2 h3 h4 h5 h6 center".split(" "));
/** Elements whose content is no text of the document. */
const SILENT = new Set("script style title textarea noembed noframes iframe xmp".split(" "));

type Growing = { -readonly [K in keyof FoundLink]: FoundLink[K] };

/** An element whose label is being read. It is one link, or several: one a branch. */
interface Open {
  readonly element: string;
  readonly links: readonly Growing[];
  readonly name: string;
  text: string;
  alternative: string;
}

/** `isAmp`: it is AMP whatever it says of itself. */
export function findHtml(flat: Flat, isAmp: boolean): FoundHtml {
  const links: FoundLink[] = [];
  const cuts: Piece[] = [];
  /** The link that is open, outside of conditional comments and in the one that is read. */
  const open: { shown: Open | null; hidden: Open | null } = { shown: null, hidden: null };
  let bodyEnd = flat.text.length;
  let amp = isAmp;
  let inert = 0;
  let silent = false;

  const finish = (layer: keyof typeof open): void => {
    const { links: ended = [], name = "", text = "", alternative = "" } = open[layer] ?? {};
    const shown = tidy(text);
    for (const link of ended) Object.assign(link, { shown, label: name || shown || tidy(alternative) });
    open[layer] = null;
  };
  const show = (layer: keyof typeof open, text: () => string): void => {
    const one = open[layer];
    if (one !== null && !silent && one.text.length < MOST_LABEL * 4) one.text += text();
  };

  readHtml(flat.text, {
    open(tag) {
      const element = tagName(flat, tag.name);
      const layer = tag.hidden ? "hidden" : "shown";
      silent = SILENT.has(element);
      if (element === "html") amp ||= tag.attributes.some((a) => /^(amp|⚡\uFE0F?)4email$/.test(nameOf(flat, a.name)));
      // Nobody sees it, but in AMP, where it is shown filled in.
      if (element === "template" && !tag.hidden && !amp) inert++;
      if (BREAKING.has(element)) show(layer, () => " ");
      const one = open[layer];
      if (element === "img" && one !== null) one.alternative ||= valueOf(flat, tag, "alt");
      if (inert > 0 || !(element === "a" || element === "area" || element.startsWith("v:"))) return;
      cuts.push(...cutsOf(flat, tag));
      const found = linksOf(flat, tag);
      if (found.length > 0 || element === "a") finish(layer);
      if (found.length === 0) return;
      links.push(...found);
      const name = tidy(valueOf(flat, tag, "data-track-name"));
      const alternative = element === "area" ? valueOf(flat, tag, "alt") : "";
      open[layer] = { element, links: found, name, text: "", alternative };
      if (element === "area") finish(layer);
    },
    close({ name, hidden }) {
      const element = tagName(flat, name);
      const layer = hidden ? "hidden" : "shown";
      silent = false;
      if (element === "template" && !hidden) inert = Math.max(0, inert - 1);
      if (BREAKING.has(element)) show(layer, () => " ");
      if (element === open[layer]?.element) finish(layer);
      const start = name.start - "</".length;
      if (element === "body" && !hidden && branchAt(flat, start) === flat.root) bodyEnd = start;
    },
    text: (piece, hidden) => show(hidden ? "hidden" : "shown", () => typed(flat, short(piece), textValue)),
  });
  finish("hidden");
  finish("shown");
  return { links, cuts, bodyEnd, amp };
}

const short = ({ start, end }: Piece): Piece => ({ start, end: Math.min(end, start + MOST_LABEL * 8) });

function tidy(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, MOST_LABEL);
}

/** One, or as many as branches have an href of their own; of two in one branch the first counts, as in a browser. */
function linksOf(flat: Flat, tag: Tag): Growing[] {
  const having = new Set<Branch>();
  const counts = tag.attributes.filter(({ name }) => {
    if (nameOf(flat, name) !== "href") return false;
    const branch = branchAt(flat, name.end);
    if (isWithin(branch, having)) return false;
    having.add(branch);
    return true;
  });
  if (counts.length === 0) return [];
  const category = tidy(valueOf(flat, tag, "data-track-category"));
  const track = valueOf(flat, tag, "data-track").trim().toLowerCase();
  return counts.map(({ value, quote }) => ({
    href: trimmed(flat, value),
    quote,
    shown: "",
    label: "",
    category,
    track,
  }));
}

/** Value of a tag's first attribute of a name, as its author might have typed it; '' when there is none. */
function valueOf(flat: Flat, tag: Tag, name: string): string {
  const attribute = tag.attributes.find((each) => nameOf(flat, each.name) === name);
  return attribute === undefined ? "" : typed(flat, trimmed(flat, attribute.value), attributeValue);
}

function cutsOf(flat: Flat, tag: Tag): Piece[] {
  const ours = tag.attributes.filter(({ name }) => /^data-track(-name|-category)?$/.test(nameOf(flat, name)));
  return ours.map((attribute) => cutOf(flat, attribute)).filter((cut) => canChange(flat, cut));
}

/** An attribute, with the white space before it where something behind it still keeps its neighbours apart. */
function cutOf(flat: Flat, { name, end: to }: Attribute): Piece {
  let from = name.start;
  while (from < name.end && markAt(flat, from) !== null) from++;
  const { start, end } = trimmed(flat, { start: from, end: to });
  const next = flat.text[end];
  const apart = isSpace(next) || next === "/" || next === ">";
  let before = start;
  while (apart && isSpace(flat.text[before - 1])) before--;
  return { start: before, end };
}

/** In small letters, without tags of blocks; up to the first expression. */
function tagName(flat: Flat, piece: Piece): string {
  let name = "";
  let from = piece.start;
  for (const mark of marksIn(flat, piece)) {
    name += flat.text.slice(from, mark.at);
    if (mark.tag === "value") return name.toLowerCase();
    from = mark.at + 1;
  }
  return (name + flat.text.slice(from, piece.end)).toLowerCase();
}

/** In small letters, without tags of blocks and expressions that stand before it: `{{#if x}}href`, `{{more}}href`. */
function nameOf(flat: Flat, piece: Piece): string {
  let name = "";
  let from = piece.start;
  for (const mark of marksIn(flat, piece)) {
    name += flat.text.slice(from, mark.at);
    if (mark.tag === "value" && name !== "") return "";
    from = mark.at + 1;
  }
  return (name + flat.text.slice(from, piece.end)).toLowerCase();
}
