import { expect, test } from "vitest";
import type { Lane } from "../../src/mta/lane-contract.ts";
import { openLaneTable } from "../../src/mta/lane-table.ts";
import { handClock } from "../support/clock.ts";

const IP = { publicId: 1, address: "", weight: 1, helo: "", includeDomains: [], excludeDomains: [] };
const path = (site: string) => ({
  ip: IP,
  policy: null,
  route: { kind: "site" as const, site, exchangers: [{ name: site, preference: 0 }] },
});

test("lanes with nothing to do go at the next sweep, also when the system's clock was put back", async () => {
  const clock = handClock();
  const idle = new Set<string>();
  const table = openLaneTable(
    clock,
    (key) =>
      ({
        key,
        get idle() {
          return idle.has(key.site);
        },
      }) as Lane,
  );
  for (const site of ["a", "b", "c"]) table.lane(path(site));
  table.sweep();
  idle.add("a");
  await clock.advance(10_000);
  table.sweep();
  expect([...table.all].map(({ key }) => key.site)).toEqual(["b", "c"]);
  idle.add("b");
  clock.jump(-86_400_000);
  await clock.advance(10_000);
  table.sweep();
  expect([...table.all].map(({ key }) => key.site)).toEqual(["c"]);
  expect([...table.ofSite("b")]).toEqual([]);
});
