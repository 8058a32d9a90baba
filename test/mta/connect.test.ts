import { expect, test } from "vitest";
import { parseSettings, type SmtpSettings } from "../../src/config/settings.ts";
import { type Outcome, outcome } from "../../src/model/outcome.ts";
import type { ConnectionGrant, LaneKey } from "../../src/model/traffic.ts";
import { openConnect } from "../../src/mta/connect.ts";
import type { Connect } from "../../src/mta/connect-contract.ts";
import type { TlsDemand, TlsPolicy, TlsRefusal } from "../../src/mta/tls-policy/contract.ts";
import type { LanePath } from "../../src/mta/lane-table.ts";
import type { Addresses, Resolver } from "../../src/mta/resolver.ts";
import type { Session, SessionTarget } from "../../src/mta/session-contract.ts";
import { type HandClock, handClock } from "../support/clock.ts";
import { openPlainTraffic, type PlainRule, type PlainTraffic } from "../support/plain-traffic.ts";

const KEY: LaneKey = { site: "s", mx: "mx0", publicId: 7, localAddress: "" };
const DEAD = outcome("unreachable", "connect", { text: "timed out" });
const session = (target: SessionTarget): Session => ({ target }) as Session;
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `1.2.3.${i + 1}`);

interface Scene {
  readonly clock: HandClock;
  readonly connect: () => ReturnType<Connect>;
  /** Addresses in the order they were tried. */
  readonly tried: string[];
  readonly targets: SessionTarget[];
  readonly times: SmtpSettings[];
  readonly traffic: PlainTraffic;
  readonly grants: ConnectionGrant[];
  readonly stop: AbortController;
}

interface SceneOptions {
  /** The addresses of each exchanger, by name, in the order of preference. */
  readonly exchangers: Readonly<Record<string, Addresses>>;
  readonly open?: (target: SessionTarget) => Session | Outcome;
  /** How long an address, and a name, takes. */
  readonly openMs?: number;
  readonly resolveMs?: number;
  readonly mta?: object;
  readonly rules?: readonly PlainRule[];
  /** Preferences of the exchangers; 0, 1, 2, … when not given. */
  readonly preferences?: readonly number[];
  readonly ip?: Partial<LanePath["ip"]>;
  readonly policy?: TlsPolicy;
  readonly granted?: (grant: ConnectionGrant) => Promise<boolean>;
}

function scene({ exchangers, open = () => DEAD, openMs = 0, resolveMs = 0, mta = {}, ...more }: SceneOptions): Scene {
  const clock = handClock();
  const traffic = openPlainTraffic(more.rules ?? [], clock);
  const tried: string[] = [];
  const targets: SessionTarget[] = [];
  const times: SmtpSettings[] = [];
  const grants: ConnectionGrant[] = [];
  const stop = new AbortController();
  const names = Object.keys(exchangers).map((name, i) => ({ name, preference: more.preferences?.[i] ?? i }));
  const route = { kind: "site" as const, site: "s", exchangers: names };
  const resolver: Resolver = {
    route: () => Promise.resolve(route),
    order: () => names,
    async addresses(name) {
      await clock.advance(resolveMs);
      return exchangers[name] ?? { kind: "none", text: "" };
    },
  };
  const { mta: settings } = parseSettings({ mta });
  const connect = openConnect({
    clock,
    settings,
    helo: "h",
    resolver,
    path: () => ({
      route,
      policy: more.policy ?? null,
      ip: { address: "", publicId: 7, weight: 1, helo: "", includeDomains: [], excludeDomains: [], ...more.ip },
    }),
    traffic,
    policies: {
      refuse: ({ refused }, parts) => outcome("unreachable", "resolve", { ...parts, enhanced: "4.7.5", text: refused }),
    },
    async open(target, smtp) {
      tried.push(target.ip);
      targets.push(target);
      times.push(smtp);
      await clock.advance(openMs);
      return open(target);
    },
    permit: () => true,
  });
  const events = {
    change() {},
    granted(grant: ConnectionGrant) {
      grants.push(grant);
      return more.granted?.(grant) ?? Promise.resolve(true);
    },
    failed: (grant: ConnectionGrant) => grant.close(),
  };
  const attempt = (): ReturnType<Connect> => connect(KEY, false, events, stop.signal);
  return { clock, tried, targets, times, traffic, grants, stop, connect: attempt };
}

function policyOf(demand: (mx: string) => TlsDemand | TlsRefusal | null): TlsPolicy {
  const route = { kind: "site" as const, site: "s#sts", exchangers: [] };
  return { domain: "one.example", name: "test", route, refusal: null, demand: (mx) => Promise.resolve(demand(mx)) };
}

test("a site with hundreds of dead addresses: five an attempt, and the next attempt goes on with others", async () => {
  const all = numbered(200);
  const { connect, tried } = scene({ exchangers: { mx0: all.slice(0, 100), mx1: all.slice(100) } });
  expect(await connect()).toBe(DEAD);
  expect(tried).toEqual(all.slice(0, 5));
  expect(await connect()).toBe(DEAD);
  expect(tried).toEqual(all.slice(0, 10));
});

test("addresses that take their time: none is begun after a minute", async () => {
  const { clock, connect, tried } = scene({ exchangers: { mx0: numbered(5) }, openMs: 30_000 });
  const began = clock.now();
  expect(await connect()).toBe(DEAD);
  expect(tried).toHaveLength(2);
  expect(clock.now() - began).toBe(60_000);
});

test("names that take longer than the minute: no more are asked for, and one address is tried all the same", async () => {
  const exchangers = { mx0: ["1.2.3.1", "1.2.3.2"], mx1: ["1.2.3.3"], mx2: ["1.2.3.4"] };
  const { clock, connect, tried } = scene({ exchangers, resolveMs: 40_000 });
  const began = clock.now();
  expect(await connect()).toBe(DEAD);
  expect(tried).toEqual(["1.2.3.1"]);
  expect(clock.now() - began).toBe(80_000);
});

test("when all of them rest, those whose rest ends first are tried first", async () => {
  const all = numbered(7);
  const { clock, connect, tried } = scene({ exchangers: { mx0: all } });
  await connect();
  await clock.advance(1000);
  await connect();
  expect(tried.splice(0)).toEqual(all);
  await clock.advance(1000);
  await connect();
  expect(tried.splice(0)).toEqual(all.slice(0, 5));
  await connect();
  expect(tried.slice(0, 2)).toEqual(all.slice(5));
});

test.each([
  ["forward", 3_600_000],
  ["back", -3_600_000],
])("the system's clock is put %s: a rest is as long as it was, and so is an attempt", async (_name, ms) => {
  let jumps = false;
  const { clock, connect, tried } = scene({
    exchangers: { mx0: numbered(6) },
    open: () => {
      if (jumps) clock.jump(ms);
      return DEAD;
    },
    openMs: 100,
  });
  await connect();
  clock.jump(ms);
  await connect();
  // The sixth has not been tried yet; the others rest.
  expect(tried.splice(0)).toEqual(numbered(6));
  await clock.advance(4000);
  jumps = true;
  await connect();
  expect(tried).toEqual(numbered(5));
});

test("the first session ends the attempt; its address no longer rests", async () => {
  let dead = true;
  const { clock, connect, tried } = scene({
    exchangers: { mx0: ["1.2.3.1"], mx1: ["1.2.3.2"] },
    open: (target) => (dead && target.mx === "mx0" ? DEAD : session(target)),
  });
  expect(await connect()).toMatchObject({ target: { mx: "mx1", ip: "1.2.3.2", publicId: 7, port: 25 } });
  dead = false;
  await clock.advance(4000);
  expect(await connect()).toMatchObject({ target: { mx: "mx0" } });
  expect(tried).toEqual(["1.2.3.1", "1.2.3.2", "1.2.3.1"]);
});

test("an order to stop is heard between two addresses", async () => {
  const { connect, tried, stop } = scene({
    exchangers: { mx0: numbered(3) },
    open: () => {
      stop.abort();
      return DEAD;
    },
  });
  expect(await connect()).toBeNull();
  expect(tried).toHaveLength(1);
});

test("an exchanger with private addresses only is not connected to, and the outcome says so", async () => {
  const { connect, tried } = scene({ exchangers: { "mx.example": ["10.0.0.1"] } });
  expect(await connect()).toMatchObject({
    kind: "unreachable",
    stage: "resolve",
    enhanced: "4.4.4",
    text: "exchanger mx.example has only private addresses (10.0.0.1)",
    publicId: 7,
  });
  expect(tried).toEqual([]);
});

test("the text names three of many addresses, and those of the first exchanger", async () => {
  const many = Array.from({ length: 32 }, (_, i) => `fe80::${i + 1}`);
  const { connect } = scene({ exchangers: { a: many, b: ["127.0.0.1"] } });
  expect(await connect()).toMatchObject({ text: "exchanger a has only private addresses (fe80::1, fe80::2, fe80::3)" });
});

test("a private address among public ones is left out, wherever it stands", async () => {
  const exchangers = { a: ["127.0.0.1", "1.2.3.1", "::1"], b: ["192.168.0.1"], c: ["1.2.3.2"] };
  const { connect, tried } = scene({ exchangers });
  expect(await connect()).toBe(DEAD);
  expect(tried).toEqual(["1.2.3.1", "1.2.3.2"]);
});

test("a name the DNS cannot tell now is the better reason: it may have a public address", async () => {
  const { connect } = scene({ exchangers: { a: ["10.0.0.1"], b: { kind: "temporary", text: "SERVFAIL" } } });
  expect(await connect()).toMatchObject({ kind: "unreachable", enhanced: "4.4.3", text: "SERVFAIL" });
});

test.each([
  ["the setting", { smtp: { privateAddresses: true } }],
  ["a relay", { relay: { host: "127.0.0.1" } }],
])("private addresses are connected to with %s", async (_, mta) => {
  const { connect, tried } = scene({ exchangers: { a: ["127.0.0.1", "fc00::1"] }, open: session, mta });
  expect(await connect()).toMatchObject({ target: { ip: "127.0.0.1" } });
  expect(tried).toEqual(["127.0.0.1"]);
});

test("the quota chooses among all awake addresses of the best preference, and no others", async () => {
  const { connect, tried } = scene({
    exchangers: { a: ["1.2.3.1"], b: ["1.2.3.2"], c: ["1.2.3.3"] },
    preferences: [10, 10, 20],
    rules: [{ mx: "a", connections: 1 }],
    open: session,
  });
  await connect();
  await connect();
  await connect();
  expect(tried).toEqual(["1.2.3.1", "1.2.3.2", "1.2.3.2"]);
});

test("a failed address gives its grant back, is told to the statistics, and the next preference is asked for", async () => {
  const { connect, traffic, targets } = scene({
    exchangers: { a: ["1.2.3.1"], b: ["1.2.3.2"] },
    open: (target) => (target.mx === "a" ? DEAD : session(target)),
  });
  expect(await connect()).toMatchObject({ target: { mx: "b" } });
  expect(traffic.observed).toEqual([
    { path: { publicId: 7, mx: "a", ip: "1.2.3.1", site: "s" }, outcome: DEAD, bytes: 0 },
  ]);
  expect(traffic.open).toBe(1);
  expect(targets).toHaveLength(2);
});

test("waiting for a grant takes nothing from the attempt's time", async () => {
  const all = numbered(3);
  const { clock, connect, traffic, tried } = scene({
    exchangers: { mx0: all },
    rules: [{ mx: "*", connections: 1, scope: "rule" }],
    openMs: 20_000,
  });
  traffic.holdSite("s", 7, "suspension");
  const result = connect();
  await clock.advance(3_600_000);
  expect(tried).toEqual([]);
  traffic.holdSite("s", 7, null);
  expect(await result).toBe(DEAD);
  expect(tried).toEqual(all);
});

test("a grant nobody wants any more opens nothing, and no address rests for it", async () => {
  let wanted = false;
  const { connect, tried, traffic } = scene({
    exchangers: { mx0: ["1.2.3.1"] },
    open: session,
    granted: () => Promise.resolve(wanted),
  });
  expect(await connect()).toBeNull();
  expect(tried).toEqual([]);
  expect(traffic.observed).toEqual([]);
  wanted = true;
  expect(await connect()).toMatchObject({ target: { ip: "1.2.3.1" } });
});

test("the times and the TLS mode of the rule reach the session; 0 is the setting's", async () => {
  const { connect, targets, times } = scene({
    exchangers: { mx0: ["1.2.3.1"] },
    rules: [{ mx: "mx0", tls: "required", connectMs: 1, replyMs: 2 }],
    open: session,
  });
  await connect();
  expect(targets[0]).toMatchObject({ tls: "required" });
  expect(times[0]).toMatchObject({ connectMs: 1, bannerMs: 2, ehloMs: 2, mailMs: 2, rcptMs: 2, dataMs: 2 });
  expect(times[0]?.dotMs).toBe(parseSettings({}).mta.smtp.dotMs);
});

test("HELO, local address and public id are those of the IP", async () => {
  const ip = { address: "127.0.0.9", publicId: 7, helo: "seven.example" };
  const { connect, targets } = scene({ exchangers: { mx0: ["1.2.3.1"] }, open: session, ip });
  await connect();
  expect(targets[0]).toMatchObject({ localAddress: "127.0.0.9", publicId: 7, helo: "seven.example" });
});

test("what the domain's policy asks reaches the session; an exchanger it forbids is not even looked up", async () => {
  const demand = { name: "required", check: { kind: "pkix" } } as const;
  const policy = policyOf((mx) => (mx === "a" ? { refused: "not a", result: "validation-failure" } : demand));
  const { connect, targets } = scene({ exchangers: { a: ["1.2.3.1"], b: ["1.2.3.2"] }, open: session, policy });
  await connect();
  expect(targets).toMatchObject([{ mx: "b", demand, tls: "opportunistic" }]);
});

test("a policy that forbids all of them is the outcome, before what else is wrong", async () => {
  const policy = policyOf((mx) => ({ refused: `not ${mx}`, result: "validation-failure" }));
  const exchangers = { a: ["10.0.0.1"], b: ["1.2.3.2"] };
  const { connect, tried, traffic } = scene({ exchangers, policy });
  expect(await connect()).toMatchObject({ kind: "unreachable", enhanced: "4.7.5", text: "not a", publicId: 7 });
  expect([tried, traffic.open]).toEqual([[], 0]);
});

test("a policy that changes while the grant is waited for is obeyed", async () => {
  let forbidden = false;
  const policy = policyOf(() => (forbidden ? { refused: "no more", result: "validation-failure" } : null));
  const { connect, tried, traffic } = scene({
    exchangers: { a: ["1.2.3.1"] },
    policy,
    granted() {
      forbidden = true;
      return Promise.resolve(true);
    },
  });
  expect(await connect()).toMatchObject({ kind: "unreachable", text: "no more", mx: "a", remoteIp: "1.2.3.1" });
  expect([tried, traffic.open]).toEqual([[], 0]);
});
