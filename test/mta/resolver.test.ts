import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { systemClock } from "../../src/base/clock.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { DnsSettings } from "../../src/config/settings.ts";
import { openResolver, type Resolver } from "../../src/mta/resolver.ts";
import { openDnsServer, type DnsServer, type DnsRecords } from "../support/dns-server.ts";
import { handClock } from "../support/clock.ts";

let server: DnsServer;
const zones: Record<string, DnsRecords> = {
  "two.test": {
    MX: [
      [20, "B.two.test"],
      [10, "a.two.test."],
    ],
  },
  "a.two.test": { A: ["192.0.2.1", "192.0.2.2"], AAAA: ["2001:db8::1"] },
  "b.two.test": { A: ["192.0.2.3"] },
  "null.test": { MX: [[0, ""]] },
  "half-null.test": {
    MX: [
      [0, ""],
      [10, "a.two.test"],
    ],
  },
  "implicit.test": { A: ["192.0.2.9"] },
  "six.test": { AAAA: ["2001:db8::6"] },
  "empty.test": { TXT: ["nothing here"] },
  "fail.test": { rcode: "SERVFAIL" },
  "refused.test": { rcode: "REFUSED" },
  "silent.test": { silent: true },
  "literal.test": { MX: [[10, "192.0.2.7"]] },
  "literal-first.test": {
    MX: [
      [5, "192.0.2.7"],
      [10, "a.two.test"],
    ],
  },
  "dead-mx.test": {
    MX: [
      [10, "nowhere.test"],
      [20, "empty.test"],
    ],
  },
  "half-dead.test": {
    MX: [
      [10, "nowhere.test"],
      [20, "a.two.test"],
    ],
  },
  "unsure.test": { MX: [[10, "fail.test"]] },
  "alias.test": { CNAME: "two.test" },
  "alias-address.test": { CNAME: "implicit.test" },
  "loop.test": { CNAME: "loop.test" },
  "same.test": { MX: ["d", "b", "c", "a"].map((name) => [10, `${name}.same.test`] as const) },
  "many.test": { MX: Array.from({ length: 200 }, (_, i) => [i, `mx-with-a-rather-long-name-${i}.many.test`] as const) },
  "twice.test": {
    MX: [
      [20, "a.two.test"],
      [10, "A.Two.Test"],
    ],
  },
  "xn--bcher-kva.test": { MX: [[10, "a.two.test"]] },
};
for (const name of ["a", "b", "c", "d"]) zones[`${name}.same.test`] = { A: ["192.0.2.20"] };

beforeEach(async () => {
  server = await openDnsServer((name, type) =>
    name.endsWith(".many.test")
      ? { A: ["192.0.2.30"] }
      : name === "boom.test" && type === "MX"
        ? "SERVFAIL"
        : zones[name],
  );
});
afterEach(() => server.close());

let trustAd = false;

function open(parts: Partial<DnsSettings> = {}, clock: Clock = systemClock): Resolver {
  const defaults = parseSettings({}).mta.dns;
  return openResolver(
    { ...defaults, timeoutMs: 400, tries: 1, servers: [`127.0.0.1:${server.port}`], trustAd, ...parts },
    clock,
  );
}

// The same by node:dns and by our own questions.
describe.each([false, true])("trustAd %s", (trusted) => {
  beforeEach(() => void (trustAd = trusted));

  describe("routes that are none", () => {
    test.each([
      ["nowhere.test", { kind: "unroutable", enhanced: "5.1.2", text: "no such domain: nowhere.test" }],
      ["null.test", { kind: "unroutable", enhanced: "5.1.10", text: "the domain takes no mail: null.test" }],
      ["empty.test", { kind: "unroutable", enhanced: "5.4.4", text: "neither MX nor address: empty.test" }],
      ["literal.test", { kind: "unroutable", enhanced: "5.4.4" }],
      ["dead-mx.test", { kind: "unroutable", enhanced: "5.4.4" }],
      ["fail.test", { kind: "temporary", text: "the DNS server failed: MX fail.test" }],
      ["boom.test", { kind: "temporary", text: "the DNS server failed: MX boom.test" }],
      ["refused.test", { kind: "temporary" }],
      ["silent.test", { kind: "temporary", text: "the DNS does not answer: MX silent.test" }],
      ["loop.test", { kind: "temporary" }],
    ])("%s", async (domain, expected) => {
      expect(await open().route(domain)).toMatchObject(expected);
    });

    const long = "a".repeat(64);
    test.each([
      "",
      ".",
      "a..b",
      "[192.0.2.1]",
      "192.0.2.1",
      "a b.test",
      "a\r\n.test",
      `${long}.test`,
      "x.".repeat(130),
    ])("%j is not asked for", async (domain) => {
      expect(await open().route(domain)).toMatchObject({ kind: "unroutable", enhanced: "5.1.2" });
      expect(server.queries).toEqual([]);
    });

    test("nobody listens", async () => {
      const resolver = open();
      await server.close();
      expect(await resolver.route("two.test")).toMatchObject({ kind: "temporary" });
      server = await openDnsServer({});
    });
  });

  describe("routes", () => {
    test.each([
      ["two.test", "a.two.test,b.two.test"],
      ["TWO.Test.", "a.two.test,b.two.test"],
      ["half-null.test", "a.two.test"],
      ["implicit.test", "implicit.test"],
      ["six.test", "six.test"],
      ["literal-first.test", "a.two.test"],
      ["half-dead.test", "a.two.test"],
      ["unsure.test", "fail.test"],
      ["alias.test", "a.two.test,b.two.test"],
      ["alias-address.test", "alias-address.test"],
      ["same.test", "a.same.test,b.same.test,c.same.test,d.same.test"],
      ["twice.test", "a.two.test"],
      ["bücher.test", "a.two.test"],
    ])("%s", async (domain, site) => {
      expect(await open().route(domain)).toMatchObject({ kind: "site", site });
    });

    test("an answer that needs TCP, and no more exchangers than are sane", async () => {
      const route = await open().route("many.test");
      if (route.kind !== "site") throw new Error(route.text);
      expect(route.exchangers).toHaveLength(20);
      expect(route.exchangers[19]).toEqual({ name: "mx-with-a-rather-long-name-19.many.test", preference: 19 });
    });

    test("order: by preference, by chance inside one", async () => {
      const resolver = open();
      const [same, two] = [await resolver.route("same.test"), await resolver.route("two.test")];
      if (same.kind !== "site" || two.kind !== "site") throw new Error("no route");
      const orders = Array.from({ length: 200 }, () =>
        resolver
          .order(same)
          .map(({ name }) => name[0])
          .join(""),
      );
      expect(new Set(orders).size).toBeGreaterThan(10);
      expect(new Set(orders.map((order) => order[0]))).toEqual(new Set(["a", "b", "c", "d"]));
      for (let i = 0; i < 20; i++)
        expect(resolver.order(two).map(({ name }) => name)).toEqual(["a.two.test", "b.two.test"]);
    });
  });

  describe("addresses", () => {
    const both = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    test.each([
      ["ipv4", both],
      ["ipv6", ["2001:db8::1", "192.0.2.1", "192.0.2.2"]],
      ["ipv4-only", both.slice(0, 2)],
      ["ipv6-only", both.slice(2)],
    ] as const)("prefer %s", async (prefer, expected) => {
      expect(await open({ prefer }).addresses("a.two.test")).toEqual(expected);
    });

    test("none, none of the family, not now, and an address itself", async () => {
      const resolver = open({ prefer: "ipv6-only" });
      expect(await resolver.addresses("nowhere.test")).toMatchObject({ kind: "none" });
      expect(await resolver.addresses("b.two.test")).toMatchObject({ kind: "none" });
      expect(await resolver.addresses("fail.test")).toMatchObject({ kind: "temporary" });
      expect(await resolver.addresses("192.0.2.5")).toEqual(["192.0.2.5"]);
    });
  });

  describe("memory", () => {
    test("asked once by many, kept for its time, and then asked again", async () => {
      const clock = handClock();
      const resolver = open({ prefer: "ipv4-only", cacheMs: 1000, negativeCacheMs: 500 }, clock);
      const routes = await Promise.all(Array.from({ length: 50 }, () => resolver.route("two.test")));
      expect(new Set(routes).size).toBe(1);
      expect([...server.queries].sort()).toEqual(["A a.two.test", "A b.two.test", "MX two.test"]);
      await clock.advance(999);
      await resolver.route("two.test");
      expect(server.queries).toHaveLength(3);
      server.zones = { "two.test": { MX: [[1, "c.test"]] }, "c.test": { A: ["192.0.2.99"] } };
      await clock.advance(1);
      expect(await resolver.route("two.test")).toMatchObject({ site: "c.test" });
    });

    test("no such domain is kept shorter, a failure shortest", async () => {
      const clock = handClock();
      const resolver = open({ cacheMs: 300_000, negativeCacheMs: 60_000 }, clock);
      expect(await resolver.route("late.test")).toMatchObject({ kind: "unroutable" });
      expect(await resolver.route("fail.test")).toMatchObject({ kind: "temporary" });
      server.zones = { "late.test": { A: ["192.0.2.1"] }, "fail.test": { A: ["192.0.2.1"] } };
      await clock.advance(9_999);
      expect(await resolver.route("fail.test")).toMatchObject({ kind: "temporary" });
      await clock.advance(1);
      expect(await resolver.route("fail.test")).toMatchObject({ kind: "site" });
      await clock.advance(49_999);
      expect(await resolver.route("late.test")).toMatchObject({ kind: "unroutable" });
      await clock.advance(1);
      expect(await resolver.route("late.test")).toMatchObject({ kind: "site" });
    });

    test("kept as long when the system's clock is put back", async () => {
      const clock = handClock();
      const resolver = open({ cacheMs: 1000 }, clock);
      await resolver.route("two.test");
      clock.jump(-3_600_000);
      server.zones = { "two.test": { MX: [[1, "c.test"]] }, "c.test": { A: ["192.0.2.99"] } };
      await clock.advance(1000);
      expect(await resolver.route("two.test")).toMatchObject({ site: "c.test" });
    });

    test("a thousand domains at once are all answered", async () => {
      const resolver = open({ timeoutMs: 2000, tries: 3 });
      const domains = Array.from({ length: 1000 }, (_, i) => `d${i}.many.test`);
      const routes = await Promise.all(domains.map((domain) => resolver.route(domain)));
      expect(routes.filter(({ kind }) => kind !== "site")).toEqual([]);
    });
  });
});
