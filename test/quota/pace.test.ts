/** The pace of `smooth`: never a burst, whatever was left, given back or changed in between; and all of the limit for who takes it evenly. */
import { expect, test } from "vitest";
import { HAND_MS, type Pace, giveBackTo, openPace, paced, partPassed, take } from "../../src/quota/pace.ts";
import { draws } from "../support/draws.ts";

const PERIOD = 300_000;
const T0 = Date.UTC(2026, 0, 1, 10);

/** Takes all that is left. */
function takeAll(pace: Pace, limit: number, at: number): number {
  const { left } = paced(pace, limit, PERIOD, at);
  take(pace, left);
  return left;
}

/** Takes all there is at every time at which something comes. What was taken, and how often it looked. */
function hungry(pace: Pace, limit: number, from: number, ms: number): { taken: number; looks: number } {
  let taken = 0;
  let looks = 0;
  for (let at = from; at < from + ms; looks++) {
    taken += takeAll(pace, limit, at);
    at = paced(pace, limit, PERIOD, at).nextAt;
  }
  return { taken, looks };
}

test.each([
  [3000, 10],
  [450, 1],
  [100, 1],
  [10, 1],
  [1, 1],
  [60_000, 200],
])("of %i in a period a portion of %i is there for who comes late, and no more", (limit, portion) => {
  const pace = openPace(0);
  expect(paced(pace, limit, PERIOD, T0).left).toBe(portion);
  const late = T0 + 240_000;
  expect(takeAll(pace, limit, late)).toBe(portion);
  expect(takeAll(pace, limit, late)).toBe(0);
});

test.each([3000, 1234, 450, 100, 10, 7, 1])(
  "of %i in a period all go for who always waits, and nobody looks in vain",
  (limit) => {
    const { taken, looks } = hungry(openPace(0), limit, T0, 10 * PERIOD);
    const portion = Math.max(1, Math.floor((limit * 1000) / PERIOD));
    expect(Math.abs(taken - 10 * limit)).toBeLessThanOrEqual(portion);
    expect(looks).toBeLessThanOrEqual(Math.ceil((10 * limit) / portion) + 1);
  },
);

test("who comes late in a turn loses nothing, who misses one has lost it", () => {
  const pace = openPace(0);
  const first = paced(pace, 100, PERIOD, T0).nextAt;
  expect(takeAll(pace, 100, first - 1)).toBe(1);
  expect(takeAll(pace, 100, first)).toBe(1);
  expect(takeAll(pace, 100, first + 1)).toBe(0);
  expect(takeAll(pace, 100, first + 30_000)).toBe(1);
});

test("what begins anew begins with nothing, and not all begin together", () => {
  const pace = openPace(T0);
  expect(paced(pace, 100, PERIOD, T0)).toEqual({ left: 0, nextAt: T0 + 3000 });
  expect(takeAll(pace, 100, T0 + 2999)).toBe(0);
  expect(takeAll(pace, 100, T0 + 3000)).toBe(1);
  expect(paced(openPace(T0, 0.5), 100, PERIOD, T0).nextAt).toBe(T0 + 1500);
  const parts = ["1000000a", "1000000b", "1000000c"].map((process) => partPassed(process, "rule|1|", T0));
  for (const part of parts) expect(part).toBeGreaterThanOrEqual(0);
  for (const part of parts) expect(part).toBeLessThan(1);
  expect(new Set(parts.map((part) => Math.floor(part * 100))).size).toBe(3);
  expect(partPassed("1000000a", "rule|1|", T0)).toBe(parts[0]);
  expect(partPassed("1000000a", "rule|1|", T0 + 1)).not.toBe(parts[0]);
});

test("a limit that changes gives no portion twice; none at all opens never by itself", () => {
  const pace = openPace(0);
  let taken = 0;
  // One each three seconds, or each six, changed ten times a second.
  for (let at = T0; at < T0 + 60_000; at += 100) taken += takeAll(pace, at % 200 === 0 ? 100 : 50, at);
  expect(taken).toBeLessThanOrEqual(21);
  expect(paced(pace, 0, PERIOD, T0 + 60_000)).toEqual({ left: 0, nextAt: Infinity });
});

test("what is given back soon is there for others; what was void for long is not", () => {
  const pace = openPace(0);
  paced(pace, 100, PERIOD, T0);
  take(pace, 1);
  giveBackTo(pace, T0, 1);
  expect(takeAll(pace, 100, T0 + 1)).toBe(1);
  // Hoards of minutes ago come back one by one: each would be a message at once.
  const later = T0 + 300_000;
  expect(takeAll(pace, 100, later)).toBe(1);
  for (let i = 0; i < 50; i++) giveBackTo(pace, T0 + 200_000 + i, 1);
  expect(takeAll(pace, 100, later)).toBe(0);
  expect(takeAll(pace, 100, later + 1)).toBe(0);
});

test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
  "seed %i: the bound, whoever takes and gives back what",
  (seed) => {
    const draw = draws(seed);
    const limit = 1 + draw(seed % 3 === 0 ? 20_000 : 400);
    const pace = openPace(0);
    const attempts: number[] = [];
    let hand: { at: number; messages: number }[] = [];
    for (let at = T0; at < T0 + 600_000; at += 1 + draw(draw(20) === 0 ? 20_000 : 700)) {
      const { left } = paced(pace, limit, PERIOD, at);
      const messages = draw(left + 1);
      if (messages > 0) hand.push({ at, messages });
      take(pace, messages);
      for (const held of hand) {
        const count = draw(held.messages + 1);
        if (at < held.at + HAND_MS && draw(3) === 0) for (let i = 0; i < count; i++) attempts.push(at);
        else if (draw(3) === 0) giveBackTo(pace, held.at, count);
        else continue;
        held.messages -= count;
      }
      hand = hand.filter((held) => held.messages > 0);
    }
    const rate = limit / PERIOD;
    const portion = Math.max(1, Math.floor(rate * 1000));
    for (const span of [10_000, 60_000]) {
      let first = 0;
      let most = 0;
      attempts.forEach((at, i) => {
        while ((attempts[first] ?? 0) <= at - span) first++;
        most = Math.max(most, i - first + 1);
      });
      expect(most).toBeLessThanOrEqual(rate * (span + HAND_MS) + 3 * portion);
    }
    expect(attempts.length).toBeGreaterThan(0);
  },
);
