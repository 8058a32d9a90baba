import { describe, expect, test } from "vitest";
import { isNearBound, spareable, toDrop } from "../../../src/redirector/log/retention.ts";
import type { Segment } from "../../../src/redirector/log/segments.ts";

/** Segments of 100 octets, one an hour, the last one being written. */
const HOUR = 3_600_000;
const list = (count: number): Segment[] =>
  Array.from({ length: count }, (_, i) => ({
    base: i * 100,
    path: `${i}`,
    bytes: 100,
    beganAt: i * HOUR,
    endedAt: i === count - 1 ? 0 : (i + 1) * HOUR,
  }));
const drop = (count: number, pulled: number, now: number, more: { logBytes?: number; room?: number } = {}) => {
  const rules = { logBytes: more.logBytes ?? 100_000, keepMs: 2 * HOUR };
  const { drop, unpulled } = toDrop(list(count), rules, pulled, now, more.room ?? 0);
  return { drop: drop.map(({ path }) => Number(path)), unpulled };
};

describe("room is short", () => {
  test("what was pulled goes first, oldest first, whatever its age, and only as much as it takes", () => {
    expect(drop(5, 300, 5 * HOUR, { logBytes: 400 })).toMatchObject({ drop: [0, 1, 2].slice(0, 3) });
    expect(drop(5, 300, 2.5 * HOUR, { logBytes: 400 })).toEqual({ drop: [0], unpulled: 0 });
    expect(drop(5, 300, 2.5 * HOUR, { logBytes: 400, room: 100 })).toEqual({ drop: [0, 1], unpulled: 0 });
  });
  test("then the oldest that nobody has pulled, which is told", () => {
    expect(drop(5, 0, 5 * HOUR, { logBytes: 400 })).toEqual({ drop: [0], unpulled: 100 });
    expect(drop(5, 150, 2 * HOUR, { logBytes: 200 })).toEqual({ drop: [0, 1, 2], unpulled: 150 });
  });
  test("never the one that is written", () => {
    expect(drop(3, 0, HOUR, { logBytes: 1 })).toEqual({ drop: [0, 1], unpulled: 200 });
    expect(drop(1, 100, 1000 * HOUR, { logBytes: 1 })).toEqual({ drop: [], unpulled: 0 });
  });
});

test("there is room: what was pulled goes when it is old, what was not pulled stays for ever", () => {
  expect(drop(5, 0, 1000 * HOUR)).toEqual({ drop: [], unpulled: 0 });
  expect(drop(5, 250, 3 * HOUR - 1)).toEqual({ drop: [], unpulled: 0 });
  expect(drop(5, 250, 3 * HOUR)).toEqual({ drop: [0], unpulled: 0 });
  expect(drop(5, 250, 1000 * HOUR)).toEqual({ drop: [0, 1], unpulled: 0 });
});

test("the alarm comes at four fifths of the bound", () => {
  expect(isNearBound(799, { logBytes: 1000, keepMs: 0 })).toBe(false);
  expect(isNearBound(800, { logBytes: 1000, keepMs: 0 })).toBe(true);
});

test("a full disk is given the oldest that was pulled, and nothing else", () => {
  expect(spareable(list(5), 250)?.path).toBe("0");
  expect(spareable(list(5), 99)).toBeUndefined();
  expect(spareable(list(1), 100)).toBeUndefined();
});
