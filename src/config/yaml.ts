/**
 * YAML as text to plain values, and the only importer of yaml. A document knows the line each of its values stands on, so that whoever
 * checks the values can say where the wrong one is. Nothing here throws for what stands in a file: what is wrong comes back as
 * sentences, each with its file and line.
 */
import { LineCounter, isMap, isNode, isScalar, parse, parseDocument } from "yaml";

/** Names and array indexes from the root. */
export type YamlPath = readonly (string | number)[];

export interface YamlDocument {
  /** What a bare `name:` stands before is left out; undefined for an empty document. */
  readonly values: unknown;
  /** `<file>:<line>` of a path, or of what is nearest above it; the file's name alone when nothing of it is there. */
  where(path: YamlPath): string;
}

/** The document in `text`, or everything that is wrong with it. `file` is only what problems and places call it. */
export function readYaml(text: string, file: string): YamlDocument | { readonly problems: readonly string[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    return { problems: document.errors.map((error) => `${file}:${error.linePos?.[0].line ?? 1}: ${error.message}`) };
  }
  let values: unknown;
  try {
    // maxAliasCount: a file of a few lines could otherwise unfold into gigabytes.
    values = withoutEmpty(document.toJS({ maxAliasCount: 100 }));
  } catch (error) {
    return { problems: [`${file}:1: ${(error as Error).message}`] };
  }
  const offsetOf = (path: YamlPath): number | undefined => {
    const parent = path.length < 2 ? document.contents : document.getIn(path.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)));
      if (isNode(pair?.key)) return pair.key.range?.[0];
    }
    const node = document.getIn(path, true);
    return isNode(node) ? node.range?.[0] : undefined;
  };
  return {
    values,
    where(path) {
      for (let length = path.length; length > 0; length--) {
        const offset = offsetOf(path.slice(0, length));
        if (offset !== undefined) return `${file}:${lines.linePos(offset).line}`;
      }
      return file;
    },
  };
}

/** One value, as in an environment variable. Throws what yaml throws, its message fit for people. */
export function parseYamlValue(text: string): unknown {
  return parse(text);
}

/** Takes out what stands in the file as a bare `name:`: a group whose settings are all commented out. */
function withoutEmpty(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object") return value;
  const kept = Object.entries(value).map(([name, child]): [string, unknown] => [name, withoutEmpty(child)]);
  return Object.fromEntries(kept.filter(([, child]) => child !== undefined));
}
