/** Limits of a process and of its callers. */
import { expect, test } from "vitest";
import { openBuckets } from "../../src/http/buckets.ts";
import { openLoad } from "../../src/http/load.ts";
import { handClock } from "../support/clock.ts";

test("a process is full when as many requests are at work as it takes", () => {
  const load = openLoad(2);
  load.enter();
  expect(load.scarce()).toBe("");
  load.enter();
  expect(load.scarce()).toContain("too many");
  load.leave();
  expect(load.scarce()).toBe("");
  load.close();
});

test("a bucket gives its burst, then its rate, to each caller apart", async () => {
  const clock = handClock();
  const buckets = openBuckets(clock, 10, 5);
  const taken = (caller: string, tries: number): number =>
    Array.from({ length: tries }, () => buckets.take(caller)).filter((wait) => wait === 0).length;
  expect(taken("a", 20)).toBe(5);
  expect(buckets.take("a")).toBeCloseTo(0.1);
  expect(taken("b", 20)).toBe(5);
  await clock.advance(300);
  expect(taken("a", 20)).toBe(3);
  clock.jump(3_600_000);
  expect(taken("a", 20)).toBe(0);
  await clock.advance(3_600_000);
  expect(taken("a", 20)).toBe(5);
});

test("callers beyond ten thousand are forgotten, the least recent first", () => {
  const buckets = openBuckets(handClock(), 1, 1);
  for (let i = 0; i < 10_001; i++) buckets.take(String(i));
  expect(buckets.take("10000")).toBeGreaterThan(0);
  expect(buckets.take("0")).toBe(0);
});
