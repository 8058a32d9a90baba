/** The score of what was understood: the same figures as whoever judges it from outside. */
import { describe, expect, test } from "vitest";
import type { LabelledMail } from "../../bench/bounces/labelled.ts";
import { isHeldBack } from "../../bench/bounces/labelled.ts";
import { type PredictedMail, mailFigures, percent, scoreMails, scoreReplies } from "../../bench/bounces/score.ts";

const UNKNOWN = { type: "hard", category: "user_unknown" };
const FULL = { type: "soft", category: "mailbox_full" };

function score(
  expected: LabelledMail["expected"],
  results: PredictedMail["results"],
): ReturnType<typeof scoreMails>["all"] {
  const mail = { file: "a/b.eml", notBounce: expected.length === 0, expected };
  return scoreMails([mail], new Map([[mail.file, results]])).all;
}

describe("a mail", () => {
  test("letter case and brackets of a recipient do not count; one of several accepted is enough", () => {
    const label = { ...UNKNOWN, recipientAccept: ["Ann@example.net", "ann@elsewhere.example"] };
    expect(score([label], [{ ...UNKNOWN, recipient: "<ANN@example.net>" }])).toMatchObject({
      found: 1,
      category: 1,
      type: 1,
    });
    expect(score([label], [{ ...UNKNOWN, recipient: "bob@example.net" }])).toMatchObject({
      found: 0,
      category: 1,
      rows: 1,
    });
  });

  test("each result is used for one label; with several labels a wrong recipient is no row", () => {
    const label = { ...UNKNOWN, recipientAccept: ["a@example.net"] };
    const result = { ...UNKNOWN, recipient: "a@example.net" };
    expect(score([label, label], [result, result])).toMatchObject({ rows: 2, found: 2, category: 2 });
    expect(score([label, label], [result, { ...result, recipient: "b@example.net" }])).toMatchObject({
      found: 1,
      category: 1,
    });
    expect(score([label, label], [])).toMatchObject({ rows: 2, detected: 0, category: 0 });
  });

  test("what also counts makes the lenient figures", () => {
    const label = { ...UNKNOWN, accept: [FULL], recipientAccept: [] };
    expect(score([label], [{ ...FULL, recipient: null }])).toMatchObject({
      category: 0,
      categoryLenient: 1,
      type: 0,
      typeLenient: 1,
      named: 0,
    });
  });

  test("something said of a mail that is none is a false positive", () => {
    expect(score([], [{ ...FULL, recipient: null }])).toMatchObject({ negatives: 1, falsePositives: 1, bounces: 0 });
    expect(score([], [])).toMatchObject({ negatives: 1, falsePositives: 0 });
    expect(mailFigures(score([], []))).toMatchObject({ detected: null, category: null });
  });
});

test("a reply nothing was said of is wrong", () => {
  const label = { id: "1", reply: "550 no", ...UNKNOWN };
  expect(scoreReplies([label], new Map()).counts).toMatchObject({ rows: 1, category: 0 });
  expect(scoreReplies([label], new Map([["1", UNKNOWN]])).counts).toMatchObject({ category: 1, typeLenient: 1 });
});

test.each([
  [1, 3, 33.3],
  [2, 3, 66.7],
  [1, 16, 6.2],
  [3, 16, 18.8],
  [0, 5, 0],
  [5, 5, 100],
  [0, 0, null],
])("%d of %d is %d %%", (part, whole, expected) => {
  expect(percent(part, whole)).toBe(expected);
});

test("what is held back is a third, and always the same", () => {
  const names = Array.from({ length: 3000 }, (_, i) => `corpus/${i}.eml`);
  expect(names.filter(isHeldBack).length).toBeGreaterThan(900);
  expect(names.filter(isHeldBack).length).toBeLessThan(1100);
  expect(["corpus/1.eml", "corpus/2.eml", "corpus/3.eml"].map(isHeldBack)).toEqual(names.slice(1, 4).map(isHeldBack));
});
