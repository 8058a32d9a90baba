import { describe, expect, test } from "vitest";
import { compileMask, compileMasks, maskCovers, maskProblem } from "../../src/model/mask.ts";
import { draws } from "../support/draws.ts";

describe("matching", () => {
  test.each([
    ["*", "", true],
    ["*", "mx.example.com", true],
    ["*.google.com", "aspmx.l.google.com", true],
    ["*.google.com", "ASPMX.L.Google.COM", true],
    ["*.GOOGLE.com", "aspmx.l.google.com", true],
    ["*.google.com", "google.com", false],
    ["*.google.com", "aspmx.l.google.com.evil.example", false],
    ["*.google.com", "notgoogle.com", false],
    ["smtp-in.orange.fr", "smtp-in.orange.fr", true],
    ["smtp-in.orange.fr", "xsmtp-in.orange.fr", false],
    ["mx?.free.fr", "mx1.free.fr", true],
    ["mx?.free.fr", "mx.free.fr", false],
    ["mx?.free.fr", "mx12.free.fr", false],
    ["mx*.free.fr", "mx.free.fr", true],
    ["yahoo.*", "yahoo.co.uk", true],
    ["yahoo.*", "yahoo", false],
    ["?", "", false],
    ["?", "a", true],
    ["??*", "a", false],
    ["*?*?*", "ab", true],
    ["*a*b*c", "xaybzc", true],
    ["*a*b*c", "xbyazc", false],
    ["*.mail.*.example", "a.mail.b.mail.c.example", true],
    // A dot is a dot, and nothing of a regular expression means anything.
    ["a.b", "axb", false],
    ["a+", "aa", false],
    ["[ab]", "a", false],
    ["^a$", "a", false],
    // In a text a star is a character like others: replies hold them.
    ["4?1 *", "4*1 ***", true],
    ["?", "*", true],
    ["\\d", "5", false],
  ])("%s on %s: %s", (mask, name, expected) => {
    expect(compileMask(mask)(name)).toBe(expected);
  });

  test("one of several, none of none", () => {
    const any = compileMasks(["*.gmx.net", "*.web.de"]);
    expect([any("mx00.gmx.net"), any("mx-ha02.web.de"), any("mx.example")]).toEqual([true, true, false]);
    expect(compileMasks([])("anything")).toBe(false);
  });

  test("says what a slow and simple matcher says, on ten thousand random masks and names", () => {
    const slow = (mask: string, name: string): boolean => {
      if (mask === "") return name === "";
      if (mask[0] === "*") return slow(mask.slice(1), name) || (name !== "" && slow(mask, name.slice(1)));
      return name !== "" && (mask[0] === "?" || mask[0] === name[0]) && slow(mask.slice(1), name.slice(1));
    };
    const draw = draws(7);
    const word = (letters: string, most: number): string =>
      Array.from({ length: draw(most + 1) }, () => letters[draw(letters.length)]).join("");
    for (let i = 0; i < 10_000; i++) {
      const mask = word("ab.*?", 7);
      const name = word("ab.", 8);
      expect(compileMask(mask)(name), `${mask} on ${name}`).toBe(slow(mask, name));
    }
  });

  test("a mask and a name made to be slow cost the product of their lengths", () => {
    const mask = compileMask(`${"*a".repeat(120)}*b`);
    // Backtracking over every star would take longer than the universe has.
    expect(mask("a".repeat(10_000))).toBe(false);
    expect(mask(`${"a".repeat(10_000)}b`)).toBe(true);
  });
});

describe("covering", () => {
  test.each([
    ["*", "*.google.com", true],
    ["*.google.com", "*", false],
    ["*.google.com", "*.l.google.com", true],
    ["*.google.com", "aspmx.l.google.com", true],
    ["*.l.google.com", "*.google.com", false],
    ["mx?.free.fr", "mx1.free.fr", true],
    ["mx?.free.fr", "mx*.free.fr", false],
    ["mx*.free.fr", "mx?.free.fr", true],
    ["?*", "*?", true],
    ["?*", "*", false],
    ["?", "*", false],
    ["*?", "??", true],
    ["*.com", "*.COM", true],
    ["*a*", "*b*", false],
  ])("%s covers %s: %s", (wide, narrow, expected) => {
    expect(maskCovers(wide, narrow)).toBe(expected);
  });

  test("what is covered matches nowhere else, on random masks and names", () => {
    const draw = draws(11);
    const word = (letters: string, most: number): string =>
      Array.from({ length: draw(most + 1) }, () => letters[draw(letters.length)]).join("");
    let covered = 0;
    for (let i = 0; i < 20_000; i++) {
      const [wide, narrow, name] = [word("ab*?", 5), word("ab*?", 5), word("ab", 5)];
      if (!maskCovers(wide, narrow)) continue;
      covered++;
      if (compileMask(narrow)(name)) expect(compileMask(wide)(name), `${wide} over ${narrow}: ${name}`).toBe(true);
    }
    expect(covered).toBeGreaterThan(1000);
  });
});

test.each([
  ["*.google.com", ""],
  ["mx0?.t-online.de", ""],
  ["192.0.2.*", ""],
  ["2001:db8:*", ""],
  ["", "empty"],
  [" *.google.com", "blank"],
  ["*.google.com.", "dot"],
  ["*.gmx.net, *.web.de", "which is in no name"],
  ["*.bücher.example", "xn--"],
  ["user@gmail.com", '"@"'],
  ["a".repeat(256), "longer"],
])("%.30s is a mask, or why not: %s", (mask, problem) => {
  if (problem === "") expect(maskProblem(mask)).toBe("");
  else expect(maskProblem(mask)).toContain(problem);
});
