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

test("a lane that is no more is forgotten with its parts", () => {
  const [a, b] = [{ name: "a" }, { name: "b" }];
  const parked = openParked<object>();
  parked.add(a, 1);
  parked.add(b, 1);
  parked.forget(a);
  parked.forget(a);
  expect([...parked.lanes]).toEqual([b]);
  expect(parked.take(a)).toEqual([]);
});

test("parts of many domains, each in hundreds of lanes: a hundred thousand in all are remembered, and room comes back", () => {
  const lanes = Array.from({ length: 300 }, () => ({}));
  const parked = openParked<object>();
  for (let part = 0; part < 500; part++) for (const lane of lanes) parked.add(lane, part);
  const drain = (lane: object): number => {
    let taken = 0;
    for (let some = parked.take(lane); some.length > 0; some = parked.take(lane)) taken += some.length;
    return taken;
  };
  const first = drain(lanes[0]!);
  for (let part = 1000; part < 1000 + first; part++) parked.add(lanes[1]!, part);
  parked.forget(lanes[2]!);
  let taken = first;
  for (const lane of lanes.slice(1)) taken += drain(lane);
  // All, and those of the first once more instead of those of the third.
  expect(taken).toBe(100_000);
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
