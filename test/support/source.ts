/** The source text of the project, for the house test: files, their imports, and what is text and what is comment. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
  /** Paths from the root of imported files of ours. */
  readonly files: readonly string[];
  /** Names of imported packages, without subpaths; Node's own left out. */
  readonly packages: readonly string[];
}

/** All `.ts` files below a folder, sorted. */
export function sources(folder: string): SourceFile[] {
  return walk(join(ROOT, folder))
    .filter((path) => path.endsWith(".ts"))
    .map(read)
    .toSorted((a, b) => a.path.localeCompare(b.path));
}

/** All files below a folder of the file system. */
export function walk(folder: string): string[] {
  if (!statSync(folder, { throwIfNoEntry: false })) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name === "node_modules" || entry.name === "var") return [];
    return entry.isDirectory() ? walk(path) : [path];
  });
}

function read(path: string): SourceFile {
  const text = readFileSync(path, "utf8");
  const targets = importsOf(text);
  const ours = targets
    .filter((target) => target.startsWith("."))
    .map((target) => relative(ROOT, resolve(dirname(path), target)));
  const packages = targets
    .filter((target) => !target.startsWith(".") && !target.startsWith("node:"))
    .map((target) =>
      target
        .split("/")
        .slice(0, target.startsWith("@") ? 2 : 1)
        .join("/"),
    );
  return { path: relative(ROOT, path), text, files: [...new Set(ours)], packages: [...new Set(packages)] };
}

/** What a text imports: `import … from`, `export … from`, bare `import`, `import(…)` with a literal. */
export function importsOf(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/^(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']/gm))
    found.push(match[1] ?? "");
  for (const match of text.matchAll(/^import\s*["']([^"']+)["']/gm)) found.push(match[1] ?? "");
  for (const match of text.matchAll(/\bimport\(\s*["']([^"']+)["']/g)) found.push(match[1] ?? "");
  return found;
}

/** The text without comments and without the content of strings in double quotes: what is left is code. */
export function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|[^:"'`\\])\/\/.*$/gm, "$1")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}
