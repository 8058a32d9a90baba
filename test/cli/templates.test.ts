import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { templatesPage } from "../../src/cli/templates.ts";

test("ops/templates.md is what the helpers say of themselves (postilion templates > ops/templates.md)", () => {
  expect(readFileSync(new URL("../../ops/templates.md", import.meta.url), "utf8")).toBe(templatesPage());
});
