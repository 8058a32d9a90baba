/**
 * What links are called. A link's label is the text up to its end tag, or up to the next link (links do not nest); without text, the alternative
 * text of its image. Links that begin in different branches and go on behind them, `{{#if x}}<a href="1">{{else}}<a href="2">{{/if}}label</a>`,
 * have one label. Text of conditional comments belongs to links in them, and other text to other links.
 */
import { type Branch, type Flat, isWithin, type Piece, trimmed, typed } from "../flat.ts";
import { textValue } from "../html.ts";

/** What of a link is filled in when its end is known. */
export interface Labelled {
  /** Its text as a reader sees it, '' where it has none. */
  shown: string;
  /** What it is called; '' until then, if it has no name of its own. */
  label: string;
}

export interface Labels {
  /** A tag of this name begins these links, at this place; `alternative` is its own. An `a` without links ends those before. */
  begin(element: string, links: readonly Labelled[], start: number, branch: Branch, alternative?: string): void;
  /** An end tag. */
  end(element: string, at: number): void;
  text(piece: Piece): void;
  /** Text before and behind it are not one word. */
  gap(): void;
  image(alternative: () => string): void;
}

/** Characters of a label. */
const MOST = 200;

interface Open {
  readonly element: string;
  readonly branch: Branch;
  readonly links: Labelled[];
  start: number;
  /** What a reader sees of it so far. */
  text: (Piece | " ")[];
  length: number;
  alternative: string;
}

export function openLabels(flat: Flat): Labels {
  let open = null as Open | null;

  const finish = (end: number): void => {
    if (open === null) return;
    const within = { start: open.start, end };
    const text = open.text.map((piece) => (piece === " " ? piece : typed(flat, piece, textValue, within)));
    const shown = tidy(text.join(""));
    for (const link of open.links) {
      link.shown = shown;
      link.label ||= shown || tidy(open.alternative);
    }
    open = null;
  };

  return {
    begin(element, links, start, branch, alternative = "") {
      if (open?.element === element && isBlank(flat, open.text) && !isWithin(branch, new Set([open.branch]))) {
        open.links.push(...links);
        open.start = start;
        open.text = [];
        return;
      }
      if (links.length > 0 || element === "a") finish(start);
      if (links.length > 0) open = { element, branch, links: [...links], start, text: [], length: 0, alternative };
    },
    end(element, at) {
      if (open?.element === element) finish(at);
    },
    text({ start, end }) {
      if (open === null || open.length > MOST * 4) return;
      open.text.push({ start, end: Math.min(end, start + MOST * 8) });
      open.length += end - start;
    },
    gap: () => void open?.text.push(" "),
    image(alternative) {
      if (open !== null) open.alternative ||= alternative();
    },
  };
}

/** White space is one space, and no more than a label has. */
export function tidy(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, MOST);
}

function isBlank(flat: Flat, text: readonly (Piece | " ")[]): boolean {
  return text.every((piece) => {
    const { start, end } = piece === " " ? { start: 0, end: 0 } : trimmed(flat, piece);
    return start === end;
  });
}
