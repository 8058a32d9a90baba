import { expect, test } from "vitest";
import { openTurns } from "../../src/mta/turns.ts";

const WEIGHTS = [64, 8, 4, 1];
const turn = (priority: number, deliveryId: number, weight = 1) => ({ priority, deliveryId, weight });

test("nothing comes out of nothing", () => {
  const turns = openTurns<string>(WEIGHTS);
  expect(turns.shift()).toBeUndefined();
  expect(turns.size).toBe(0);
});

test("a password reset does not wait for a newsletter", () => {
  const turns = openTurns<string>(WEIGHTS);
  for (let i = 0; i < 10_000; i++) turns.push("news", turn(2, 1));
  for (let i = 0; i < 100; i++) turns.shift();
  turns.push("reset", turn(0, 2));
  const next = [turns.shift(), turns.shift()];
  expect(next).toContain("reset");
});

test("no class starves: each gets its share while all have work", () => {
  const turns = openTurns<number>(WEIGHTS);
  for (let p = 0; p < 4; p++) for (let i = 0; i < 10_000; i++) turns.push(p, turn(p, p + 1));
  const got = [0, 0, 0, 0];
  for (let i = 0; i < 7700; i++) got[turns.shift()!]!++;
  expect(got[3]).toBeGreaterThanOrEqual(90);
  expect(got[2]).toBeGreaterThanOrEqual(390);
  expect(got[1]).toBeGreaterThanOrEqual(790);
  expect(got.reduce((a, b) => a + b)).toBe(7700);
});

test("deliveries of a class take turns by weight", () => {
  const turns = openTurns<string>(WEIGHTS);
  for (let i = 0; i < 1000; i++) turns.push("heavy", turn(2, 1, 3));
  for (let i = 0; i < 1000; i++) turns.push("light", turn(2, 2, 1));
  let heavy = 0;
  for (let i = 0; i < 400; i++) if (turns.shift() === "heavy") heavy++;
  expect(heavy).toBeGreaterThanOrEqual(297);
  expect(heavy).toBeLessThanOrEqual(303);
});

test("what is removed does not come out, the rest does, in order", () => {
  const turns = openTurns<number>(WEIGHTS);
  for (let i = 0; i < 3000; i++) turns.push(i, turn(2, i % 3));
  for (let i = 0; i < 300; i++) turns.shift();
  const taken = turns.remove((n) => n % 3 === 1);
  expect(taken.length).toBe(900);
  expect(turns.size).toBe(1800);
  const rest: number[] = [];
  for (let n = turns.shift(); n !== undefined; n = turns.shift()) rest.push(n);
  expect(rest).toHaveLength(1800);
  expect(rest.some((n) => n % 3 === 1)).toBe(false);
  const zero = rest.filter((n) => n % 3 === 0);
  expect(zero).toEqual(zero.toSorted((a, b) => a - b));
  turns.push(1, turn(2, 1));
  expect(turns.shift()).toBe(1);
});
