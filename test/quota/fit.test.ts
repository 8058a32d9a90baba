/** What a client tells fits into a line, whatever names strangers gave their exchangers. */
import { expect, test } from "vitest";
import { fitting, pieces } from "../../src/quota/fit.ts";
import { MOST_LINE } from "../../src/quota/messages.ts";

const octets = (items: readonly unknown[]): number => Buffer.byteLength(JSON.stringify(items));

test("pieces fit, and together are everything", () => {
  const items = Array.from({ length: 1000 }, (_, i) => ({ site: `${"é".repeat(600)}${i}`, n: i }));
  const cut = pieces(items);
  expect(cut.length).toBeGreaterThan(1);
  for (const piece of cut) expect(octets(piece)).toBeLessThan(MOST_LINE);
  expect(cut.flat()).toEqual(items);
});

test("what alone does not fit is left out, the rest goes", () => {
  expect(pieces(["a", "x".repeat(MOST_LINE), "b"])).toEqual([["a"], ["b"]]);
  expect(fitting(["x".repeat(MOST_LINE), "b"])).toBe(0);
  expect(pieces([])).toEqual([]);
});
