/** Which lane a message enters, and where it goes when that lane is of no use: with real lanes, and a quota that holds what it is told to. */
import { describe, expect, test } from "vitest";
import type { Log } from "../../src/base/log.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import { outcome } from "../../src/model/outcome.ts";
import { markSite, plainSite } from "../../src/model/site-mark.ts";
import type { Held } from "../../src/mta/held.ts";
import { openLane } from "../../src/mta/lane.ts";
import type { Lane } from "../../src/mta/lane-contract.ts";
import type { Resolver } from "../../src/mta/resolver.ts";
import { openSites, type Sites, type SitesDeps } from "../../src/mta/sites.ts";
import { type HandClock, handClock } from "../support/clock.ts";
import { held, part } from "../support/lane.ts";
import { loopbackResolver } from "../support/mta.ts";
import { openPlainTraffic, type PlainTraffic } from "../support/plain-traffic.ts";

const TWO = [
  { publicId: 1, address: "127.0.0.1" },
  { publicId: 2, address: "127.0.0.2" },
];
const SITE = "mx.one.example";

interface Scene {
  readonly clock: HandClock;
  readonly sites: Sites;
  readonly traffic: PlainTraffic;
  readonly finished: { readonly id: number; readonly outcome: Outcome }[];
  readonly given: { readonly id: number; readonly notBefore: number }[];
  readonly complaints: object[];
  readonly gone: Lane[];
  /** How many messages the lanes of each public id have. */
  waiting(): Record<string, number>;
}

/** Connections are never granted unless `connect` gives an outcome for one. */
function scene(
  options: {
    ips?: readonly object[];
    places?: boolean;
    policies?: SitesDeps["policies"];
    connect?: (publicId: number) => Outcome | null;
    resolver?: Resolver;
    mostStanding?: number;
  } = {},
): Scene {
  const clock = handClock();
  const traffic = openPlainTraffic([], clock);
  const finished: { id: number; outcome: Outcome }[] = [];
  const given: { id: number; notBefore: number }[] = [];
  const complaints: object[] = [];
  const gone: Lane[] = [];
  const log = { ...silentLog, error: (fields: object) => void complaints.push(fields) } as Log;
  const { mta: settings } = parseSettings({ mta: { affinities: [{ name: "default", ips: options.ips ?? TWO }] } });
  const sites: Sites = openSites({
    clock,
    log,
    settings,
    traffic,
    policies: options.policies ?? null,
    resolver: options.resolver ?? loopbackResolver,
    ...(options.mostStanding !== undefined && { mostStanding: options.mostStanding }),
    gone: (lane) => void gone.push(lane),
    openLane: (key, blockedSince) =>
      openLane(
        key,
        {
          clock,
          traffic,
          weights: [64, 8, 4, 1],
          idleMs: 5000,
          capacity: 10,
          urgentCapacity: 10,
          async connect(lane, urgent, events, signal) {
            const said = options.connect?.(lane.publicId) ?? null;
            const quota = { ...lane, site: plainSite(lane.site) };
            const grant = await traffic.connection(quota, [{ mx: SITE, ip: "127.0.0.1" }], urgent, signal);
            if (grant === null || !(await events.granted(grant, 1))) return null;
            if (said === null)
              return new Promise(() => {
                /* as slow as it gets */
              });
            events.failed(grant);
            return said;
          },
          render: (h) => Promise.resolve({ id: h.id, unavailable: "never" }),
          finish: (h, result) => void finished.push({ id: h.id, outcome: result }),
          giveBack: (h, notBefore) => void given.push({ id: h.id, notBefore }),
          park: (h, notBefore) => void given.push({ id: h.id, notBefore }),
          elsewhere: (h, from) => sites.elsewhere(h, from),
          turned: (lane) => sites.turned(lane),
          relieved() {},
          expect() {},
          takePlace: () => options.places === true,
          freePlace() {},
          crowded: () => false,
          wants() {},
          takeBytes: () => false,
          freeBytes() {},
        },
        blockedSince,
      ),
    giveBack: (h, notBefore) => void given.push({ id: h.id, notBefore }),
    finish: (h, result) => void finished.push({ id: h.id, outcome: result }),
  });
  return {
    clock,
    sites,
    traffic,
    finished,
    given,
    complaints,
    gone,
    waiting() {
      const found: Record<string, number> = {};
      for (const { key, held: count } of sites.lanes)
        if (count > 0) found[key.publicId] = (found[key.publicId] ?? 0) + count;
      return found;
    },
  };
}

const some = (count: number, of = part()): Held[] => Array.from({ length: count }, (_, i) => held(i + 1, of));

test.each(["suspension", "back-off", "warm-up"] as const)(
  "an IP held by %s: what waits there moves to the other at once, new mail goes there, and comes back afterwards",
  async (kind) => {
    const { sites, traffic, clock, waiting, finished, given } = scene();
    sites.place(some(8));
    await clock.advance(0);
    expect(waiting()).toEqual({ 1: 4, 2: 4 });
    traffic.holdSite(SITE, 1, kind);
    expect(waiting()).toEqual({ 2: 8 });
    sites.place(some(4));
    expect(waiting()).toEqual({ 2: 12 });
    traffic.holdSite(SITE, 1, null);
    await clock.advance(0);
    sites.place(some(4));
    expect(waiting()).toEqual({ 1: 2, 2: 14 });
    expect([finished, given]).toEqual([[], []]);
  },
);

test.each(["quota", "connections", "stat"] as const)("held by %s it waits for its own", async (kind) => {
  const { sites, traffic, clock, waiting } = scene();
  sites.place(some(8));
  await clock.advance(0);
  traffic.holdSite(SITE, 1, kind);
  expect(waiting()).toEqual({ 1: 4, 2: 4 });
});

test("all are held: what waits stays, and moves when one of them may go", async () => {
  const { sites, traffic, clock, waiting, finished } = scene();
  traffic.holdSite(SITE, 1, "suspension");
  traffic.holdSite(SITE, 2, "suspension");
  sites.place(some(8));
  await clock.advance(0);
  await clock.advance(0);
  expect(waiting()).toEqual({ 1: 4, 2: 4 });
  traffic.holdSite(SITE, 2, null);
  expect(waiting()).toEqual({ 2: 8 });
  expect(finished).toEqual([]);
});

test("an IP that does not reach the site leaves its messages to the other; when neither does, they are deferred", async () => {
  const down = new Set([1]);
  const { sites, clock, waiting, finished } = scene({
    places: true,
    connect: (id) => (down.has(id) ? outcome("unreachable", "connect", { text: `${id} is down` }) : null),
  });
  sites.place(some(8));
  await clock.advance(0);
  await clock.advance(0);
  expect(waiting()).toEqual({ 2: 8 });
  expect(finished).toEqual([]);
  sites.place(some(2));
  expect(waiting()).toEqual({ 2: 10 });
});

test("neither IP reaches the site: each message is deferred, after both were tried", async () => {
  const tried: number[] = [];
  const { sites, clock, waiting, finished } = scene({
    places: true,
    connect(id) {
      tried.push(id);
      return outcome("unreachable", "connect", { text: `${id} is down` });
    },
  });
  sites.place(some(8));
  for (let i = 0; i < 5; i++) await clock.advance(0);
  expect(tried.toSorted()).toEqual([1, 2]);
  expect(finished).toHaveLength(8);
  expect(new Set(finished.map(({ id }) => id)).size).toBe(8);
  expect(waiting()).toEqual({});
});

test("an IP with masks gets its domains only", async () => {
  const { sites, clock, waiting } = scene({
    ips: [TWO[0]!, { ...TWO[1], includeDomains: ["two.*"] }],
  });
  sites.place(some(8));
  await clock.advance(0);
  expect(waiting()).toEqual({ 1: 8 });
});

test("an affinity that is gone from the settings: held for a minute, never sent from elsewhere, and loudly said, once", async () => {
  const { sites, clock, given, finished, complaints, waiting } = scene();
  sites.place(some(3, part({ affinity: "gone", id: 77 })));
  await clock.advance(0);
  expect(given).toEqual([1, 2, 3].map((id) => ({ id, notBefore: clock.now() + 60_000 })));
  expect(finished).toEqual([]);
  expect(waiting()).toEqual({});
  expect(complaints).toEqual([{ affinity: "gone", delivery: 77, domain: "one.example" }]);
  await clock.advance(61_000);
  sites.place(some(1, part({ affinity: "gone", id: 77 })));
  await clock.advance(0);
  expect(complaints).toHaveLength(2);
});

test("domains are full when every IP that may serve them is held or full", async () => {
  const { sites, traffic, clock } = scene({
    ips: [TWO[0]!, { ...TWO[1], excludeDomains: ["two.example"] }],
  });
  sites.place([...some(2), { ...held(9, part()), address: "p@two.example", domain: "two.example" }]);
  await clock.advance(0);
  expect(sites.saturatedDomains("default", false)).toEqual([]);
  traffic.holdSite("mx.two.example", 1, "suspension");
  traffic.holdSite(SITE, 1, "suspension");
  expect(sites.saturatedDomains("default", false)).toEqual(["two.example"]);
  expect(sites.saturatedDomains("default", true)).toEqual(["two.example"]);
  traffic.holdSite(SITE, 2, "suspension");
  expect(sites.saturatedDomains("default", false).toSorted()).toEqual(["one.example", "two.example"]);
  traffic.holdSite(SITE, 1, null);
  await clock.advance(0);
  expect(sites.saturatedDomains("default", false)).toEqual(["two.example"]);
});

describe("a hundred sites whose mail may not go", () => {
  const domains = Array.from({ length: 100 }, (_, i) => `d${i}.example`);
  const mail = (): Held[] => domains.map((domain, i) => ({ ...held(i + 1, part()), address: `p@${domain}`, domain }));
  const pass = async ({ clock, sites }: Scene, seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await clock.advance(1000);
      sites.sweep();
    }
  };

  test("ten lanes and ten requests stand for them; what comes again goes back for as long as it has been so", async () => {
    const s = scene({ ips: [{ publicId: 1, address: "127.0.0.1" }], mostStanding: 10 });
    const { clock, sites, traffic, given, gone } = s;
    for (const domain of domains) traffic.holdSite(`mx.${domain}`, 1, "quota");
    sites.place(mail());
    await pass(s, 30);
    expect(given).toHaveLength(100);
    expect([[...sites.lanes].length, traffic.waiting, gone.length]).toEqual([10, 10, 90]);
    await pass(s, 90);
    given.length = 0;
    sites.place(mail());
    await clock.advance(0);
    // Two minutes, and not ten seconds in memory and ten in the database for ever.
    expect(given).toHaveLength(100);
    for (const { notBefore } of given) expect(notBefore - clock.now()).toBeGreaterThan(100_000);
    await pass(s, 20);
    expect([[...sites.lanes].length, traffic.waiting]).toEqual([10, 10]);
  });

  test("when it may, a lane that was made anew is granted, although what came before its grant went back", async () => {
    const s = scene({ ips: [{ publicId: 1, address: "127.0.0.1" }], mostStanding: 10 });
    const { clock, sites, traffic, given } = s;
    for (const domain of domains) traffic.holdSite(`mx.${domain}`, 1, "quota");
    sites.place(mail());
    await pass(s, 30);
    for (const domain of domains) traffic.holdSite(`mx.${domain}`, 1, null);
    await clock.advance(0);
    given.length = 0;
    const first = (): Held[] => mail().slice(0, 1);
    sites.place(first());
    await clock.advance(0);
    expect(given).toHaveLength(1);
    sites.place(first());
    await clock.advance(0);
    expect(given).toHaveLength(1);
    expect(s.waiting()).toEqual({ 1: 1 });
  });

  test("an IP that is suspended: ten lanes remember it, the mail goes from the other one", async () => {
    const s = scene({ mostStanding: 10 });
    for (const domain of domains) s.traffic.holdSite(`mx.${domain}`, 1, "suspension");
    s.sites.place(mail());
    await s.clock.advance(0);
    expect(s.waiting()).toEqual({ 2: 100 });
    await pass(s, 15);
    expect([...s.sites.lanes].filter(({ key }) => key.publicId === 1).length).toBeLessThanOrEqual(10);
    expect(s.waiting()[1]).toBeUndefined();
  });

  test("domains that nothing is heard of are forgotten, those of a lane that stands for them are not", async () => {
    const s = scene({ ips: [{ publicId: 1, address: "127.0.0.1" }], mostStanding: 10 });
    for (const domain of domains) s.traffic.holdSite(`mx.${domain}`, 1, "quota");
    s.sites.place(mail());
    await pass(s, 30);
    expect(s.sites.saturatedDomains("default", false)).toHaveLength(10);
    await pass(s, 120);
    expect(s.sites.saturatedDomains("default", false)).toHaveLength(10);
    expect(s.sites.knownDomains).toBe(10);
  });
});

test("where a domain's mail goes is asked anew after half a minute, also when the system's clock is put back", async () => {
  let asked = 0;
  const route: Resolver["route"] = (domain) => (asked++, loopbackResolver.route(domain));
  const { sites, clock } = scene({ resolver: { ...loopbackResolver, route } });
  sites.place(some(1));
  await clock.advance(0);
  clock.jump(-3_600_000);
  await clock.advance(29_000);
  sites.place(some(1));
  expect(asked).toBe(1);
  await clock.advance(1_000);
  sites.place(some(1));
  expect(asked).toBe(2);
});

test("reports: what waits in lanes with its hold, and what waits for DNS", async () => {
  const { sites, traffic, clock } = scene();
  sites.place(some(2));
  expect(sites.reports()).toMatchObject([
    { site: "one.example", mx: "", publicId: 0, waiting: 2, inFlight: 0, sessions: 0, hold: { kind: "dns" } },
  ]);
  await clock.advance(0);
  traffic.holdSite(SITE, 1, "quota");
  const reports = sites.reports().toSorted((a, b) => a.publicId - b.publicId);
  expect(reports).toMatchObject([
    { site: SITE, mx: SITE, publicId: 1, waiting: 1, hold: { kind: "quota", by: "test" } },
    { site: SITE, mx: SITE, publicId: 2, waiting: 1, hold: null },
  ]);
});

const policies = (mark: (domain: string) => string, refused = ""): NonNullable<SitesDeps["policies"]> => ({
  policyOf: (domain, route) =>
    Promise.resolve({
      domain,
      name: mark(domain),
      route: { ...route, site: markSite("mx.shared.example", mark(domain)) },
      refusal: refused === "" ? null : { refused, result: "validation-failure" as const },
      demand: () => Promise.resolve(null),
    }),
  refuse: ({ refused: text }) => outcome("unreachable", "resolve", { enhanced: "4.7.5", text }),
});

test("domains of other TLS policies on the same exchangers have lanes apart, and one quota", async () => {
  const { sites, traffic, clock, waiting } = scene({ policies: policies((d) => (d === "two.example" ? "sts" : "")) });
  sites.place([...some(4), { ...held(9, part()), address: "p@two.example", domain: "two.example" }]);
  await clock.advance(0);
  await clock.advance(0);
  const sitesOf = [...sites.lanes].map(({ key }) => key.site);
  expect(new Set(sitesOf)).toEqual(new Set(["mx.shared.example", "mx.shared.example#sts"]));
  expect(new Set(sites.reports().map(({ site }) => site))).toEqual(new Set(["mx.shared.example"]));
  traffic.holdSite("mx.shared.example", 1, "suspension");
  expect(waiting()).toEqual({ 2: 5 });
});

test("a policy that leaves no exchanger defers the domain's messages with its reason", async () => {
  const { sites, clock, finished } = scene({ policies: policies(() => "sts", "none is in the policy") });
  sites.place(some(2));
  await clock.advance(0);
  expect(finished).toMatchObject([1, 2].map((id) => ({ id, outcome: { enhanced: "4.7.5" } })));
});

test("while a policy is looked up its messages wait for that, and it says so", async () => {
  const looking = { ...policies(() => ""), policyOf: () => new Promise<never>(() => undefined) };
  const { sites, clock, waiting } = scene({ policies: looking });
  sites.place(some(2));
  await clock.advance(0);
  expect(sites.reports()).toMatchObject([{ site: "one.example", waiting: 2, hold: { kind: "tls-policy" } }]);
  expect(waiting()).toEqual({});
});
