import { expect, test } from "vitest";
import { parseSettings } from "../../src/config/settings.ts";
import { type Outcome, outcome } from "../../src/model/outcome.ts";
import type { LaneKey } from "../../src/model/traffic.ts";
import { type Connect, openConnect } from "../../src/mta/connect.ts";
import type { Addresses, Resolver } from "../../src/mta/resolver.ts";
import type { Session, SessionTarget } from "../../src/mta/session-contract.ts";
import { type HandClock, handClock } from "../support/clock.ts";

const KEY: LaneKey = { site: "s", mx: "mx0", publicId: 7, localAddress: "" };
const DEAD = outcome("unreachable", "connect", { text: "timed out" });
const session = (target: SessionTarget): Session => ({ target }) as Session;
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `1.2.3.${i + 1}`);

interface Scene {
  readonly clock: HandClock;
  readonly connect: () => ReturnType<Connect>;
  /** Addresses in the order they were tried. */
  readonly tried: string[];
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
}

function scene({ exchangers, open = () => DEAD, openMs = 0, resolveMs = 0, mta = {} }: SceneOptions): Scene {
  const clock = handClock();
  const tried: string[] = [];
  const stop = new AbortController();
  const names = Object.keys(exchangers).map((name, i) => ({ name, preference: i }));
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
    path: () => ({ route, ip: { address: "", publicId: 7, weight: 1, helo: "" } }),
    limits: () => ({ rule: "*", connections: 1, messagesPerConnection: 1, messagesPerHour: 0, tls: "disabled" }),
    async open(target) {
      tried.push(target.ip);
      await clock.advance(openMs);
      return open(target);
    },
    permit: () => true,
  });
  return { clock, tried, stop, connect: () => connect(KEY, { change: () => {} }, stop.signal) } satisfies Scene &
    object;
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
  expect(await connect()).toMatchObject({ kind: "unreachable", stage: "local" });
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
