import { describe, expect, test } from "vitest";
import { openShares, type Sharer } from "../../src/mta/shares.ts";

const WEIGHTS = [64, 8, 4, 1];
const sharer = (id: number, priority = 2, weight = 1): Sharer => ({ id, priority, weight });

/** Serves messages one part at a time, everybody equally fast, and counts who got how many parts. */
function serve(able: readonly Sharer[], rounds: number): Map<number, number> {
  const holding = new Map<number, number>();
  const got = new Map<number, number>();
  const queue: number[] = [];
  const shares = openShares(WEIGHTS);
  for (let i = 0; i < rounds; i++) {
    let held = 0;
    for (const n of holding.values()) held += n;
    for (const { deliveryId, parts } of shares.out(able, {
      window: 4000,
      room: 4000 - held,
      partSize: 500,
      holding,
    })) {
      holding.set(deliveryId, (holding.get(deliveryId) ?? 0) + parts * 500);
      got.set(deliveryId, (got.get(deliveryId) ?? 0) + parts);
      for (let p = 0; p < parts; p++) queue.push(deliveryId);
    }
    const done = queue.shift();
    if (done !== undefined) holding.set(done, (holding.get(done) ?? 0) - 500);
  }
  return got;
}

describe("the window", () => {
  test("goes to one delivery when it is alone", () => {
    expect(
      openShares(WEIGHTS).out([sharer(1)], { window: 4000, room: 4000, partSize: 500, holding: new Map() }),
    ).toEqual([{ deliveryId: 1, parts: 8 }]);
  });

  test("is shared by twenty equal ones, none is forgotten", () => {
    const got = serve(
      Array.from({ length: 20 }, (_, i) => sharer(i + 1)),
      2000,
    );
    expect(got.size).toBe(20);
    const counts = [...got.values()];
    expect(Math.min(...counts)).toBeGreaterThan(0.5 * Math.max(...counts));
  });

  test("keeps the share of a lower class whatever the higher one asks for", () => {
    const able = [...Array.from({ length: 16 }, (_, i) => sharer(i + 1, 1)), sharer(100, 2), sharer(101, 2)];
    const got = serve(able, 3000);
    const normal = (got.get(100) ?? 0) + (got.get(101) ?? 0);
    let all = 0;
    for (const n of got.values()) all += n;
    expect(normal / all).toBeGreaterThan(0.2);
  });

  test("of less than a part still moves", () => {
    const room = { window: 100, room: 100, partSize: 500, holding: new Map<number, number>() };
    expect(openShares(WEIGHTS).out([sharer(1)], room)).toEqual([{ deliveryId: 1, parts: 1 }]);
  });

  test("gives nothing when it is full", () => {
    const room = { window: 4000, room: 100, partSize: 500, holding: new Map([[1, 3900]]) };
    expect(openShares(WEIGHTS).out([sharer(1)], room)).toEqual([]);
  });
});
