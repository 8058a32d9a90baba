/** What is shown of the settings: the example file matches the schema, and no secret is ever shown. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exampleYaml, namesAt, nodeAt, settingsTable, showSettings } from "../../src/config/describe.ts";
import { loadSettings } from "../../src/config/load.ts";
import { parseSettings } from "../../src/config/settings.ts";

function load(text: string) {
  const folder = mkdtempSync(join(tmpdir(), "postilion-example-"));
  try {
    writeFileSync(join(folder, "x.yaml"), text);
    return loadSettings(join(folder, "x.yaml"), {});
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("ops/postilion.example.yaml is what 'postilion config example' prints", () => {
  const file = readFileSync(join(import.meta.dirname, "../../ops/postilion.example.yaml"), "utf8");
  expect(file, "run: ops/postilion config example > ops/postilion.example.yaml").toBe(exampleYaml());
});

test("the example gives the defaults: as it is, and with its settings uncommented", () => {
  const defaults = load("");
  expect(load(exampleYaml())).toEqual(defaults);
  const names = new Set<string>();
  const collect = (path: string[]): void => {
    for (const name of namesAt(path)) {
      names.add(name);
      collect([...path, name]);
    }
  };
  collect([]);
  let uncommented = 0;
  const all = exampleYaml().replaceAll(/^( *)# (\w+): (?=\S)/gm, (line, indent: string, name: string) => {
    if (!names.has(name)) return line;
    uncommented++;
    return `${indent}${name}: `;
  });
  expect(uncommented).toBeGreaterThan(40);
  expect(load(all)).toEqual(defaults);
});

test("every setting has a sentence and stands in the table", () => {
  const table = settingsTable();
  const walk = (path: string[]): void => {
    for (const name of namesAt(path)) {
      const at = [...path, name];
      if (namesAt(at).length > 0) {
        walk(at);
        continue;
      }
      expect(nodeAt(at)?.description, at.join(".")).toMatch(/\w{2}/);
      expect(table).toContain(`| \`${at.join(".")}\` |`);
    }
  };
  walk([]);
});

test("secrets are masked: the relay's password, the one in the database's URL", () => {
  const shown = showSettings(
    parseSettings({
      database: { url: "postgres://app:s3cr3t@db:5432/mail" },
      mta: { relay: { host: "smart.example", password: "hunter2" } },
    }),
  );
  expect(shown).not.toMatch(/s3cr3t|hunter2/);
  expect(shown).toContain('url: "postgres://app:********@db:5432/mail"');
  expect(load(shown.replaceAll("********", "x")).mta.relay.host).toBe("smart.example");
});
