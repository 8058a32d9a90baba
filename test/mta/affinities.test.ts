import { expect, test } from "vitest";
import { parseSettings } from "../../src/config/settings.ts";
import { type Affinities, openAffinities } from "../../src/mta/affinities.ts";

const settingsOf = (ips: readonly object[]) =>
  parseSettings({ mta: { affinities: [{ name: "a", ips }] } }).mta.affinities;

/** How many of `count` messages each public id gets. */
function spread(affinities: Affinities, count: number, domain = "one.example", site = "s"): Record<string, number> {
  const got: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const id = String(affinities.choose("a", domain, site)?.publicId ?? "none");
    got[id] = (got[id] ?? 0) + 1;
  }
  return got;
}

const FIVE_FIVE_ONE = settingsOf([
  { publicId: 1, address: "127.0.0.1", weight: 5 },
  { publicId: 2, address: "127.0.0.2", weight: 5 },
  { publicId: 3, address: "127.0.0.3", weight: 1 },
]);

test("5/5/1 is 45/45/10 %, without the first 83/17 %, and with it again as before", () => {
  const out = new Set<number>();
  const affinities = openAffinities(FIVE_FIVE_ONE, (_site, { publicId }) => !out.has(publicId));
  expect(spread(affinities, 1100)).toEqual({ 1: 500, 2: 500, 3: 100 });
  out.add(1);
  affinities.changed();
  expect(spread(affinities, 600)).toEqual({ 2: 500, 3: 100 });
  out.clear();
  affinities.changed();
  // Nothing is made up for: the first does not get a run of its own.
  expect(spread(affinities, 11)).toEqual({ 1: 5, 2: 5, 3: 1 });
});

test("there are no runs: of 5/5/1 no eleven in a row are other than 5, 5 and 1", () => {
  const affinities = openAffinities(FIVE_FIVE_ONE, () => true);
  for (let i = 0; i < 20; i++) expect(spread(affinities, 11)).toEqual({ 1: 5, 2: 5, 3: 1 });
});

test("each site has turns of its own", () => {
  const affinities = openAffinities(FIVE_FIVE_ONE, (site, { publicId }) => site !== "held" || publicId === 3);
  expect(spread(affinities, 11, "one.example", "held")).toEqual({ 3: 11 });
  expect(spread(affinities, 11)).toEqual({ 1: 5, 2: 5, 3: 1 });
});

test("when none is usable all of them are meant, by weight: the messages wait for their own", () => {
  expect(
    spread(
      openAffinities(FIVE_FIVE_ONE, () => false),
      11,
    ),
  ).toEqual({ 1: 5, 2: 5, 3: 1 });
});

test("a weight of 0 is a spare", () => {
  const ips = settingsOf([
    { publicId: 1, address: "127.0.0.1", weight: 1 },
    { publicId: 2, address: "127.0.0.2", weight: 0 },
  ]);
  let usable = true;
  const affinities = openAffinities(ips, (_site, { publicId }) => publicId === 2 || usable);
  expect(spread(affinities, 10)).toEqual({ 1: 10 });
  usable = false;
  affinities.changed();
  expect(spread(affinities, 10)).toEqual({ 2: 10 });
});

test("the masks of the document: include, then exclude, over the recipient's domain", () => {
  const ips = settingsOf([
    { publicId: 1, address: "127.0.0.1" },
    {
      publicId: 2,
      address: "127.0.0.2",
      includeDomains: ["wanadoo.com", "orange.com", "yahoo.*"],
      excludeDomains: ["neo.*", "yahoo.de"],
    },
  ]);
  const affinities = openAffinities(ips, () => true);
  const idsOf = (domain: string): number[] => affinities.allowed("a", domain).map(({ publicId }) => publicId);
  expect(idsOf("orange.com")).toEqual([1, 2]);
  expect(idsOf("ORANGE.com")).toEqual([1, 2]);
  expect(idsOf("yahoo.fr")).toEqual([1, 2]);
  expect(idsOf("yahoo.de")).toEqual([1]);
  expect(idsOf("gmail.com")).toEqual([1]);
  expect(idsOf("notorange.com")).toEqual([1]);
  // Domains of one site with other masks do not take each other's turns.
  expect(spread(affinities, 10, "orange.com")).toEqual({ 1: 5, 2: 5 });
  expect(spread(affinities, 10, "gmail.com")).toEqual({ 1: 10 });
  expect(spread(affinities, 10, "yahoo.fr")).toEqual({ 1: 5, 2: 5 });
});

test("no IP may, or nobody knows the affinity: none, never another one", () => {
  const affinities = openAffinities(settingsOf([{ excludeDomains: ["*"] }]), () => true);
  expect(affinities.choose("a", "one.example", "s")).toBeNull();
  expect(affinities.knows("a")).toBe(true);
  expect(affinities.choose("b", "one.example", "s")).toBeNull();
  expect(affinities.knows("b")).toBe(false);
});
