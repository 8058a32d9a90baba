/**
 * A block of header lines (RFC 5322 §2.2) as it comes: hostile, folded anywhere, with names nobody knows. Nothing is refused: what is no header is
 * left out, and what is too much is cut.
 */

export interface Headers {
  /** The first of this name (small letters), unfolded; '' for none. */
  get(name: string): string;
  all(name: string): readonly string[];
  has(name: string): boolean;
  readonly count: number;
}

/** Headers that are read of one block; a mail of a person has thirty, one that went through ten gateways three hundred. */
const HEADERS_MOST = 1000;
/** Characters of one value. */
const VALUE_MOST = 16_384;

const NAME = /^([!-9;-~]{1,76})[ \t]*:(.*)$/;

/** @param block lines that end in \n, without the empty one. */
export function readHeaders(block: string): Headers {
  const values = new Map<string, string[]>();
  let last: string[] | null = null;
  let count = 0;
  let from = 0;
  while (from < block.length && count <= HEADERS_MOST) {
    let end = block.indexOf("\n", from);
    if (end < 0) end = block.length;
    const line = block.slice(from, Math.min(end, from + VALUE_MOST));
    from = end + 1;
    if (line.startsWith(" ") || line.startsWith("\t")) {
      // RFC 5322 §2.2.3: what begins with a blank belongs to the line before.
      const value = last?.at(-1);
      if (last !== null && value !== undefined && value.length < VALUE_MOST) last[last.length - 1] = value + line;
      continue;
    }
    const match = NAME.exec(line);
    last = null;
    if (match === null) continue;
    const name = (match[1] ?? "").toLowerCase();
    last = values.get(name) ?? [];
    last.push((match[2] ?? "").trimStart());
    values.set(name, last);
    count++;
  }
  for (const list of values.values()) list.forEach((value, i) => (list[i] = value.trim()));
  return {
    get: (name) => values.get(name)?.[0] ?? "",
    all: (name) => values.get(name) ?? [],
    has: (name) => values.has(name),
    count,
  };
}

/** `multipart/report; report-type=x; boundary="y"` taken apart; names and the value itself in small letters. */
export interface Parameters {
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const PARAMETER = /;\s*([^\s=;"]{1,60})\s*=\s*(?:"((?:[^"\\]|\\.){0,1000})"?|([^\s;]{0,1000}))/g;

export function readParameters(text: string): Parameters {
  const plain = text.slice(0, 4000);
  const parameters = new Map<string, string>();
  for (const [, name = "", quoted, bare] of plain.matchAll(PARAMETER)) {
    const key = name.toLowerCase().replace(/\*(0\*?)?$/, "");
    if (!parameters.has(key)) parameters.set(key, (quoted ?? bare ?? "").replace(/\\(.)/g, "$1"));
  }
  const value = /^[^;]*/.exec(plain)?.[0] ?? "";
  return {
    value: value
      .replace(/\([^)]*\)/g, "")
      .trim()
      .toLowerCase(),
    parameters,
  };
}

/** Mail addresses in a header, in order, as they are written; display names and comments are left out. At most `most`. */
export function addressesIn(value: string, most: number = 50): string[] {
  const found: string[] = [];
  for (const [address] of value.slice(0, 20_000).matchAll(/[^\s<>()[\]"',;:@]{1,250}@[^\s<>()[\]"',;:@]{1,253}/g)) {
    if (found.length >= most) break;
    if (!found.includes(address)) found.push(address);
  }
  return found;
}
