/** Why a link is left alone, as far as its template tells: the beginning of its address, and its label. */
import type { Expr } from "../../model/template-parse.ts";
import { attributeValue } from "../html.ts";
import { type Flat, marksIn, type Piece } from "../flat.ts";

/** Variables that hold addresses of ours: somebody who unsubscribes is counted there, and never led on. */
export const OURS = ["unsubscribeUrl", "mirrorUrl"];

/** What the beginning of an address says against tracking it, '' for nothing; what an expression prints is seen when it is printed. */
export function beginRefusal(flat: Flat, href: Piece): string {
  const [mark] = marksIn(flat, href);
  const begin = attributeValue(flat.text.slice(href.start, mark?.at ?? href.end));
  if (begin === "" && mark?.tag === "value" && names(mark.node.expr, OURS)) return "is one of ours";
  if (begin.startsWith("#")) return "is a place in the document";
  if (/^[/?.\\]/.test(begin)) return "is relative";
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(begin)?.[1]?.toLowerCase() ?? "";
  if (scheme !== "" && scheme !== "http" && scheme !== "https") return `has the scheme ${scheme.slice(0, 40)}:`;
  return scheme === "" && mark === undefined ? "is relative" : "";
}

/** Does an expression name one of these variables of the message? Other things may have a property of that name. */
export function names(expr: Expr, variables: readonly string[]): boolean {
  if (expr.kind === "literal") return false;
  if (expr.kind === "call")
    return expr.args.some((arg) => names(arg, variables)) || expr.named.some(([, arg]) => names(arg, variables));
  const [first = "", ...more] = expr.data && expr.parts[0] === "root" ? expr.parts.slice(1) : expr.parts;
  return more.length === 0 && variables.includes(first);
}

/** Signs around a label: brackets, quotes, arrows, and what is there but not seen (zero-width spaces, soft hyphens). */
const AROUND = /^[\s\p{P}\p{S}]+|[\s\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{S}.,;:!?'"]+$/gu;
const UNSEEN = /[\u00AD\u200B-\u200F\u2060\uFEFF]|\u034F/g;
const WEB = /^(?:https?:\/\/|www\.)\S+$/i;
const DOMAIN = /^(?:[\p{L}\p{N}-]+\.)+(?:\p{L}{2,}|xn--[a-z0-9-]+)(?:[/:?#]\S*)?$/iu;

/**
 * Whether what a reader sees is a URL or a domain itself: filters against phishing compare it with where the link leads. `href` is the
 * address as it was typed: an expression that is both its label and its address prints one.
 */
export function isUrlLabel(shown: string, href: string): boolean {
  const label = shown.replace(UNSEEN, "");
  if (label.includes("{{") && label === href) return true;
  const bare = label.replace(/\{\{.*?\}\}\}?/g, "x").replace(AROUND, "");
  return WEB.test(bare) || DOMAIN.test(bare);
}
