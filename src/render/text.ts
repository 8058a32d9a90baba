/**
 * The text part of a content that has only HTML; the only importer of html-to-text.
 *
 * The HTML *template* is turned into a text template once: what stands in braces becomes a placeholder, html-to-text lays out the rest,
 * and the placeholders become template nodes again. That is sure only when every block tag is still there and in its order (a table
 * might be laid out anew, an attribute dropped) and no value is HTML itself; otherwise each message's HTML is converted: exact, but
 * some hundred times slower.
 */
import { compile } from "html-to-text";
import type { TemplateNode } from "../model/template.ts";
import type { Piece } from "./flat.ts";
import { readHtml, textValue } from "./html.ts";

/** Elements in one another that are looked into: it goes down by recursion, and 3,000 lists were more than a stack holds (measured). */
const MOST_DEPTH = 1500;

const convert = compile({
  wordwrap: false,
  limits: { maxDepth: MOST_DEPTH, ellipsis: "" },
  selectors: [
    { selector: "img", format: "skip" },
    { selector: "a", options: { hideLinkHrefIfSameAsText: true, ignoreHref: false, noAnchorUrl: true } },
    ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/** Placeholders are characters of the private use area around a number: no layout rule touches them. */
const OPEN = "\uE000";
const CLOSE = "\uE001";

/** Text of some HTML. */
export function htmlToText(html: string): string {
  return tidy(isDeep(html) ? bareText(html) : convert(html));
}

/** The text template that corresponds to an HTML template, or null when there is no sure one. */
export function textTemplate(html: readonly TemplateNode[]): TemplateNode[] | null {
  const marks: Mark[] = [];
  const marked = mark(html, marks);
  if (marked === null || isDeep(marked)) return null;
  return nodesOf(tidy(convert(marked)), marks);
}

type Block = TemplateNode & { kind: "block" };
type Mark =
  | { readonly node: TemplateNode & { kind: "value" } }
  | { readonly tag: "open" | "else" | "close"; readonly block: Block };

function mark(nodes: readonly TemplateNode[], marks: Mark[]): string | null {
  let out = "";
  const put = (entry: Mark): void => void (out += `${OPEN}${marks.push(entry) - 1}${CLOSE}`);
  for (const node of nodes) {
    if (node.kind === "text") {
      if (node.value.includes(OPEN) || node.value.includes(CLOSE)) return null;
      out += node.value;
    } else if (node.kind === "value") {
      // {{{x}}} brings HTML, which must come out as text.
      if (node.raw) return null;
      put({ node });
    } else if (node.kind === "rewritten") {
      // What it prints is known when it is printed.
      return null;
    } else {
      const body = (put({ tag: "open", block: node }), mark(node.body, marks));
      if (body === null) return null;
      out += body;
      put({ tag: "else", block: node });
      const inverse = mark(node.inverse, marks);
      if (inverse === null) return null;
      out += inverse;
      put({ tag: "close", block: node });
    }
  }
  return out;
}

/**
 * Elements that may be open at once, those apart that are often not closed (and hardly ever nest without another between them). Besides what
 * is lost behind `MOST_DEPTH`: html-to-text's parser takes the square of them, 3 seconds for 50,000 (measured).
 */
const MOST_OPEN = 400;
const LOOSE = new Set(
  "area base br col dd dt embed hr img input li link meta option p source tbody td th thead tr track wbr".split(" "),
);

function isDeep(html: string): boolean {
  let open = 0;
  let most = 0;
  const counts = ({ name, hidden }: { readonly name: Piece; readonly hidden: boolean }): boolean =>
    !hidden && !LOOSE.has(html.slice(name.start, name.end).toLowerCase());
  readHtml(html, {
    open: (tag) => void (counts(tag) && (most = Math.max(most, ++open))),
    close: (tag) => void (counts(tag) && (open = Math.max(0, open - 1))),
    text: () => {},
  });
  return most > MOST_OPEN;
}

/** Its words, a line for each piece of text. */
function bareText(html: string): string {
  let out = "";
  let silent = false;
  readHtml(html, {
    open: ({ name }) => void (silent = /^(?:script|style|title)$/i.test(html.slice(name.start, name.end))),
    close: () => void (silent = false),
    text({ start, end }, hidden) {
      if (!silent && !hidden) out += `${textValue(html.slice(start, end)).trim()}\n`;
    },
  });
  return out;
}

/** At most one empty line in a row, none at the ends, no white space before a line end. */
function tidy(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n").replace(/[ \t\u00a0]+$/gm, "");
  return `${lines.replace(/\n{3,}/g, "\n\n").replace(/^\n+|\n+$/g, "")}\n`;
}

/** Laid-out text with placeholders back to nodes; null as soon as a block tag is not where it must be. */
function nodesOf(text: string, marks: readonly Mark[]): TemplateNode[] | null {
  const isTag = (number: number): boolean => "tag" in (marks[number] as Mark);
  // Block tags alone on their line take the line with them, as they do in Handlebars.
  const lines = text.replace(new RegExp(`^[ \\t]*((?:${OPEN}\\d+${CLOSE}[ \\t]*)+)\\n`, "gm"), (line, tags: string) =>
    [...tags.matchAll(/\d+/g)].every(([n]) => isTag(Number(n))) ? tags.replace(/[ \t]/g, "") : line,
  );
  // Text at even places, numbers of placeholders at odd ones.
  const pieces = lines.split(new RegExp(`${OPEN}(\\d+)${CLOSE}`));
  let at = 0;
  let due = 0;

  /** Nodes up to the tag that ends them. */
  const until = (tag: "else" | "close" | "end", block: Block | null): TemplateNode[] | null => {
    const nodes: TemplateNode[] = [];
    for (;;) {
      const value = pieces[at++] ?? "";
      if (value !== "") nodes.push({ kind: "text", value, at: { line: 0, column: 0 } });
      const piece = pieces[at++];
      if (piece === undefined) return tag === "end" ? nodes : null;
      const entry = marks[Number(piece)];
      if (entry === undefined) return null;
      if ("node" in entry) {
        nodes.push(entry.node);
        continue;
      }
      // Tags were numbered in their order: one that is skipped is lost, one that comes again was moved or doubled.
      for (; due < Number(piece); due++) if (isTag(due)) return null;
      if (due++ > Number(piece)) return null;
      if (entry.tag !== "open") return entry.tag === tag && entry.block === block ? nodes : null;
      const body = until("else", entry.block);
      const inverse = body === null ? null : until("close", entry.block);
      if (body === null || inverse === null) return null;
      nodes.push({ ...entry.block, body, inverse });
    }
  };
  const nodes = until("end", null);
  return marks.slice(due).some((entry) => "tag" in entry) ? null : nodes;
}
