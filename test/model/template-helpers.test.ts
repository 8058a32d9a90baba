import { describe, expect, test } from "vitest";
import { compileTemplate } from "../../src/model/template.ts";
import { HELPERS, helperOf } from "../../src/model/template-helpers.ts";

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6);

function render(source: string, variables: unknown = {}): string {
  return compileTemplate(source, "text").render(variables, NOW);
}

test.each<[string, unknown, string]>([
  ["{{upper x}}", { x: "straße" }, "STRASSE"],
  ["{{upper x locale='tr'}}", { x: "iI" }, "İI"],
  ["{{lower x}}", { x: "ÄB" }, "äb"],
  ["{{capitalize x}}", { x: "éa b" }, "Éa b"],
  ["[{{capitalize x}}]", {}, "[]"],
  ["[{{trim x}}]", { x: "  a \t" }, "[a]"],
  ["{{truncate x 3}}", { x: "abcdef" }, "abc…"],
  ["{{truncate x 3 '...'}} {{truncate x '9'}}", { x: "a😀cd" }, "a😀c... a😀cd"],
  [
    "{{default x 'friend'}} {{default y 'friend'}} {{default z 'friend'}} {{default n 1}}",
    { x: "", y: null, n: 0 },
    "friend friend friend 0",
  ],
  ["{{upper (default x 'friend')}}", {}, "FRIEND"],
  ["{{number x}} {{number x decimals=2}}", { x: 1234.5 }, "1,234.5 1,234.50"],
  ["{{number x decimals=2 locale='de'}} [{{number y}}]", { x: "1234.5" }, "1.234,50 []"],
  ["{{currency x 'USD'}} {{currency x 'JPY'}}", { x: 1234.5 }, "$1,234.50 ¥1,235"],
  ["{{currency x 'EUR' locale='de'}}", { x: "9.5" }, "9,50\u00a0€"],
  [
    "{{plural n 'item' 'items'}} {{plural m 'item' 'items'}} {{plural z 'item' 'items'}}",
    { n: 1, m: "2" },
    "item items items",
  ],
  ["{{plural n one='plik' few='pliki' many='plików' other='pliku' locale='pl'}}", { n: 5 }, "plików"],
  ["{{urlEncode x}}", { x: "a b&c=é/?\ud800" }, "a%20b%26c%3D%C3%A9%2F%3F%EF%BF%BD"],
  ["{{json x}} [{{json y}}]", { x: { a: [1, "b"] } }, '{"a":[1,"b"]} []'],
  ["{{join x}} {{join x ' / '}} {{join y}}", { x: ["a", 1, null], y: "z" }, "a, 1,  a / 1 /  z"],
  ["{{add x 1}} {{add x '2.5'}}", { x: "1" }, "2 3.5"],
  ["{{eq x 5}}{{eq x '5'}}{{eq x 6}}{{eq y z}}{{ne x 5}}", { x: 5, y: null }, "truetruefalsetruefalse"],
  ["{{gt x 9}}{{gte x 10}}{{lt x 9}}{{lte x 10}}", { x: "10" }, "truetruefalsetrue"],
  ["{{gt missing 1}}{{lt missing 1}}{{gt 'b' 'a'}}", {}, "falsefalsetrue"],
  ["[{{and 1 2}}|{{and 1 0}}|{{and 1 x}}|{{or 0 x 'a'}}|{{or x ''}}|{{not x}}]", {}, "[2|0||a||true]"],
  ["{{#if (and (gt n 1) (not x))}}many{{/if}}{{#eq n 2}}two{{else}}other{{/eq}}", { n: 2 }, "manytwo"],
])("%s", (source, variables, expected) => {
  expect(render(source, variables)).toBe(expected);
});

describe("date", () => {
  test.each([
    ["yyyy-MM-dd HH:mm:ss", {}, "2026-02-03 04:05:06"],
    ["YYYY/M/D h:mm a", {}, "2026/2/3 4:05 AM"],
    ["EEEE d MMMM yy", {}, "Tuesday 3 February 26"],
    ["d. MMMM yyyy", { locale: "de" }, "3. Februar 2026"],
    ["EEE dd MMM", { locale: "fr" }, "mar. 03 févr."],
    ["'at' HH 'o''clock'", { timezone: "Asia/Tokyo" }, "at 13 o'clock"],
    ["yyyy-MM-dd", { timezone: "America/Los_Angeles" }, "2026-02-02"],
    ["medium", { locale: "en" }, "Feb 3, 2026"],
  ])("%s %j", (pattern, options, expected) => {
    expect(helperOf("date")([NOW, pattern], options)).toBe(expected);
    expect(helperOf("date")([new Date(NOW).toISOString(), pattern], options)).toBe(expected);
    expect(helperOf("date")([String(NOW), pattern], options)).toBe(expected);
  });

  test("@now is the moment of rendering; a missing date prints nothing", () => {
    expect(render("{{date @now 'yyyy'}}[{{date x 'yyyy'}}]")).toBe("2026[]");
  });
});

test.each<[string, unknown, string]>([
  ["\n{{date x 'yyyy'}}", { x: "tomorrow" }, 'date: "tomorrow" is not a date'],
  ["{{date x 'yyyy' timezone=z}}", { x: NOW, z: "Mars/Olympus" }, "date: "],
  ["{{number x}}", { x: "12 €" }, 'number: "12 €" is not a number'],
  ["{{number x decimals=500}}", { x: 1 }, "number: "],
  ["{{currency x 'NOPE'}}", { x: 1 }, "currency: "],
  ["{{add x 1}}", {}, "add: "],
  ["{{number x locale=l}}", { x: 1, l: "not a locale" }, "number: "],
])("%j fails with the reason", (source, variables, message) => {
  expect(() => render(source, variables)).toThrow(message);
});

test("the place of a failing helper is known", () => {
  expect(() => render("\n {{number x}}", { x: "?" })).toThrow(expect.objectContaining({ line: 2, column: 2 }) as Error);
});

test("every helper is documented", () => {
  for (const shape of HELPERS.values()) {
    expect(shape.usage.startsWith(shape.name)).toBe(true);
    expect(shape.doc.length).toBeGreaterThan(0);
  }
});
