/**
 * A checked tree back to the text somebody might have typed: for showing a personalised URL or label to a person. Names of block parameters
 * and white space are not kept, so it is not the author's text letter by letter.
 */
import type { Expr, TemplateNode } from "./template-parse.ts";

/** Where a block stands: its beginning, its else, its end. */
export type BlockTag = "open" | "else" | "close";

/** `{{name}}`, `{{{name}}}`. */
export function valueText({ expr, raw }: TemplateNode & { kind: "value" }): string {
  return raw ? `{{{${callText(expr)}}}}` : `{{${callText(expr)}}}`;
}

/** `{{#if x}}`, `{{else}}` ('' when there is nothing behind it) or `{{/if}}`. */
export function blockText(node: TemplateNode & { kind: "block" }, tag: BlockTag): string {
  const section = node.block === "section";
  if (tag === "open") return `{{#${section ? "" : `${node.block} `}${exprText(node.subject)}}}`;
  if (tag === "close") return `{{/${section ? exprText(node.subject) : node.block}}}`;
  return node.inverse.length > 0 ? "{{else}}" : "";
}

function exprText(expr: Expr): string {
  return expr.kind === "call" ? `(${callText(expr)})` : callText(expr);
}

function callText(expr: Expr): string {
  if (expr.kind === "literal") return typeof expr.value === "string" ? quoted(expr.value) : String(expr.value);
  if (expr.kind === "call") {
    const named = expr.named.map(([key, value]) => `${key}=${exprText(value)}`);
    return [expr.helper, ...expr.args.map(exprText), ...named].join(" ");
  }
  const path = expr.parts.map((part) => (/^[^\s!"#%-,./;<=>@[-^`{-~]+$/.test(part) ? part : `[${part}]`)).join(".");
  return `${"../".repeat(expr.up)}${expr.data ? "@" : ""}${path === "" ? "this" : path}`;
}

function quoted(text: string): string {
  return text.includes("'") ? JSON.stringify(text) : `'${text}'`;
}
