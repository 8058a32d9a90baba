import { describe, expect, test } from "vitest";
import { checkSettings, parseSettings } from "../../src/config/settings.ts";

function problems(affinities: unknown): string[] {
  const checked = checkSettings({ mta: { affinities } });
  return "problems" in checked ? checked.problems.map(({ path, text }) => `${path.join(".")}: ${text}`) : [];
}

describe("an address is one public id and one HELO name over all affinities", () => {
  test("two public ids for one address, in two affinities", () => {
    expect(
      problems([
        { name: "news", ips: [{ address: "192.0.2.1", publicId: 1 }] },
        {
          name: "alerts",
          ips: [
            { address: "192.0.2.2", publicId: 2 },
            { address: "192.0.2.1", publicId: 3 },
          ],
        },
      ]),
    ).toEqual([
      "mta.affinities.1.ips.1.publicId: 192.0.2.1 has public id 1 in affinities[0].ips[0]; an address has one public id everywhere",
    ]);
  });
  test("in one affinity, in another spelling, with another HELO name too", () => {
    const said = problems([
      {
        name: "news",
        ips: [
          { address: "2001:db8::1", publicId: 1, helo: "a.example" },
          { address: "2001:0DB8:0:0::1", publicId: 2, helo: "b.example" },
        ],
      },
    ]);
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/^mta\.affinities\.0\.ips\.1\.publicId: .*public id 1/);
    expect(said[1]).toMatch(/^mta\.affinities\.0\.ips\.1\.helo: .*HELO name a\.example/);
  });
  test("one HELO name given and one not are two", () => {
    expect(
      problems([
        { name: "news", ips: [{ address: "192.0.2.1" }] },
        { name: "alerts", ips: [{ address: "192.0.2.1", helo: "a.example" }] },
      ]),
    ).toEqual([expect.stringContaining("no HELO name of its own in affinities[0].ips[0]")]);
  });
  test("the same address everywhere the same, two addresses behind one public id, no address at all: in order", () => {
    const affinities = [
      {
        name: "news",
        ips: [
          { address: "192.0.2.1", publicId: 1, helo: "a.example" },
          { address: "10.0.0.2", publicId: 1 },
        ],
      },
      { name: "alerts", ips: [{ address: "192.0.2.1", publicId: 1, helo: "A.example", weight: 5 }] },
      { name: "rest", ips: [{ publicId: 1 }, { publicId: 2 }] },
    ];
    expect(problems(affinities)).toEqual([]);
    expect(parseSettings({ mta: { affinities } }).mta.affinities.map(({ name }) => name)).toEqual([
      "news",
      "alerts",
      "rest",
    ]);
  });
});

test("names given twice, addresses that are none, masks that are none", () => {
  const said = problems([
    { name: "news", ips: [{ address: "mail.example" }] },
    { name: "news", ips: [{}] },
    { name: "rest", ips: [{ includeDomains: ["orange.fr", "yahoo.*", "a b"], excludeDomains: ["@neo.example"] }] },
  ]);
  expect(said).toEqual([
    "mta.affinities.0.ips.0.address: is not an IP address",
    "mta.affinities.1.name: is the name of affinities[0] too",
    'mta.affinities.2.ips.0.includeDomains.2: holds " ", which is in no name of a host',
    'mta.affinities.2.ips.0.excludeDomains.0: holds "@", which is in no name of a host',
  ]);
});

test("the settings as they are without a file are in order", () => {
  expect(parseSettings({}).mta.affinities).toMatchObject([{ name: "default", ips: [{ address: "", publicId: 0 }] }]);
});
