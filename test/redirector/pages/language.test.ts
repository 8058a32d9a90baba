import { expect, test } from "vitest";
import { languageOf } from "../../../src/redirector/pages/language.ts";

test.each([
  [undefined, "en"],
  ["", "en"],
  ["*", "en"],
  ["ja", "en"],
  ["de", "de"],
  ["DE-at", "de"],
  ["ja, fr;q=0.5", "fr"],
  ["en;q=0.5, de;q=0.8, fr;q=0.7", "de"],
  ["fr, de", "fr"],
  ["de;q=0, fr;q=0.1", "fr"],
  ["de;q=nonsense", "en"],
  ["de;q=7, fr;q=0.2", "fr"],
  ["den", "en"],
  [`${"x,".repeat(10_000)}de`, "en"],
])("%j reads %s", (header, expected) => {
  expect(languageOf(header, ["en", "de", "fr"])).toBe(expected);
});
