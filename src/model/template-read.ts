/**
 * Values: what an expression reads from the frame it stands in, and what a helper makes of it. Looked up are own properties only:
 * what JSON brought, never what JavaScript adds. Whatever a helper reads and returns is charged to the work of the message.
 */
import { helperOf } from "./template-helpers.ts";
import { TemplateError } from "./template-errors.ts";
import type { Expr } from "./template-parse.ts";

/** Characters that helpers read and write, and nodes that loops run over, in one rendering: 100 ms at the worst. */
const MAX_WORK = 16 * 1024 * 1024;
/** What any call of a helper costs: a date takes 20 µs. */
const CALL = 512;

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

export interface LoopData {
  readonly key: unknown;
  readonly index: unknown;
  readonly first: boolean | undefined;
  readonly last: boolean | undefined;
  readonly parent: LoopData | null;
}

export interface Params {
  readonly values: readonly unknown[];
  readonly outer: Params | null;
}

export interface Frame {
  readonly context: unknown;
  /** Where `../` leads. */
  readonly up: Frame | null;
  readonly data: LoopData;
  readonly params: Params | null;
}

export type Read = (run: Run, frame: Frame) => unknown;

/** How to read an expression. */
export function reader(expr: Expr): Read {
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
    charge(
      state,
      values.reduce((sum: number, value) => sum + weight(value), CALL),
    );
    let result: unknown;
    try {
      result = run(values, options);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new TemplateError(
        error.message.startsWith(`${helper}:`) ? error.message : `${helper}: ${error.message}`,
        at,
      );
    }
    if (typeof result === "string") charge(state, result.length);
    return result;
  };
}

/** Counts work; throws TemplateError when it is more than one message may cost. */
export function charge(run: Run, work: number): void {
  run.work += work;
  if (run.work > MAX_WORK) throw new TemplateError("this template works too long");
}

/** What a helper may have to read of an argument: the text of a list is that of its items. */
function weight(value: unknown): number {
  if (typeof value === "string") return value.length + 8;
  return Array.isArray(value) ? value.reduce((sum: number, item) => sum + weight(item), 8) : 8;
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
