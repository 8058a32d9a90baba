/** Clicks too close together for a reader. */
import { describe, expect, test } from "vitest";
import { findBurst, type Followed } from "../../src/model/burst.ts";

/** `c3@1.5` a click on link 3 after 1.5 s, `t9@2` the trap, `oA@0` an open by A, `c3A@1` a click by A. */
function hits(text: string): (Followed & { readonly name: string })[] {
  return text.split(" ").map((name) => {
    const [, kind, link = "", visitor = "", at] = /^([cto])(\d*)([A-Z]?)@([\d.]+)$/.exec(name)!;
    return {
      name,
      kind: kind === "c" ? "click" : kind === "t" ? "trap" : "open",
      link: Number(link),
      visitor,
      at: 1_790_000_000_000 + Number(at) * 1000,
    };
  });
}
const burst = (text: string): string =>
  findBurst(hits(text))
    .map(({ name }) => name)
    .sort()
    .join(" ");

describe("a burst", () => {
  test.each([
    ["four links within ten seconds", "c1@0 c2@3 c3@6 c4@10", "c1@0 c2@3 c3@6 c4@10"],
    ["in whatever order they came", "c4@10 c1@0 c3@6 c2@3", "c1@0 c2@3 c3@6 c4@10"],
    ["three links are a reader in a hurry", "c1@0 c2@3 c3@6", ""],
    ["four links in more time", "c1@0 c2@3 c3@6 c4@10.1", ""],
    ["a window that begins later", "c1@0 c1@9 c2@12 c3@15 c4@19", "c1@9 c2@12 c3@15 c4@19"],
    ["the same link four times is impatience", "c1@0 c1@1 c1@2 c1@3", ""],
    ["twenty times is a program", Array.from({ length: 20 }, (_, i) => `c1@${i / 4}`).join(" "), "all"],
    ["two links at once", "c1@5 c2@5.4 c1@60", "c1@5 c2@5.4"],
    ["two links one after the other", "c1@5 c2@5.5", ""],
    ["the trap, with what is near it", "c1@0 c1@12 t9@20 c2@29 c3@31", "c1@12 c2@29 t9@20"],
    ["the trap alone", "t9@20", "t9@20"],
    ["opens of the same program", "oA@0 oB@0 c1A@1 c2A@1.1 oA@11 oA@11.2", "c1A@1 c2A@1.1 oA@0 oA@11"],
    ["opens when nobody can be told apart", "o@0 c1@1 c2@1.1", "c1@1 c2@1.1"],
    ["opens alone", "oA@0 oA@0.1", ""],
  ])("%s", (_, text, found) => expect(burst(text)).toBe(found === "all" ? text.split(" ").sort().join(" ") : found));

  test("of nothing is nothing", () => expect(findBurst([])).toEqual([]));
});
