/** What a stranger wrote cannot do anything where it is shown. */
import { expect, test } from "vitest";
import { harmless } from "../../src/model/harmless.ts";

test.each([
  ["plain", "550 5.1.1 no such user", "550 5.1.1 no such user"],
  ["escape sequences", "\u001b[2J\u001b]0;owned\u0007 hi", "[2J ]0;owned hi"],
  ["several lines", "one\r\ntwo\n\nthree", "one two three"],
  ["C1 controls, DEL", "a\u009bb\u007fc", "a b c"],
  ["turned around", "safe\u202egpj.exe\u2066x\u2069", "safe gpj.exe x"],
  ["invisible", "pay\u200bpal\ufeff\u00ad.com", "pay pal .com"],
  ["separators of lines", "a\u2028b\u2029c", "a b c"],
  ["half characters", "a\ud800b", "a b"],
  ["whole characters stay", "quota dépassé 配信 😀", "quota dépassé 配信 😀"],
  ["markup is only text", "<script>alert(1)</script>", "<script>alert(1)</script>"],
  ["nothing", "\u0000\u0001", ""],
])("%s", (_, text, shown) => expect(harmless(text)).toBe(shown));

test("it is cut, says so, and never in the middle of a character", () => {
  expect(harmless("x".repeat(5000))).toBe(`${"x".repeat(299)}…`);
  expect(harmless("😀".repeat(200), 10)).toBe("😀😀😀😀…");
  expect(harmless("\u0000".repeat(1e6))).toBe("…");
  expect(harmless("x".repeat(300))).toBe("x".repeat(300));
});
