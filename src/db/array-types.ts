/**
 * Arrays of one dimension, to and from the text in which PostgreSQL writes them (manual §8.15.6), for the types the ledger uses. The driver can
 * read the array types of a server by itself, with a query behind each connect; but when a connection is cut in the middle of that one,
 * nobody catches the error and the process ends. So it is told, and the query is saved.
 */

/** What the driver wants of a type: `to` and `from` are its OIDs (pg_type.dat: they never change). */
export interface ArrayType {
  readonly to: number;
  readonly from: number[];
  readonly serialize: (values: unknown) => unknown;
  readonly parse: (text: string) => unknown[];
}

/** @param bigint how one bigint is read. */
export function arrayTypes(bigint: (text: string) => number): Record<string, ArrayType> {
  return {
    booleans: arrayType(1000, (text) => text === "t"),
    smallints: arrayType(1005, Number),
    ints: arrayType(1007, Number),
    texts: arrayType(1009, String),
    bigints: arrayType(1016, bigint),
    timestamps: arrayType(1185, (text) => new Date(text)),
  };
}

function arrayType(oid: number, read: (text: string) => unknown): ArrayType {
  return {
    to: oid,
    from: [oid],
    serialize: (values) => (Array.isArray(values) ? arrayText(values) : values),
    parse: (text) => split(text).map((item) => (item === null ? null : read(item))),
  };
}

/** Batches have tens of thousands of items: numbers are joined as they are, and only text that needs it is searched through. */
export function arrayText(values: readonly unknown[]): string {
  if (values.every((value) => typeof value === "number")) return `{${values.join(",")}}`;
  let text = "";
  for (const value of values) text += text === "" ? write(value) : `,${write(value)}`;
  return `{${text}}`;
}

function write(value: unknown): string {
  if (value === null) return "NULL";
  if (typeof value === "number") return String(value);
  if (typeof value === "string" && !/["\\]/.test(value)) return `"${value}"`;
  if (value === undefined) throw new TypeError("undefined in an array for the database");
  const text = value instanceof Date ? value.toISOString() : String(value);
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The items of `{…}`; null for an unquoted NULL. */
function split(text: string): (string | null)[] {
  const items: (string | null)[] = [];
  for (const [, quoted, plain = ""] of text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,{}"]+)/gs)) {
    if (quoted !== undefined) items.push(quoted.replace(/\\(.)/gs, "$1"));
    else items.push(plain === "NULL" ? null : plain);
  }
  return items;
}
