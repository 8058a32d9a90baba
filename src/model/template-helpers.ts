/**
 * The helpers of the template language: one table with their arguments, options and a line of documentation (the README prints it),
 * and what each does. Values come from JSON or CSV, so numbers and dates are taken as text too. Something missing (null, undefined,
 * '') gives ''; something that is there but makes no sense (a date that is none) throws, and that recipient's message fails with the
 * reason, because a mail with a wrong date in it is worse than none.
 */
import { formatDate, formatNumber, pluralForm } from "./template-format.ts";

export interface HelperShape {
  readonly name: string;
  /** Fewest and most positional arguments. */
  readonly min: number;
  readonly max: number;
  /** Names of `key=value` arguments. */
  readonly options: readonly string[];
  readonly usage: string;
  readonly doc: string;
}

export type HelperOptions = Readonly<Record<string, unknown>>;
export type Helper = (args: readonly unknown[], options: HelperOptions) => unknown;

/** Helpers that are blocks. */
export const BLOCKS: readonly string[] = ["if", "unless", "each", "with"];
/** Helpers whose answer is a condition: usable as a block too. */
export const LOGIC: readonly string[] = ["eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not"];

const RUN = new Map<string, Helper>();
const SHAPES = new Map<string, HelperShape>();

/** Every helper by name. */
export const HELPERS: ReadonlyMap<string, HelperShape> = SHAPES;

/** The function of a helper in `HELPERS`. */
export function helperOf(name: string): Helper {
  const helper = RUN.get(name);
  if (helper === undefined) throw new RangeError(`no helper ${name}`);
  return helper;
}

/** Text of a value as a template prints it; objects have none worth printing and cannot smuggle in a toString of their own. */
export function toText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? value.map(toText).join(",") : "[object Object]";
}

/** What `if` takes as false: missing, false, '', 0, NaN and the empty list. */
export function isFalsy(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : !value;
}

function define(
  usage: string,
  count: readonly [number, number],
  options: readonly string[],
  doc: string,
  run: Helper,
): void {
  const name = usage.split(" ")[0] ?? "";
  SHAPES.set(name, { name, min: count[0], max: count[1], options, usage, doc });
  RUN.set(name, run);
}

const locale = (options: HelperOptions): string => toText(options["locale"]) || "en";

define("upper x", [1, 1], ["locale"], "x in capitals", ([x], o) => toText(x).toLocaleUpperCase(locale(o)));
define("lower x", [1, 1], ["locale"], "x in small letters", ([x], o) => toText(x).toLocaleLowerCase(locale(o)));
define("capitalize x", [1, 1], ["locale"], "x with its first letter in capitals", ([x], o) => {
  const [first = "", ...rest] = toText(x);
  return first.toLocaleUpperCase(locale(o)) + rest.join("");
});
define("trim x", [1, 1], [], "x without white space around it", ([x]) => toText(x).trim());
define(
  "truncate x length",
  [2, 3],
  [],
  "x cut to so many characters; a third argument is put where it was cut (…)",
  ([x, length, mark]) => {
    const letters = [...toText(x)];
    const wanted = toNumber("truncate", length);
    return letters.length <= wanted
      ? letters.join("")
      : letters.slice(0, wanted).join("") + (mark === undefined ? "…" : toText(mark));
  },
);
define("default x y", [2, 2], [], "x, or y when x is missing or ''", ([x, y]) =>
  x === null || x === undefined || x === "" ? y : x,
);
define(
  "date x format",
  [1, 2],
  ["timezone", "locale"],
  "x (ISO 8601 text or milliseconds; @now is the moment of sending) as short, medium, long, full or a pattern such as yyyy-MM-dd HH:mm",
  ([x, pattern], o) =>
    x === null || x === undefined || x === ""
      ? ""
      : formatDate(x, toText(pattern) || "medium", toText(o["timezone"]) || "UTC", locale(o)),
);
define("number x", [1, 1], ["decimals", "locale"], "x with the separators of the locale", ([x], o) =>
  isMissing(x) ? "" : formatNumber(toNumber("number", x), locale(o), decimals(o), ""),
);
define(
  "currency x code",
  [2, 2],
  ["decimals", "locale"],
  "x as an amount: {{currency 9.5 'EUR' locale='de'}}",
  ([x, code], o) => (isMissing(x) ? "" : formatNumber(toNumber("currency", x), locale(o), decimals(o), toText(code))),
);
define(
  "plural n one other",
  [1, 3],
  ["zero", "one", "two", "few", "many", "other", "locale"],
  "the word that goes with n, by the plural rules of the locale; forms also as one= few= many= other=",
  ([n, one, other], o) => {
    const count = isMissing(n) ? 0 : toNumber("plural", n);
    const form = pluralForm(count, locale(o));
    return toText(o[form] ?? (form === "one" ? (one ?? o["other"]) : (other ?? o["other"] ?? one)));
  },
);
define("urlEncode x", [1, 1], [], "x for use inside a URL", ([x]) => encodeURIComponent(toText(x).toWellFormed()));
define("json x", [1, 1], [], "x as JSON", ([x]) => JSON.stringify(x) ?? "");
define(
  "join list separator",
  [1, 2],
  [],
  "the items of a list with a separator between them (', ')",
  ([list, separator]) =>
    Array.isArray(list) ? list.map(toText).join(separator === undefined ? ", " : toText(separator)) : toText(list),
);
define("add x y", [2, 2], [], "x + y", ([x, y]) => toNumber("add", x) + toNumber("add", y));
define("eq x y", [2, 2], [], "x and y are the same (5 and '5' are)", ([x, y]) => same(x, y));
define("ne x y", [2, 2], [], "x and y differ", ([x, y]) => !same(x, y));
define(
  "gt x y",
  [2, 2],
  [],
  "x is greater than y; as numbers when both are, else as texts",
  ([x, y]) => compare(x, y) > 0,
);
define("gte x y", [2, 2], [], "x is at least y", ([x, y]) => compare(x, y) >= 0);
define("lt x y", [2, 2], [], "x is less than y", ([x, y]) => compare(x, y) < 0);
define("lte x y", [2, 2], [], "x is at most y", ([x, y]) => compare(x, y) <= 0);
define(
  "and x y …",
  [2, 16],
  [],
  "the last argument when none is false",
  (args) => args.find(isFalsy) ?? (args.some(isFalsy) ? "" : args.at(-1)),
);
define(
  "or x y …",
  [2, 16],
  [],
  "the first argument that is not false",
  (args) => args.find((x) => !isFalsy(x)) ?? args.at(-1),
);
define("not x", [1, 1], [], "x is false, missing, '', 0 or an empty list", ([x]) => isFalsy(x));

function isMissing(value: unknown): boolean {
  return value === null || value === undefined || value === "";
}

function toNumber(helper: string, value: unknown): number {
  const number =
    typeof value === "number" ? value : typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  if (!Number.isFinite(number))
    throw new RangeError(`${helper}: ${JSON.stringify(toText(value).slice(0, 40))} is not a number`);
  return number;
}

function decimals(options: HelperOptions): number | null {
  return options["decimals"] === undefined ? null : toNumber("decimals", options["decimals"]);
}

function same(x: unknown, y: unknown): boolean {
  if (x === y) return true;
  const scalars = typeof x !== "object" && typeof y !== "object" && x !== undefined && y !== undefined;
  return scalars ? String(x) === String(y) : (x ?? null) === (y ?? null);
}

function compare(x: unknown, y: unknown): number {
  const [a, b] = [Number(toText(x) || Number.NaN), Number(toText(y) || Number.NaN)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  // A missing value is neither greater nor less than anything.
  if (isMissing(x) || isMissing(y)) return Number.NaN;
  const [s, t] = [toText(x), toText(y)];
  return s < t ? -1 : s > t ? 1 : 0;
}
