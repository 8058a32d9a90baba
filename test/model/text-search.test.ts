/** Many patterns in one pass, held against searching for each of them alone; hostile texts and patterns first. */
import { describe, expect, test } from "vitest";
import { PATTERNS_MOST, compileTextSearch, piecesOf } from "../../src/model/text-search.ts";

function found(patterns: readonly string[], text: string): string[] {
  const hits = compileTextSearch(patterns)(text);
  return patterns.filter((_, i) => hits.has(i));
}

/** What a pattern means, said without an automaton. */
function isIn(pattern: string, text: string): boolean {
  let from = 0;
  for (const piece of piecesOf(pattern)) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

/** Numbers that are the same in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
}

describe("hostile", () => {
  test("a million characters that all but match cost their length", () => {
    const patterns = [`${"a".repeat(200)}b`, "a*a*a*a*a*a*a*a*a*a*b", "aa", "aaa", "aaaa"];
    expect(found(patterns, "a".repeat(1_000_000))).toEqual(["aa", "aaa", "aaaa"]);
    expect(found(patterns, `${"a".repeat(1000)}b`)).toEqual(patterns);
  });

  test("patterns beyond all measure are refused", () => {
    expect(() => compileTextSearch(["x".repeat(PATTERNS_MOST + 1)])).toThrow(RangeError);
  });

  test("no patterns, empty patterns, empty texts", () => {
    expect(found([], "abc")).toEqual([]);
    expect(found(["", "*", "**"], "")).toEqual(["", "*", "**"]);
    expect(found(["a"], "")).toEqual([]);
  });

  test("what one text had does not stay for the next", () => {
    const search = compileTextSearch(["one*two", "three"]);
    expect(search("one").has(0)).toBe(false);
    expect(search("two").has(0)).toBe(false);
    expect(search("one two").found).toEqual([0]);
    expect(search("").found).toEqual([]);
  });
});

test.each([
  ["ab*bc", "abc", false],
  ["ab*bc", "ab bc", true],
  ["aa*aa", "aaa", false],
  ["aa*aa", "aaaa", true],
  ["b*a", "ab", false],
  ["she", "ushers", true],
  ["宛先*不明", "宛先が不明です", true],
])("%j in %j: %s", (pattern, text, expected) => {
  expect(found([pattern], text).length === 1).toBe(expected);
});

describe("with a gap", () => {
  const near = (pattern: string, text: string): boolean => compileTextSearch([pattern], 5)(text).has(0);

  test.each([
    ["one*two", "one two", true],
    ["one*two", "one 1234two", true],
    ["one*two", "one 12345two", false],
    ["one*two", "one 12345 one two", true],
    ["one*two*one", "one two 123456 one two one", true],
    ["one*two*one", "one 123456 two one", false],
    ["aa*ab", "aaab", true],
    ["ab*ab", "ab 123456 ab ab", true],
  ])("%j in %j: %s", (pattern, text, expected) => {
    expect(near(pattern, text)).toBe(expected);
  });

  test("a pattern is found once, however often it is there", () => {
    expect(compileTextSearch(["a*b"], 5)("a b a b a b").found).toEqual([0]);
  });
});

test("the same as searching for each pattern alone, with letters that repeat", () => {
  const next = numbers(7);
  const letters = (most: number, of: string): string =>
    Array.from({ length: 1 + next(most) }, () => of.charAt(next(of.length))).join("");
  for (let round = 0; round < 300; round++) {
    const patterns = Array.from({ length: 12 }, () => letters(6, "ab*"));
    const text = letters(30, "abc");
    expect(found(patterns, text), `${JSON.stringify(patterns)} in ${text}`).toEqual(
      patterns.filter((pattern) => isIn(pattern, text)),
    );
  }
});
