/**
 * Template source → checked tree. Handlebars 4.7's own parser reads the text, so the grammar, comments and whitespace control are
 * exactly Handlebars'; this file, its only importer, turns the result into a small tree of our own and refuses what a mail template
 * may not do: partials, decorators, unknown helpers, wrong arguments. Each refusal names line and column, both counted from 1.
 *
 * Only the parser is used. Handlebars' compiler writes JavaScript from the template; ours (template-run.ts) never does, so nothing
 * a customer types can become code, and the work of one message can be counted and bounded.
 */
import Handlebars from "handlebars";
import { placed, placeOf, type Place, TemplateError } from "./template-errors.ts";
import { limitPassed, MAX_DEPTH } from "./template-limits.ts";
import { BLOCKS, HELPERS, LOGIC, type HelperShape } from "./template-helpers.ts";

export type Expr =
  | { readonly kind: "literal"; readonly value: string | number | boolean | null | undefined }
  | {
      readonly kind: "path";
      /** How many `../`. */
      readonly up: number;
      /** `@index`, `@root`, … */
      readonly data: boolean;
      readonly parts: readonly string[];
      /** First part is a block parameter: [how many blocks with parameters outward, position]. */
      readonly param: readonly [number, number] | null;
    }
  | {
      readonly kind: "call";
      readonly helper: string;
      readonly args: readonly Expr[];
      readonly named: readonly (readonly [string, Expr])[];
      readonly at: Place;
    };

export type BlockName = "if" | "unless" | "each" | "with" | "section";

export type TemplateNode =
  | { readonly kind: "text"; readonly value: string; readonly at: Place }
  | { readonly kind: "value"; readonly expr: Expr; /** `{{{x}}}`: not escaped. */ readonly raw: boolean }
  | {
      readonly kind: "block";
      readonly block: BlockName;
      readonly subject: Expr;
      readonly includeZero: boolean;
      /** Number of block parameters (`as |item index|`). */
      readonly params: number;
      readonly body: readonly TemplateNode[];
      readonly inverse: readonly TemplateNode[];
    }
  | {
      /** Not of the language: whoever rearranges a template puts it around what must be changed in every message. */
      readonly kind: "rewritten";
      readonly body: readonly TemplateNode[];
      /** What is printed instead of what the body printed; `root` are the variables of the message. */
      print(printed: string, root: unknown): string;
      /** Characters it prints at most beyond the body's: like the template's own text they do not count as output. */
      readonly room: number;
    };

/** Parses and checks. Throws TemplateError. */
export function parseTemplate(source: string): TemplateNode[] {
  const passed = limitPassed(source);
  if (passed !== null) throw new TemplateError(passed.message, placeOf(source, passed.offset));
  let program: hbs.AST.Program;
  try {
    program = Handlebars.parse(source);
  } catch (error) {
    throw placed(source, error);
  }
  return nodes(program, { scopes: [], depth: 0 });
}

interface Context {
  /** Names of the block parameters of the enclosing blocks, innermost first. */
  readonly scopes: readonly (readonly string[])[];
  readonly depth: number;
}

function nodes(program: hbs.AST.Program | undefined, context: Context): TemplateNode[] {
  const list: TemplateNode[] = [];
  for (const statement of program?.body ?? []) {
    const node = toNode(statement, context);
    if (node !== null) list.push(node);
  }
  return list;
}

function toNode(statement: hbs.AST.Statement, context: Context): TemplateNode | null {
  const at = place(statement);
  switch (statement.type) {
    case "CommentStatement":
      return null;
    case "ContentStatement": {
      const { value } = statement as hbs.AST.ContentStatement;
      return value === "" ? null : { kind: "text", value, at };
    }
    case "MustacheStatement": {
      const mustache = statement as hbs.AST.MustacheStatement;
      return { kind: "value", expr: callOrPath(mustache, context), raw: !mustache.escaped };
    }
    case "BlockStatement":
      return block(statement as hbs.AST.BlockStatement, context);
    default:
      throw new TemplateError("partials and decorators are not available", at);
  }
}

function block(statement: hbs.AST.BlockStatement, context: Context): TemplateNode {
  const at = place(statement);
  if (context.depth >= MAX_DEPTH) throw new TemplateError(`blocks are nested more than ${MAX_DEPTH} deep`, at);
  const params = statement.program?.blockParams ?? [];
  const inner = { scopes: params.length > 0 ? [params, ...context.scopes] : context.scopes, depth: context.depth + 1 };
  const rest = {
    includeZero: false,
    params: params.length,
    body: nodes(statement.program, inner),
    inverse: nodes(statement.inverse, { scopes: context.scopes, depth: context.depth + 1 }),
  };
  const name = simpleName(statement.path);
  if (BLOCKS.includes(name)) {
    const [subject] = statement.params;
    if (subject === undefined || statement.params.length > 1)
      throw new TemplateError(`#${name} takes one argument`, at);
    const named = pairs(statement.hash, context);
    const stray = named.find(([key]) => key !== "includeZero" || !(name === "if" || name === "unless"));
    if (stray !== undefined) throw new TemplateError(`#${name} has no option ${stray[0]}`, at);
    return {
      kind: "block",
      block: name as BlockName,
      subject: toExpr(subject, context),
      ...rest,
      includeZero: named.length > 0,
    };
  }
  if (statement.params.length === 0 && statement.hash === undefined) {
    return { kind: "block", block: "section", subject: toExpr(statement.path, context), ...rest };
  }
  // {{#eq a b}} … {{else}} … {{/eq}} is what people write for {{#if (eq a b)}}.
  if (LOGIC.includes(name)) return { kind: "block", block: "if", subject: callOrPath(statement, context), ...rest };
  throw new TemplateError(
    HELPERS.has(name) ? `${name} is not a block` : `there is no block helper ${label(statement.path)}`,
    at,
  );
}

interface Callable {
  readonly path: hbs.AST.Expression;
  readonly params: hbs.AST.Expression[];
  readonly hash: hbs.AST.Hash;
  readonly loc: hbs.AST.SourceLocation;
}

/** `{{x}}` is a variable even when a helper has its name (all helpers need arguments); `{{x y}}` is a helper. */
function callOrPath(node: Callable, context: Context): Expr {
  const at = { line: node.loc.start.line, column: node.loc.start.column + 1 };
  if (node.params.length === 0 && node.hash === undefined) return toExpr(node.path, context);
  if (context.depth >= MAX_DEPTH) throw new TemplateError(`expressions are nested more than ${MAX_DEPTH} deep`, at);
  const helper = simpleName(node.path);
  const shape = HELPERS.get(helper);
  if (shape === undefined) {
    const what = BLOCKS.includes(helper)
      ? `${helper} is a block: write {{#${helper}}}`
      : `there is no helper ${label(node.path)}`;
    throw new TemplateError(what, at);
  }
  const inner = { scopes: context.scopes, depth: context.depth + 1 };
  const args = node.params.map((param) => toExpr(param, inner));
  const named = pairs(node.hash, inner);
  checkArguments(shape, args.length, named, at);
  return { kind: "call", helper, args, named, at };
}

function checkArguments(
  shape: HelperShape,
  count: number,
  named: readonly (readonly [string, Expr])[],
  at: Place,
): void {
  if (count < shape.min || count > shape.max) {
    const wanted = shape.min === shape.max ? `${shape.min}` : `${shape.min} to ${shape.max}`;
    throw new TemplateError(`${shape.name} takes ${wanted} argument${wanted === "1" ? "" : "s"}, not ${count}`, at);
  }
  const stray = named.find(([key]) => !shape.options.includes(key));
  if (stray !== undefined) throw new TemplateError(`${shape.name} has no option ${stray[0]}`, at);
}

function toExpr(expression: hbs.AST.Expression, context: Context): Expr {
  switch (expression.type) {
    case "StringLiteral":
    case "NumberLiteral":
    case "BooleanLiteral":
      return { kind: "literal", value: (expression as hbs.AST.StringLiteral).value };
    case "NullLiteral":
      return { kind: "literal", value: null };
    case "UndefinedLiteral":
      return { kind: "literal", value: undefined };
    case "SubExpression":
      return callOrPath(expression as hbs.AST.SubExpression, context);
    case "PathExpression":
      return path(expression as hbs.AST.PathExpression, context);
    default:
      throw new TemplateError(`${expression.type} is not available`, place(expression));
  }
}

function path(expression: hbs.AST.PathExpression, context: Context): Expr {
  const parts = expression.parts.map(String);
  const scoped = /^(\.|this\b)/.test(expression.original);
  let param: [number, number] | null = null;
  if (!scoped && !expression.data && expression.depth === 0 && parts[0] !== undefined) {
    const scope = context.scopes.findIndex((names) => names.includes(parts[0] ?? ""));
    if (scope >= 0) param = [scope, context.scopes[scope]?.indexOf(parts[0]) ?? 0];
  }
  return { kind: "path", up: expression.depth, data: expression.data, parts, param };
}

function pairs(hash: hbs.AST.Hash | undefined, context: Context): (readonly [string, Expr])[] {
  return (hash?.pairs ?? []).map((pair) => [pair.key, toExpr(pair.value, context)] as const);
}

function simpleName(expression: hbs.AST.Expression): string {
  if (expression.type !== "PathExpression") return "";
  const { parts, depth, data, original } = expression as hbs.AST.PathExpression;
  return parts.length === 1 && depth === 0 && !data && !/^(\.|this\b)/.test(original) ? String(parts[0]) : "";
}

function label(expression: hbs.AST.Expression): string {
  return String((expression as hbs.AST.PathExpression).original ?? expression.type).slice(0, 60);
}

function place(node: hbs.AST.Node): Place {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 };
}
