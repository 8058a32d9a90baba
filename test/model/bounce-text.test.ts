/** Texts made comparable: what differs from mail to mail goes, what says something stays. */
import { describe, expect, test } from "vitest";
import { EXPANDED_MOST, expandPattern, foldPattern, foldText, textPattern } from "../../src/model/bounce-text.ts";

describe("hostile texts", () => {
  test.each([
    ["letters and digits without end", "a1".repeat(500_000)],
    ["an @ after each letter", "a@".repeat(500_000)],
    ["dots and digits", "1.".repeat(500_000)],
    ["colons", "a:".repeat(500_000)],
    ["blanks", " ".repeat(1_000_000)],
    ["combining marks", "e\u0301".repeat(500_000)],
    ["half of a character", "\ud800".repeat(500_000)],
  ])("%s: cut, and done at once", (_, text) => {
    expect(foldText(text).length).toBeLessThan(20_000);
    expect(textPattern(text).length).toBeLessThanOrEqual(500);
  });

  test("marks that stand for addresses and numbers cannot be sent", () => {
    expect(foldText("user \u0001 # @ unknown")).toBe(" user unknown ");
  });
});

test.each([
  ["<Ann@Example.com>... User unknown!", " @ user unknown "],
  ["550-5.1.1 The user doesn’t exist", " 550 5 1 1 user doesn t exist "],
  ["The mailbox has been closed", " mailbox closed "],
  ["Boîte aux lettres pleine", " boite aux lettres pleine "],
  ["ＵＳＥＲ ｕｎｋｎｏｗｎ", " user unknown "],
  ["us\u00ader unk\u200bnown", " user unknown "],
  ["from [192.0.2.1] and [2001:db8:0:0:1:2:3:4]", " from # and # "],
  ["id q22si1234567abc at 2024-01-02T03:04:05Z", " id # at # "],
  ["rejected, code 8675309", " rejected code # "],
  ["see [TSS04] (S3150)", " see tss04 s3150 "],
  ["宛先（不明）です", " 宛先 不明 です "],
  ["Пользователь не найден", " пользователь не наиден "],
])("%j is folded to %j", (text, folded) => {
  expect(foldText(text)).toBe(folded);
});

test.each([
  ["User is unknown", "user unknown"],
  ["is full", " full"],
  ["mailbox was", "mailbox "],
  ["[tss04]", " tss04 "],
  ["the", ""],
  ["user * unknown", "user * unknown"],
  ["<a@example.com> is full", " @ full"],
  ["code 123456", "code #"],
  ["не найден", "не наиден"],
])("the pattern %j is folded to %j", (pattern, folded) => {
  expect(foldPattern(pattern)).toBe(folded);
});

describe("alternatives", () => {
  test("each combination, once; empty ones too; brackets without a bar are marks", () => {
    expect(expandPattern("(user|mailbox) (is |not )full")).toEqual([
      "user full",
      "user not full",
      "mailbox full",
      "mailbox not full",
    ]);
    expect(expandPattern("over (the |)quota")).toEqual(["over quota"]);
    expect(expandPattern("quota (soft) reached")).toEqual(["quota soft reached"]);
  });

  test("a bomb is refused", () => {
    expect(() => expandPattern("(a|b)".repeat(12))).toThrow(RangeError);
    expect(expandPattern("(a1|b2)".repeat(10)).length).toBeLessThanOrEqual(EXPANDED_MOST);
  });
});

test("texts that say the same have the same pattern, and it matches them", () => {
  const one = textPattern("550 5.1.1 <ann@example.com>: user unknown at mx1.example.com (id 4AB12C9D7E1F, 192.0.2.7)");
  const two = textPattern("550 5.1.1 <bob@example.org>: user unknown at mail.example.org (id 77AA12C9D7E2, 192.0.2.9)");
  expect(one).toBe("550 5.1.1 <*>: user unknown at * (id *, *)");
  expect(two).toBe(one);
  expect(textPattern("a * b"), "a star of the remote is none of ours").toBe("a b");
});
