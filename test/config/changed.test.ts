import { expect, test } from "vitest";
import { changedSettings } from "../../src/config/changed.ts";
import { parseSettings } from "../../src/config/settings.ts";

test("names of what differs, whole lists as one, and no values", () => {
  const before = parseSettings({ mta: { relay: { password: "old" } } });
  expect(changedSettings(before, parseSettings({ mta: { relay: { password: "old" } } }))).toEqual([]);
  const after = parseSettings({
    dataDir: "/elsewhere",
    mta: { relay: { password: "new" }, affinities: [{ name: "b" }] },
    stat: { breaker: { errors: 0.5 }, addresses: ["a:1"] },
  });
  expect(changedSettings(before, after)).toEqual([
    "dataDir",
    "mta.relay.password",
    "mta.affinities",
    "stat.addresses",
    "stat.breaker.errors",
  ]);
});
