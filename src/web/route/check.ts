/**
 * A request held against its schema: what comes out is typed and complete, or a 400 that names every place that is wrong. An unknown field is
 * always an error, with the known name that is nearest: a misspelt `notBefore` that is silently ignored would send mail too early.
 */
import { z } from "zod";
import { nearest } from "../../config/nearest.ts";
import { Problem, type ProblemItem } from "../../http/problem.ts";

/** JSON Schema as far as we walk it. */
export interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

const known = new WeakMap<z.ZodType, JsonSchema>();

/** What may be sent, as JSON Schema 2020-12. */
export function describeInput(schema: z.ZodType): JsonSchema {
  let described = known.get(schema);
  if (described === undefined) {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", reused: "inline" });
    described = rest as JsonSchema;
    known.set(schema, described);
  }
  return described;
}

/** `place` (`body`, `query`) begins the path of what is outside of the body. Throws Problem 400. */
export function checkInput<T extends z.ZodType>(
  schema: T,
  value: unknown,
  place: "body" | "query" | "path",
): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const prefix = place === "body" ? [] : [place];
  const errors = result.error.issues.flatMap((issue) => items(issue, schema, prefix, [])).slice(0, 100);
  throw new Problem(400, summary(errors), { errors });
}

function summary(errors: readonly ProblemItem[]): string {
  const first = errors[0];
  if (first === undefined) return "the request is not valid";
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return `${first.path === "" ? "" : `${first.path}: `}${first.message}${more}`;
}

type Issue = z.core.$ZodIssue;

function items(
  issue: Issue,
  schema: z.ZodType,
  prefix: readonly string[],
  outer: readonly PropertyKey[],
): ProblemItem[] {
  const path = [...outer, ...issue.path];
  const at = (more: readonly PropertyKey[]): string =>
    [...prefix, ...path, ...more].map(String).join(".").slice(0, 200);
  if (issue.code === "unrecognized_keys") {
    const names = [...namesAt(describeInput(schema), path)];
    // 10,000 unknown fields are told in a few lines.
    return issue.keys.slice(0, 20).map((key) => {
      const meant = nearest(key, names);
      return { path: at([key]), message: meant === "" ? "unknown field" : `unknown field; did you mean ${meant}?` };
    });
  }
  if (issue.code === "invalid_union") {
    // The form that was probably meant is the one whose mistakes lie deepest; when all fail at the top, none was.
    const inner = issue.errors
      .filter((branch) => branch.some((i) => i.path.length > 0 || i.code !== "invalid_type"))
      .toSorted((a, b) => a.length - b.length)[0];
    if (inner !== undefined) return inner.flatMap((i) => items(i, schema, prefix, path));
  }
  return [{ path: at([]), message: issue.message.slice(0, 300) }];
}

/** Names of the fields an object at `path` may have. */
function namesAt(schema: JsonSchema, path: readonly PropertyKey[]): Set<string> {
  let here = [schema];
  for (const step of [...path, null]) {
    here = here.flatMap((node) => [node, ...(node.anyOf ?? []), ...(node.oneOf ?? [])]);
    if (step === null) break;
    here = here.flatMap((node) => {
      const next = typeof step === "number" ? node.items : node.properties?.[String(step)];
      return next === undefined ? [] : [next];
    });
  }
  return new Set(here.flatMap((node) => Object.keys(node.properties ?? {})));
}
