/** Releasing in reverse, once, whatever fails. */
import { expect, test } from "vitest";
import { openBackoff } from "../../src/base/backoff.ts";
import { type Releasers, withReleasers } from "../../src/base/releasers.ts";

test("an opening that fails releases what was open, last first, and the failure goes on", async () => {
  const order: string[] = [];
  const opening = withReleasers(async (releasers) => {
    releasers.add(() => void order.push("first"));
    releasers.add(async () => void order.push("second"));
    throw new Error("third does not open");
  });
  await expect(opening).rejects.toThrow("third does not open");
  expect(order).toEqual(["second", "first"]);
});

test("a release that fails does not spare the others, and twice is once", async () => {
  const order: string[] = [];
  const all = await withReleasers(async (releasers: Releasers) => {
    releasers.add(() => void order.push("first"));
    releasers.add(() => {
      throw new Error("stuck");
    });
    releasers.add(() => void order.push("third"));
    return releasers.all;
  });
  expect(order).toEqual([]);
  await expect(Promise.all([all(), all()])).rejects.toThrow("stuck");
  expect(order).toEqual(["third", "first"]);
});

test("a back-off doubles to its bound, never waits less than half a step, and starts over", () => {
  let random = 1;
  const backoff = openBackoff({ firstMs: 250, maxMs: 1000, random: () => random });
  expect([1, 2, 3, 4].map(() => backoff.next())).toEqual([250, 500, 1000, 1000]);
  random = 0;
  expect(backoff.next()).toBe(500);
  backoff.reset();
  expect(backoff.next()).toBe(125);
});
