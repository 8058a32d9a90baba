/** Counts over a sliding time that becomes another time, by new settings or by a restart under them. */
import { expect, test } from "vitest";
import { createTally, type Tally } from "../../src/stat/governor/tally.ts";
import { HOUR, MIN, T0 } from "./governor-parts.ts";

const tally = (spanMs: number): Tally => createTally({ spanMs, slots: 60, width: 2, most: 100 });

function filled(): Tally {
  const counted = tally(HOUR);
  for (let minute = 0; minute < 60; minute++) counted.add("a", T0 + minute * MIN, [10, 1], "mx");
  return counted;
}
const END = T0 + 59 * MIN;

test("longer: everything is still there, and goes when the longer time is over", () => {
  const counted = filled();
  counted.resize(2 * HOUR);
  expect(counted.sums("a", END)).toEqual([600, 60]);
  expect(counted.sums("a", END + HOUR)).toEqual([600, 60]);
  expect(counted.sums("a", END + HOUR, HOUR)).toEqual([0, 0]);
  counted.add("a", END + HOUR, [1, 1]);
  expect(counted.sums("a", END + HOUR)).toEqual([601, 61]);
  expect(counted.sums("a", END + 2 * HOUR)).toEqual([1, 1]);
  expect([...counted.keys()]).toEqual([["a", "mx"]]);
});

test("shorter: what is older than it does not count, and nothing counts for longer than it", () => {
  const counted = filled();
  counted.resize(10 * MIN);
  const [tried = 0] = counted.sums("a", END);
  expect(tried).toBeGreaterThanOrEqual(90);
  expect(tried).toBeLessThanOrEqual(100);
  expect(counted.sums("a", END + 10 * MIN)).toEqual([0, 0]);
});

test("there and back, again and again: never more than was counted", () => {
  const counted = filled();
  for (const span of [2 * HOUR, 7 * MIN, 90 * MIN, HOUR, HOUR]) counted.resize(span);
  const [tried = 0, errors = 0] = counted.sums("a", END);
  expect(tried).toBeLessThanOrEqual(600);
  expect(errors).toBe(tried / 10);
});

test("a restart under other settings keeps the counts", () => {
  const later = tally(2 * HOUR);
  later.restore(JSON.parse(JSON.stringify(filled().snapshot(END))));
  expect(later.sums("a", END)).toEqual([600, 60]);
});

test.each([
  [{}],
  [{ slotMs: 0 }],
  [{ slotMs: -1 }],
  [{ slotMs: 1.5 }],
  [{ slotMs: "60000" }],
  [{ slotMs: 60_000, entries: [["a", "", [1, 2]]] }],
])("a snapshot that is none: %j", (parts) => {
  const counted = tally(HOUR);
  counted.restore({ entries: [["a", "", [Math.floor(T0 / MIN), 5, 5]]], ...parts });
  expect(counted.size).toBe(0);
});
