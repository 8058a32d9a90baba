/**
 * A template's tree as one text, and changes of that text back into the tree. Whoever looks for something in a template (a tag, a URL) looks
 * at the text: what stands in braces is one character there, a mark, known by its place and not by what it is, so a template may hold
 * that character itself. All branches of a block follow one another.
 *
 * A change covers a piece of the text; it is possible where the piece begins and ends in the same branch of the same block.
 */
import type { TemplateNode } from "../model/template.ts";
import { type BlockTag, blockText, valueText } from "../model/template-text.ts";

type Block = TemplateNode & { kind: "block" };

/** Where a block stands in the text. */
interface Extent {
  readonly open: number;
  other: number;
  close: number;
}

/** One branch of a block, or the whole template (`above` null). */
export interface Branch {
  readonly above: Branch | null;
}

export type Mark = { readonly at: number; /** The branch behind it. */ readonly after: Branch } & (
  | { readonly tag: "value"; readonly node: TemplateNode & { kind: "value" } }
  | { readonly tag: BlockTag; readonly node: Block; readonly extent: Extent }
);

export interface Flat {
  readonly text: string;
  readonly root: Branch;
  /** In order of their places. */
  readonly marks: readonly Mark[];
}

/** A piece of a flat text. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

export interface Change extends Piece {
  /** What stands there instead; gets the nodes the piece was made of. */
  nodes(from: readonly TemplateNode[]): readonly TemplateNode[];
}

/** A letter to every tokenizer: neither white space nor ASCII. */
const MARK = "\uE000";

export function flatten(nodes: readonly TemplateNode[]): Flat {
  const root: Branch = { above: null };
  const marks: Mark[] = [];
  let text = "";
  const walk = (list: readonly TemplateNode[], branch: Branch): void => {
    for (const node of list) {
      if (node.kind === "text") text += node.value;
      else if (node.kind === "value") {
        marks.push({ at: text.length, after: branch, tag: "value", node });
        text += MARK;
      } else if (node.kind === "block") {
        const extent = { open: text.length, other: 0, close: 0 };
        const tag = (name: BlockTag, after: Branch): number => {
          marks.push({ at: text.length, after, tag: name, node, extent });
          text += MARK;
          return text.length - 1;
        };
        const [body, inverse]: [Branch, Branch] = [{ above: branch }, { above: branch }];
        tag("open", body);
        walk(node.body, body);
        extent.other = tag("else", inverse);
        walk(node.inverse, inverse);
        extent.close = tag("close", branch);
      } else throw new TypeError("a template that was changed already");
    }
  };
  walk(nodes, root);
  return { text, root, marks };
}

/** Number of the first mark at or behind a place. */
function firstAt({ marks }: Flat, at: number): number {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((marks[middle] as Mark).at < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function markAt(flat: Flat, at: number): Mark | null {
  if (flat.text[at] !== MARK) return null;
  const mark = flat.marks[firstAt(flat, at)];
  return mark?.at === at ? mark : null;
}

export function marksIn(flat: Flat, { start, end }: Piece): readonly Mark[] {
  return flat.marks.slice(firstAt(flat, start), firstAt(flat, end));
}

/** The branch a place stands in: that of the text right before it. */
export function branchAt(flat: Flat, at: number): Branch {
  return flat.marks[firstAt(flat, at) - 1]?.after ?? flat.root;
}

/** Whether a branch is one of some, or inside of one. */
export function isWithin(branch: Branch, some: ReadonlySet<Branch>): boolean {
  for (let each: Branch | null = branch; each !== null; each = each.above) if (some.has(each)) return true;
  return false;
}

export function canChange(flat: Flat, { start, end }: Piece): boolean {
  return branchAt(flat, start) === branchAt(flat, end);
}

/** White space of HTML. */
export const isSpace = (c: string | undefined): boolean =>
  c === " " || c === "\n" || c === "\t" || c === "\r" || c === "\f";

/** Without white space and tags of blocks that reach out of it at its ends. */
export function trimmed(flat: Flat, piece: Piece): Piece {
  let { start, end } = piece;
  const isOutward = (at: number): boolean => {
    const mark = markAt(flat, at);
    return mark !== null && mark.tag !== "value" && reachesOut(mark.extent, piece);
  };
  while (start < end && (isSpace(flat.text[start]) || isOutward(start))) start++;
  while (start < end && (isSpace(flat.text[end - 1]) || isOutward(end - 1))) end--;
  return { start, end };
}

function reachesOut({ open, close }: Extent, { start, end }: Piece): boolean {
  return open < start || close >= end;
}

/** A piece as its author might have typed it, without tags of blocks that reach out of `within`; `decode` is applied to what is in no braces. */
export function typed(flat: Flat, piece: Piece, decode: (text: string) => string, within = piece): string {
  let out = "";
  let from = piece.start;
  for (const mark of marksIn(flat, piece)) {
    out += decode(flat.text.slice(from, mark.at));
    if (mark.tag === "value") out += valueText(mark.node);
    else if (!reachesOut(mark.extent, within)) out += blockText(mark.node, mark.tag);
    from = mark.at + 1;
  }
  return out + decode(flat.text.slice(from, piece.end));
}

/** The tree with all changes made: in order, not overlapping, each of them possible. */
export function changed(nodes: readonly TemplateNode[], changes: readonly Change[]): TemplateNode[] {
  const ends = endsOf(nodes);
  let at = 0;
  let next = 0;

  const list = (siblings: readonly TemplateNode[]): TemplateNode[] => {
    const out: TemplateNode[] = [];
    let open = null as { readonly change: Change; readonly from: TemplateNode[] } | null;
    const put = (node: TemplateNode): void => void (open?.from ?? out).push(node);
    /** Ends and begins what ends and begins here. */
    const turn = (): void => {
      for (;;) {
        if (open !== null) {
          if (open.change.end !== at) return;
          out.push(...open.change.nodes(open.from));
          open = null;
        }
        const change = changes[next];
        if (change?.start !== at) return;
        open = { change, from: [] };
        next++;
      }
    };
    for (const node of siblings) {
      if (node.kind === "text") {
        for (const part of parts(node.value, at)) {
          turn();
          put({ ...node, value: part });
          at += part.length;
        }
        continue;
      }
      turn();
      const end = ends.get(node) ?? at + 1;
      if (node.kind !== "block" || open !== null || (changes[next]?.start ?? Infinity) >= end) put(node);
      else {
        at++;
        const body = list(node.body);
        at++;
        out.push({ ...node, body, inverse: list(node.inverse) });
      }
      at = end;
    }
    turn();
    if (open !== null) throw new RangeError("a change reaches out of its block");
    return out;
  };

  /** A text cut where changes begin and end. */
  function parts(value: string, start: number): string[] {
    const cuts: number[] = [];
    // The one before may still be open.
    for (let i = Math.max(0, next - 1); i < changes.length; i++) {
      const change = changes[i] as Change;
      if (change.start > start + value.length) break;
      cuts.push(change.start, change.end);
    }
    const found: string[] = [];
    let from = 0;
    for (const cut of cuts) {
      const to = Math.min(cut - start, value.length);
      if (to <= from) continue;
      found.push(value.slice(from, to));
      from = to;
    }
    if (from < value.length) found.push(value.slice(from));
    return found;
  }

  return list(nodes);
}

/** Where each block ends. A node may stand in a tree once only. */
function endsOf(nodes: readonly TemplateNode[]): Map<TemplateNode, number> {
  const ends = new Map<TemplateNode, number>();
  let at = 0;
  const walk = (list: readonly TemplateNode[]): void => {
    for (const node of list) {
      if (node.kind === "text") at += node.value.length;
      else if (node.kind === "block") {
        at++;
        walk(node.body);
        at++;
        walk(node.inverse);
        at++;
        ends.set(node, at);
      } else at++;
    }
  };
  walk(nodes);
  return ends;
}
