import { expect, test } from "vitest";
import { openPlaces } from "../../src/mta/places.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Waiter {
  wants: boolean;
  got: number;
  pump(): void;
}

function waiters(
  count: number,
  most: number,
): { places: ReturnType<typeof openPlaces<Waiter>>; all: Waiter[]; crowds: () => number } {
  let crowds = 0;
  const places = openPlaces<Waiter>(most, () => crowds++);
  const all = Array.from({ length: count }, (): Waiter => {
    const waiter: Waiter = {
      wants: true,
      got: 0,
      pump() {
        if (waiter.wants && places.take(waiter, false)) {
          waiter.got++;
          waiter.wants = false;
        }
      },
    };
    return waiter;
  });
  return { places, all, crowds: () => crowds };
}

test("who has lost interest does not cost the next one its turn", async () => {
  const { places, all, crowds } = waiters(3, 1);
  for (const waiter of all) waiter.pump();
  expect(all.map((w) => w.got)).toEqual([1, 0, 0]);
  expect(crowds()).toBe(2);
  all[1]!.wants = false;
  places.free();
  await turn();
  expect(all.map((w) => w.got)).toEqual([1, 0, 1]);
  expect(places.taken).toBe(1);
  expect(places.crowded).toBe(false);
});

test("the urgent ones are called first", async () => {
  const order: string[] = [];
  const places = openPlaces<{ pump(): void }>(1, () => {});
  const lane = (name: string): { pump(): void } => ({ pump: () => void order.push(name) });
  places.take(lane("first"), false);
  places.take(lane("news"), false);
  places.take(lane("reset"), true);
  places.free();
  await turn();
  expect(order).toEqual(["reset", "news"]);
});

test("what is larger than all there is may have it alone, and nothing beside it", () => {
  const places = openPlaces<{ pump(): void }>(100, () => {});
  const lane = { pump: () => {} };
  expect(places.take(lane, false, 500)).toBe(true);
  expect(places.take(lane, false, 1)).toBe(false);
  places.free(500);
  expect(places.take(lane, false, 60)).toBe(true);
  expect(places.take(lane, false, 60)).toBe(false);
  expect(places.take(lane, false, 40)).toBe(true);
});
