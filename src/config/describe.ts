/**
 * What there is to set, read from the schema: the example file, the README's table, `postilion config show`, and which names exist at a
 * path (for "did you mean"). All of them come from `settings.ts`, so none can disagree with it.
 */
import { type Settings, settingsJsonSchema } from "./settings.ts";

/** A setting or a group of settings; the part of JSON Schema that our schema uses. */
export interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly secret?: boolean;
}

let root: Node | undefined;

/** The node at a path, undefined when there is none; array indexes lead to the items. */
export function nodeAt(path: readonly (string | number)[]): Node | undefined {
  root ??= settingsJsonSchema() as Node;
  let node: Node | undefined = root;
  for (const step of path) {
    node = typeof step === "number" ? node?.items : ownProperty(node?.properties, step);
  }
  return node;
}

function ownProperty(of: Node["properties"], name: string): Node | undefined {
  return of !== undefined && Object.hasOwn(of, name) ? of[name] : undefined;
}

/** The names that exist below a path. */
export function namesAt(path: readonly (string | number)[]): string[] {
  return Object.keys(nodeAt(path)?.properties ?? {});
}

/** The example file: every setting with its sentence, set to its default, commented out. Loading it as it is gives the defaults. */
export function exampleYaml(): string {
  const lines = [
    "# Every setting of Postilion with its default. Made by 'postilion config example'; take the # away to change one.",
    "# Any of them can be given in the environment instead: POSTILION_WEB__PORT=9000 is web.port.",
    "",
  ];
  exampleOf(nodeAt([]) ?? {}, 0, lines);
  return `${lines.join("\n").trimEnd()}\n`;
}

function exampleOf(node: Node, depth: number, lines: string[]): void {
  const indent = "  ".repeat(depth);
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    if (child.properties !== undefined) {
      lines.push(`${indent}${name}:`);
      exampleOf(child, depth + 1, lines);
      if (depth === 0) lines.push("");
      continue;
    }
    lines.push(`${indent}# ${sentence(child)}`);
    const items = child.items?.properties;
    if (items === undefined) {
      lines.push(`${indent}# ${name}: ${flow(child.default ?? "")}`);
    } else {
      lines.push(`${indent}# ${name}:`);
      entryOf(items, `${indent}#   `, lines);
    }
    if (depth === 0) lines.push("");
  }
}

/** One entry of a list of groups, such as an MX rule. */
function entryOf(items: Readonly<Record<string, Node>>, indent: string, lines: string[]): void {
  let dash = "- ";
  for (const [name, item] of Object.entries(items)) {
    const inner = item.items?.properties;
    if (inner === undefined) {
      lines.push(`${indent}${dash}${name}: ${flow(item.default ?? "")}   # ${sentence(item)}`);
    } else {
      lines.push(`${indent}${dash}${name}:`);
      entryOf(inner, `${indent}    `, lines);
    }
    dash = "  ";
  }
}

function sentence(node: Node): string {
  const choices = node.enum === undefined ? "" : ` (${node.enum.join(", ")})`;
  return `${node.description ?? ""}${choices}`;
}

/** A table in Markdown: setting, default, what it is. */
export function settingsTable(): string {
  const lines = ["| setting | default | |", "|---|---|---|"];
  const walk = (node: Node, prefix: string): void => {
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      if (child.properties !== undefined) {
        walk(child, `${prefix}${name}.`);
        continue;
      }
      const cells = [`\`${prefix}${name}\``, `\`${flow(child.default ?? "")}\``, sentence(child)];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
      if (child.items?.properties !== undefined) walk(child.items, `${prefix}${name}[].`);
    }
  };
  walk(nodeAt([]) ?? {}, "");
  return `${lines.join("\n")}\n`;
}

/** The settings in force as YAML, every secret masked. */
export function showSettings(settings: Settings): string {
  const lines: string[] = [];
  const walk = (value: object, path: readonly string[]): void => {
    for (const [name, child] of Object.entries(value)) {
      const at = [...path, name];
      const indent = "  ".repeat(path.length);
      if (child !== null && typeof child === "object" && !Array.isArray(child)) {
        lines.push(`${indent}${name}:`);
        walk(child as object, at);
      } else {
        lines.push(`${indent}${name}: ${flow(masked(child, at))}`);
      }
    }
  };
  walk(settings, []);
  return `${lines.join("\n")}\n`;
}

function masked(value: unknown, path: readonly string[]): unknown {
  if (nodeAt(path)?.secret === true) return value === "" ? "" : "********";
  // The password of a database URL.
  return typeof value === "string" ? value.replace(/(:\/\/[^:/@\s]*:).*@/, "$1********@") : value;
}

/** A value on one line: YAML's flow style, plain where YAML would read a plain word as that very word. */
function flow(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  const plain = /^[A-Za-z./][\w./:-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value);
  return plain && !value.endsWith(":") ? value : JSON.stringify(value);
}
