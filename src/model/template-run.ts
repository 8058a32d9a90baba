/**
 * Checked tree → closures that append to one string. No code is generated; a message costs what it appends, and everything it does
 * is counted: characters written, turns of loops, characters that helpers read. Past the budget it throws, so the worst template and
 * the worst variables end within milliseconds.
 *
 * Handlebars' rules for contexts are kept: `../` skips a block whose context is the one around it, `@index` is seen inside `with`,
 * a section loops over lists. Values are looked up as own properties only: what JSON brought, never what JavaScript adds.
 *
 * Measured (11 KB HTML, 240 substitutions, 60 loops' worth of links, Node 26): see bench/micro/render.bench.ts.
 */
import { helperOf, isFalsy, toText } from "./template-helpers.ts";
import { type Expr, type TemplateNode, TemplateError } from "./template-parse.ts";

/** Limits of one rendering. */
const MAX_OUTPUT = 2 * 1024 * 1024;
const MAX_TURNS = 10_000;
const MAX_WORK = 16 * 1024 * 1024;

export interface Run {
  out: string;
  /** Characters `out` may reach. */
  readonly limit: number;
  turns: number;
  work: number;
  readonly root: unknown;
  readonly nowMs: number;
  /** Text of root variables by slot, once each: a newsletter prints the same dozen names many times. */
  readonly texts: (string | undefined)[];
}

/** What compiling shares between the parts of one template. */
interface Compiler {
  readonly escape: boolean;
  /** Slot of a root variable's text: name, with a `{` before it when not escaped. */
  readonly slots: Map<string, number>;
}

interface LoopData {
  readonly key: unknown;
  readonly index: unknown;
  readonly first: boolean | undefined;
  readonly last: boolean | undefined;
  readonly parent: LoopData | null;
}

interface Params {
  readonly values: readonly unknown[];
  readonly outer: Params | null;
}

interface Frame {
  readonly context: unknown;
  /** Where `../` leads. */
  readonly up: Frame | null;
  readonly data: LoopData;
  readonly params: Params | null;
}

type Write = (run: Run, frame: Frame) => void;
type Read = (run: Run, frame: Frame) => unknown;

const NO_LOOP: LoopData = { key: undefined, index: undefined, first: undefined, last: undefined, parent: null };

/** The rendering function of a tree. It throws TemplateError. */
export function compileNodes(
  nodes: readonly TemplateNode[],
  escape: boolean,
): (variables: unknown, nowMs: number) => string {
  const compiler: Compiler = { escape, slots: new Map() };
  const write = body(nodes, compiler);
  // The template's own text is its author's choice and does not count.
  const own = ownLength(nodes);
  return (variables, nowMs) => {
    const texts = new Array<string | undefined>(compiler.slots.size).fill(undefined);
    const run: Run = { out: "", limit: MAX_OUTPUT + own, turns: 0, work: 0, root: variables, nowMs, texts };
    write(run, { context: variables, up: null, data: NO_LOOP, params: null });
    return run.out;
  };
}

function ownLength(nodes: readonly TemplateNode[]): number {
  let length = 0;
  for (const node of nodes) {
    if (node.kind === "text") length += node.value.length;
    else if (node.kind === "block") length += ownLength(node.body) + ownLength(node.inverse);
  }
  return length;
}

function body(nodes: readonly TemplateNode[], compiler: Compiler): Write {
  const writes = nodes.map((node) => one(node, compiler));
  if (writes.length === 0) return () => {};
  const [only] = writes;
  if (writes.length === 1 && only !== undefined) return only;
  return (run, frame) => {
    for (let i = 0; i < writes.length; i++) (writes[i] as Write)(run, frame);
  };
}

function one(node: TemplateNode, compiler: Compiler): Write {
  if (node.kind === "text") {
    const { value } = node;
    return (run) => append(run, value);
  }
  if (node.kind === "value") return printed(node.expr, compiler.escape && !node.raw, compiler.slots);
  const subject = reader(node.subject);
  const parts: BlockParts = {
    subject,
    body: body(node.body, compiler),
    inverse: body(node.inverse, compiler),
    params: node.params,
  };
  switch (node.block) {
    case "if":
    case "unless":
      return condition(parts, node.block === "if", node.includeZero);
    case "each":
      return (run, frame) => eachOf(run, frame, parts, subject(run, frame));
    case "with":
      return (run, frame) => {
        const value = subject(run, frame);
        if (isFalsy(value) && value !== 0) parts.inverse(run, frame);
        else parts.body(run, inside(frame, value, { ...frame.data, parent: frame.data }, parts, [value]));
      };
    default:
      return section(parts);
  }
}

function printed(expr: Expr, escape: boolean, slots: Map<string, number>): Write {
  const read = reader(expr);
  const text = (run: Run, frame: Frame): string =>
    escape ? escapeHtml(toText(read(run, frame))) : toText(read(run, frame));
  const [name] = expr.kind === "path" && !expr.data && expr.param === null && expr.up === 0 ? expr.parts : [];
  if (name === undefined || (expr.kind === "path" && expr.parts.length > 1))
    return (run, frame) => append(run, text(run, frame));
  const key = escape ? name : `{${name}`;
  const slot = slots.get(key) ?? slots.size;
  slots.set(key, slot);
  return (run, frame) => {
    if (frame.up !== null) return append(run, text(run, frame));
    append(run, (run.texts[slot] ??= text(run, frame)));
  };
}

interface BlockParts {
  readonly subject: Read;
  readonly body: Write;
  readonly inverse: Write;
  readonly params: number;
}

function condition({ subject, body: then, inverse }: BlockParts, wanted: boolean, includeZero: boolean): Write {
  return (run, frame) => {
    const value = subject(run, frame);
    const truth = !isFalsy(value) || (includeZero && value === 0);
    if (truth === wanted) then(run, frame);
    else inverse(run, frame);
  };
}

/** `{{#x}}`: a list is looped over, true keeps the context, false and missing are the else, anything else becomes the context. */
function section(parts: BlockParts): Write {
  return (run, frame) => {
    const value = parts.subject(run, frame);
    if (value === true) parts.body(run, frame);
    else if (value === false || value === null || value === undefined) parts.inverse(run, frame);
    else if (Array.isArray(value)) eachOf(run, frame, parts, value);
    else parts.body(run, inside(frame, value, { ...frame.data, parent: frame.data }, parts, [value]));
  };
}

function eachOf(run: Run, frame: Frame, parts: BlockParts, list: unknown): void {
  const isList = Array.isArray(list);
  const keys = isList || typeof list !== "object" || list === null ? null : Object.keys(list);
  const count = isList ? list.length : (keys?.length ?? 0);
  for (let i = 0; i < count; i++) {
    if (++run.turns > MAX_TURNS) throw new TemplateError(`loops take more than ${MAX_TURNS} turns`);
    const key = keys === null ? i : (keys[i] as string);
    const value = (list as Record<string | number, unknown>)[key];
    const data: LoopData = { key, index: i, first: i === 0, last: i === count - 1, parent: frame.data };
    parts.body(run, inside(frame, value, data, parts, [value, key]));
  }
  if (count === 0) parts.inverse(run, frame);
}

function inside(frame: Frame, context: unknown, data: LoopData, parts: BlockParts, values: readonly unknown[]): Frame {
  const up = context === frame.context ? frame.up : frame;
  return { context, up, data, params: parts.params > 0 ? { values, outer: frame.params } : frame.params };
}

function append(run: Run, text: string): void {
  run.out += text;
  if (run.out.length > run.limit) throw new TemplateError(`the output grows past ${MAX_OUTPUT} characters`);
}

function reader(expr: Expr): Read {
  if (expr.kind === "literal") {
    const { value } = expr;
    return () => value;
  }
  if (expr.kind === "call") return call(expr);
  const { parts, up, param } = expr;
  const [first] = parts;
  if (expr.data) return dataReader(parts, up);
  if (param !== null) return (_run, frame) => deep(paramOf(frame, param), parts, 1);
  if (up === 0 && parts.length === 1 && first !== undefined) return (_run, frame) => own(frame.context, first);
  return (_run, frame) => {
    let at: Frame | null = frame;
    for (let i = 0; i < up && at !== null; i++) at = at.up;
    return at === null ? undefined : deep(at.context, parts, 0);
  };
}

function paramOf(frame: Frame, [outward, position]: readonly [number, number]): unknown {
  let params = frame.params;
  for (let i = 0; i < outward && params !== null; i++) params = params.outer;
  return params?.values[position];
}

function dataReader(parts: readonly string[], up: number): Read {
  const [name, ...rest] = parts;
  if (name === "root") return (run) => deep(run.root, rest, 0);
  if (name === "now") return (run) => run.nowMs;
  if (name !== "index" && name !== "key" && name !== "first" && name !== "last") return () => undefined;
  return (_run, frame) => {
    let at: LoopData | null = frame.data;
    for (let i = 0; i < up && at !== null; i++) at = at.parent;
    return at === null ? undefined : deep(at[name], rest, 0);
  };
}

function call(expr: Expr & { kind: "call" }): Read {
  const run = helperOf(expr.helper);
  const args = expr.args.map(reader);
  const named = expr.named.map(([key, value]) => [key, reader(value)] as const);
  const { at, helper } = expr;
  return (state, frame) => {
    const values = args.map((read) => read(state, frame));
    const options: Record<string, unknown> = {};
    for (const [key, read] of named) options[key] = read(state, frame);
    for (const value of values) state.work += typeof value === "string" ? value.length : 64;
    if (state.work > MAX_WORK) throw new TemplateError("the helpers of this template work too long", at);
    try {
      const result = run(values, options);
      if (typeof result === "string") state.work += result.length;
      return result;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new TemplateError(
        error.message.startsWith(`${helper}:`) ? error.message : `${helper}: ${error.message}`,
        at,
      );
    }
  };
}

function deep(start: unknown, parts: readonly string[], from: number): unknown {
  let value = start;
  for (let i = from; i < parts.length && value !== undefined; i++) value = own(value, parts[i] as string);
  return value;
}

function own(value: unknown, name: string): unknown {
  if (typeof value === "object" && value !== null) {
    return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  return typeof value === "string" && name === "length" ? value.length : undefined;
}

/** What Handlebars writes for & < > " ' ` = by character code. */
const ENTITIES: (string | undefined)[] = new Array<string | undefined>(128).fill(undefined);
for (const [c, entity] of Object.entries({
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#x27;",
  "`": "&#x60;",
  "=": "&#x3D;",
})) {
  ENTITIES[c.charCodeAt(0)] = entity;
}

function escapeHtml(text: string): string {
  let out = "";
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const entity = c < 128 ? ENTITIES[c] : undefined;
    if (entity === undefined) continue;
    out += text.slice(from, i) + entity;
    from = i + 1;
  }
  return from === 0 ? text : out + text.slice(from);
}
