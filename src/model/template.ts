/**
 * The template language: Handlebars 4.7 (README lists the helpers) for HTML, text and header values.
 *
 * `html` escapes values, `text` and `header` do not. A header's output never holds CR, LF or NUL: a template with one in it is
 * refused, and a value that brings one makes its own message fail ("header injection"). Missing variables print nothing.
 * No prototype access, no partials, no code generation; the output, the turns of loops and the work of helpers are bounded.
 */
import { compileNodes } from "./template-run.ts";
import { TemplateError } from "./template-errors.ts";
import { parseTemplate, type TemplateNode } from "./template-parse.ts";

export { TemplateError } from "./template-errors.ts";
export type { TemplateNode } from "./template-parse.ts";

export type TemplateMode = "html" | "text" | "header";

export interface Template {
  /** The output when nothing in it depends on variables, else null. */
  readonly constant: string | null;
  readonly nodes: readonly TemplateNode[];
  /** Variables are looked up as own properties. `nowMs` is what `@now` says. Throws TemplateError. */
  render(variables: unknown, nowMs: number): string;
}

export interface TemplateProblem {
  readonly message: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

/** Throws TemplateError with line and column. */
export function compileTemplate(source: string, mode: TemplateMode): Template {
  return templateOf(parseTemplate(source), mode);
}

/** A template from a tree that was parsed (and perhaps rearranged) before. */
export function templateOf(nodes: readonly TemplateNode[], mode: TemplateMode): Template {
  if (mode === "header") refuseBreaks(nodes);
  const run = compileNodes(nodes, mode === "html");
  const isConstant = nodes.every((node) => node.kind === "text");
  return {
    constant: isConstant ? nodes.map((node) => (node.kind === "text" ? node.value : "")).join("") : null,
    nodes,
    render: mode === "header" ? (variables, nowMs) => checkHeader(run(variables, nowMs)) : run,
  };
}

/** What is wrong with a template, or null. */
export function checkTemplate(source: string, mode: TemplateMode): TemplateProblem | null {
  try {
    compileTemplate(source, mode);
    return null;
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return { message: error.message, line: error.line, column: error.column };
  }
}

// eslint-disable-next-line no-control-regex
const BREAKS = /[\r\n\0]/;

function checkHeader(value: string): string {
  if (BREAKS.test(value)) throw new TemplateError("header injection: a value brings a line break or NUL into a header");
  return value;
}

function refuseBreaks(nodes: readonly TemplateNode[]): void {
  for (const node of nodes) {
    if (node.kind === "text" && BREAKS.test(node.value)) {
      throw new TemplateError("header injection: a line break or NUL in a header", node.at);
    }
    if (node.kind === "block") {
      refuseBreaks(node.body);
      refuseBreaks(node.inverse);
    }
    if (node.kind === "rewritten") refuseBreaks(node.body);
  }
}
