/**
 * What is wrong with a template, and where. Lines and columns are counted from 1. Handlebars' parser tells the place only in the text of
 * its errors; here it is found again in the source.
 */

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A template that cannot be compiled (line and column are its place) or rendered (the place of the helper, or 0). */
export class TemplateError extends Error {
  readonly line: number;
  readonly column: number;
  constructor(message: string, at: Place = { line: 0, column: 0 }) {
    super(message);
    this.name = "TemplateError";
    this.line = at.line;
    this.column = at.column;
  }
}

/** Line and column of an offset. */
export function placeOf(source: string, offset: number): Place {
  const before = source.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

/** The parser says where only in its text: a line number, then the source around the error with an arrow below. */
export function placed(source: string, error: unknown): TemplateError {
  if (error instanceof RangeError)
    return new TemplateError("the template is nested too deeply", { line: 1, column: 1 });
  if (!(error instanceof Error)) throw error;
  const { lineNumber, column } = error as { lineNumber?: number; column?: number };
  if (typeof lineNumber === "number" && typeof column === "number") {
    return new TemplateError(error.message.replace(/ - \d+:\d+$/, ""), { line: lineNumber, column: column + 1 });
  }
  const [first = "", shown = "", arrow = "", ...rest] = error.message.split("\n");
  const line = Number(/on line (\d+)/.exec(first)?.[1] ?? 1);
  const token = /got '(.*)'$/.exec(rest.at(-1) ?? "")?.[1] ?? "";
  return new TemplateError(explain(token, shown.slice(arrow.indexOf("^"))), {
    line,
    column: columnOf(source, line, shown, arrow.indexOf("^")),
  });
}

function explain(token: string, near: string): string {
  if (token === "EOF") return "the template ends inside a block or an expression";
  if (token === "OPEN_ENDBLOCK") return "a block is closed here that is not open";
  return `syntax error near ${JSON.stringify(near.slice(0, 20))}`;
}

/** Finds the text shown around the arrow in the line it names. */
function columnOf(source: string, line: number, shown: string, arrow: number): number {
  const lines = source.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  const before = shown.slice(0, Math.max(arrow, 0)).replace(/^\.\.\./, "");
  const end = start + (lines[line - 1]?.length ?? 0);
  for (let offset = start; offset <= end; offset++) {
    if (
      source
        .slice(Math.max(0, offset - before.length - 40), offset)
        .replaceAll("\n", "")
        .endsWith(before)
    ) {
      return offset - start + 1;
    }
  }
  return 1;
}
