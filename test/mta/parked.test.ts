import { expect, test } from "vitest";
import { openParked } from "../../src/mta/parked.ts";

test("the parts that have waited longest are called first, some at a time, each once", () => {
  const a = { name: "a" };
  const b = { name: "b" };
  const parked = openParked<object>();
  for (let i = 1; i <= 30; i++) parked.add(a, i);
  parked.add(a, 1);
  parked.add(b, 99);
  expect(parked.take(a)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(parked.take(a)).toEqual(Array.from({ length: 10 }, (_, i) => i + 21));
  expect(parked.take(a)).toEqual([]);
  expect([...parked.lanes]).toEqual([b]);
  expect(parked.take(b)).toEqual([99]);
  expect([...parked.lanes]).toEqual([]);
});

test("a million of them are not remembered", () => {
  const a = {};
  const parked = openParked<object>();
  for (let i = 0; i < 10_000; i++) parked.add(a, i);
  let taken = 0;
  for (let some = parked.take(a); some.length > 0; some = parked.take(a)) taken += some.length;
  expect(taken).toBe(2000);
});
