import { expect, test } from "vitest";
import type { LaneKey } from "../../src/model/traffic.ts";
import type { Lane } from "../../src/mta/lane-contract.ts";
import { openLaneTable, type LaneTable } from "../../src/mta/lane-table.ts";
import { type HandClock, handClock } from "../support/clock.ts";

const IP = { publicId: 1, address: "", weight: 1, helo: "", includeDomains: [], excludeDomains: [] };
const path = (site: string) => ({
  ip: IP,
  policy: null,
  route: { kind: "site" as const, site, exchangers: [{ name: site, preference: 0 }] },
});

interface Scene {
  readonly clock: HandClock;
  readonly table: LaneTable;
  /** Sites by what their lanes say of themselves; all others have messages. */
  readonly idle: Set<string>;
  readonly standing: Map<string, number>;
  readonly gone: string[];
  /** What new lanes were told of those before them. */
  readonly made: [site: string, blockedSince: number][];
  sites(): string[];
}

function scene(mostStanding: number): Scene {
  const clock = handClock();
  const idle = new Set<string>();
  const standing = new Map<string, number>();
  const gone: string[] = [];
  const made: [string, number][] = [];
  const laneOf = (key: LaneKey): Lane =>
    ({
      key,
      get idle() {
        return idle.has(key.site);
      },
      get standing() {
        return standing.has(key.site);
      },
      get blockedSince() {
        return standing.get(key.site) ?? 0;
      },
    }) as Lane;
  const table = openLaneTable({
    clock,
    mostStanding,
    openLane(key, blockedSince) {
      made.push([key.site, blockedSince]);
      return laneOf(key);
    },
    gone: ({ key }) => void gone.push(key.site),
  });
  return { clock, table, idle, standing, gone, made, sites: () => [...table.all].map(({ key }) => key.site) };
}

test("lanes with nothing to do go at the next sweep, also when the system's clock was put back", async () => {
  const { clock, table, idle, sites, gone } = scene(10);
  for (const site of ["a", "b", "c"]) table.lane(path(site));
  table.sweep();
  idle.add("a");
  await clock.advance(10_000);
  table.sweep();
  expect(sites()).toEqual(["b", "c"]);
  idle.add("b");
  clock.jump(-86_400_000);
  await clock.advance(10_000);
  table.sweep();
  expect(sites()).toEqual(["c"]);
  expect(table.ofSite("b").size).toBe(0);
  expect(gone).toEqual([]);
});

test("of those that only wait the oldest go when they are too many; the next of that name is told since when", async () => {
  const { clock, table, standing, sites, gone, made } = scene(2);
  for (const site of ["a", "b", "c", "d"]) table.lane(path(site));
  table.sweep();
  for (const [site, since] of [
    ["a", 0],
    ["b", 7],
    ["c", 8],
  ] as const)
    standing.set(site, since);
  await clock.advance(10_000);
  table.sweep();
  expect(gone).toEqual(["a"]);
  standing.set("d", 9);
  await clock.advance(10_000);
  table.sweep();
  expect(gone).toEqual(["a", "b"]);
  expect(sites()).toEqual(["c", "d"]);
  expect(table.ofSite("b").size).toBe(0);
  made.length = 0;
  for (const site of ["a", "b", "b"]) table.lane(path(site));
  expect(made).toEqual([
    ["a", 0],
    ["b", 7],
  ]);
});

test("a flood of lanes that only wait is not let grow for ten seconds; those with messages stay", () => {
  const { table, standing, sites, gone } = scene(100);
  for (let i = 0; i < 1000; i++) {
    table.lane(path(`s${i}`));
    if (i >= 50) standing.set(`s${i}`, 0);
    table.sweep();
    expect(sites().length).toBeLessThanOrEqual(201);
  }
  expect(sites().slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, i) => `s${i}`));
  expect(gone[0]).toBe("s50");
});
