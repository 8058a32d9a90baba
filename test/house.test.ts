/**
 * The rules of the house, held against the source text (design: layers, one importer a package, sizes, what nobody writes). A rule that
 * is in the way is changed here, with its reason; it is not got round.
 */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { FAULTS } from "../src/base/faults.ts";
import { ROOT, type SourceFile, code, importsOf, sources, walk } from "./support/source.ts";

const src = sources("src");
const trees = { src, test: sources("test"), demo: sources("demo"), bench: sources("bench") };
const everything = Object.values(trees).flat();

/** From the top down: a file imports from its own folder and from rows below. */
const ROWS: readonly (readonly string[])[] = [
  ["main.ts", "modules.ts", "service.ts", "cli"],
  ["mta", "stat", "inmail", "redirector", "web", "workflow", "sms", "syslogd", "watchdog"],
  ["render"],
  ["smtp", "config", "db", "http", "quota"],
  ["model"],
  ["base"],
];

/** Packages that several files of one tree may import, and why. */
const SHARED: Readonly<Record<string, string>> = {
  zod: "schemas stand beside what they check: the settings, and each request of the API",
  vitest: "every test is written in it",
};

/** The unit of a layer: a folder of src, or a file that lies in src itself. */
function unit(path: string): string {
  return path.split("/")[1] ?? "";
}

function row(path: string): number {
  return ROWS.findIndex((units) => units.includes(unit(path)));
}

/** Every violation in one message, so that one run shows all of them. */
function none(violations: readonly string[], rule: string): void {
  expect(violations, `${rule}\n  ${violations.join("\n  ")}\n`).toEqual([]);
}

function inFiles(
  files: readonly SourceFile[],
  pattern: RegExp,
  rule: string,
  allowed: (path: string) => boolean = () => false,
): void {
  const found = files
    .filter((file) => !allowed(file.path))
    .flatMap(({ path, text }) =>
      [...code(text).matchAll(pattern)].map((match) => `${path}: ${match[0].trim().slice(0, 80)}`),
    );
  none(found, rule);
}

describe("layers", () => {
  test("there is a source tree to look at", () => {
    expect(src.length).toBeGreaterThan(30);
    expect(src.find((file) => file.path === "src/main.ts")?.packages).toEqual(["commander"]);
    expect(
      importsOf(
        'import a from "x";\nimport {\n  b,\n} from "./b.ts";\nexport * from "y/z";\nimport("w");\nimport "v";',
      ),
    ).toEqual(["x", "./b.ts", "y/z", "v", "w"]);
  });

  test("every folder of src has a row", () => {
    none(
      src.filter(({ path }) => row(path) < 0).map(({ path }) => path),
      "A new folder gets a place in ROWS of test/house.test.ts:",
    );
  });

  test("imports point down; siblings of a row do not import each other", () => {
    const wrong = src.flatMap(({ path, files }) =>
      files
        .filter((target) => target.startsWith("src/") && unit(target) !== unit(path))
        .filter((target) => (row(path) === 0 ? row(target) < 0 : row(target) <= row(path)))
        .map((target) => `${path} imports ${target}`),
    );
    none(
      wrong,
      `A file imports from its own folder and from rows below (${ROWS.map((units) => units.join(" ")).join(" → ")}):`,
    );
  });

  test("nothing of src reaches into test, demo or bench; nobody imports main", () => {
    const wrong = everything.flatMap(({ path, files }) =>
      files
        .filter(
          (target) => target === "src/main.ts" || (path.startsWith("src/") && /^(test|demo|bench)\//.test(target)),
        )
        .map((target) => `${path} imports ${target}`),
    );
    none(wrong, "Not to be imported:");
  });

  test("a module's start.ts is its one composition root", () => {
    const roots = /^src\/\w+\/start\.ts$/;
    const importing = src.flatMap(({ path, files }) =>
      files.filter((target) => roots.test(target) && row(path) !== 0).map((target) => `${path} imports ${target}`),
    );
    none(importing, "Only the process table and the command line start a module:");
    const outside = src
      .filter(({ path }) => row(path) === 1 && !roots.test(path))
      .flatMap(({ path, text }) =>
        (code(text).match(/\b(systemClock|openSql\(|process\.env|openLog\()/g) ?? []).map((word) => `${path}: ${word}`),
      );
    none(outside, "Clock, database, environment and log are handed in by start.ts:");
  });

  test("no cycles", () => {
    const cycles: string[] = [];
    const files = new Map(everything.map((file) => [file.path, file]));
    const done = new Set<string>();
    const visit = (path: string, above: readonly string[]): void => {
      if (above.includes(path)) return void cycles.push([...above.slice(above.indexOf(path)), path].join(" → "));
      if (done.has(path)) return;
      for (const target of files.get(path)?.files ?? []) visit(target, [...above, path]);
      done.add(path);
    };
    for (const path of files.keys()) visit(path, []);
    none(cycles, "Imports go round in a circle:");
  });
});

test("a package is imported by one file", () => {
  for (const [tree, files] of Object.entries(trees)) {
    const importers = Map.groupBy(
      files.flatMap(({ path, packages }) => packages.map((name) => ({ name, path }))),
      ({ name }) => name,
    );
    const wrong = [...importers]
      .filter(([name, list]) => list.length > 1 && !Object.hasOwn(SHARED, name))
      .map(([name, list]) => `${name}: ${list.map(({ path }) => path).join(", ")}`);
    none(wrong, `In ${tree}, give what the others need to the file that imports it:`);
  }
});

describe("files", () => {
  test("are at most 400 lines long", () => {
    const long = everything
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > 400);
    none(
      long.map(({ path, lines }) => `${path}: ${lines}`),
      "Split what has grown:",
    );
  });

  test("open with what they are", () => {
    none(
      everything
        .filter(({ path, text }) => !path.endsWith(".test.ts") && !/^(#!.*\n)?\/\*\*/.test(text))
        .map(({ path }) => path),
      "Begin with a comment /** … */:",
    );
  });

  test("are named for what is in them", () => {
    const vague = everything.filter(({ path }) =>
      /^(index|utils?|helpers?|common|misc|.*manager)\.ts$/.test(basename(path)),
    );
    const case_ = everything.filter(({ path }) => !/^[a-z0-9-]+(\.[a-z]+)*\.ts$/.test(basename(path)));
    none(
      [...vague, ...case_].map(({ path }) => path),
      "Lower-case nouns; no util, helper, common, manager, index:",
    );
  });

  test("tests mirror the source", () => {
    const known = new Set(
      ["support", "appliance", "browser", "interop", "demo", "bench"].map((name) => `test/${name}`).concat("test"),
    );
    const folders = new Set(src.map(({ path }) => dirname(path).replace(/^src/, "test")));
    const wrong = trees.test.filter(({ path }) => {
      const folder = dirname(path);
      return (
        !folders.has(folder) &&
        ![...known].some((one) => folder === one || (one !== "test" && folder.startsWith(`${one}/`)))
      );
    });
    none(
      wrong.map(({ path }) => path),
      "A test lies where its source lies:",
    );
  });
});

describe("what nobody writes", () => {
  test("default exports, but for what Piscina loads", () => {
    inFiles(everything, /^export default\b.*/gm, "Named exports only:", (path) => path.endsWith(".worker.ts"));
  });
  test("what test files share does nothing when it is imported: files take turns in one process", () => {
    inFiles(
      trees.test,
      /^(beforeAll|afterAll|beforeEach|afterEach|await |(export )?(const|let) [^=;]*=\s*(await|mkdtempSync)\b).*/gm,
      "Export a function that is called once in each file:",
      (path) => /\.test\.ts$|-program\.ts$/.test(path),
    );
  });
  test("mocks of modules", () => {
    inFiles(everything, /\b(vi|vitest)\s*\.\s*(mock|doMock|hoisted)\b/g, "Hand in what a test wants to replace:");
  });
  test("SQL outside of src/db", () => {
    const sql = /\b(sql|tx|db)(<[^`;]*>)?`|\.unsafe\(/g;
    inFiles(src, sql, "SQL lives in src/db:", (path) => path.startsWith("src/db/"));
  });
  test("any, empty catch blocks", () => {
    inFiles(
      everything,
      /\bas any\b|: any\b|<any>|\bcatch\s*(\([^)]*\))?\s*\{\s*\}/g,
      "Say what it is; handle it or say why not:",
      (path) => path === "test/house.test.ts",
    );
  });
  test("notes to oneself", () => {
    const found = everything.filter(
      ({ path, text }) => path !== "test/house.test.ts" && /\b(TODO|FIXME|XXX|HACK)\b/.test(text),
    );
    none(
      found.map(({ path }) => path),
      "Do it or drop it:",
    );
  });
});

describe("lists that stay true", () => {
  const page = (path: string): string => readFileSync(join(ROOT, path), "utf8");

  test("every RFC named in src is in ops/rfcs.md, once", () => {
    const listed = [...page("ops/rfcs.md").matchAll(/^\| (RFC \d+) \|/gm)].map((match) => match[1] ?? "");
    expect(new Set(listed).size).toBe(listed.length);
    const texts = [
      ...src,
      ...walk(join(ROOT, "src/db/migrations")).map((path) => ({ path, text: readFileSync(path, "utf8") })),
    ];
    const missing = texts.flatMap(({ path, text }) =>
      [...text.matchAll(/\bRFC\s?(\d{3,5})\b/g)]
        .filter((match) => !listed.includes(`RFC ${match[1]}`))
        .map((match) => `${path}: ${match[0]}`),
    );
    none(missing, "Add to ops/rfcs.md:");
  });

  test("every fault is in ops/faults.md with its sentence, and no other", () => {
    const rows = [...page("ops/faults.md").matchAll(/^\| `(\w+)` \| (.*?) \| (.+?) \|$/gm)].map(([, name, text]) => [
      name,
      text,
    ]);
    expect(Object.fromEntries(rows)).toEqual(FAULTS);
    expect(rows).toHaveLength(Object.keys(FAULTS).length);
  });

  test("every fault is thrown somewhere", () => {
    const thrown = src
      .filter(({ path }) => path !== "src/base/faults.ts")
      .map(({ text }) => text)
      .join("\n");
    none(
      Object.keys(FAULTS).filter((name) => !thrown.includes(`"${name}"`)),
      "Nobody throws these:",
    );
  });
});
