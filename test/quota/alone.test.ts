/** The real client without its server: its share of smooth rules goes evenly, and what measures had left goes on limiting it. */
import { afterEach, describe, expect, test } from "vitest";
import { ALL_AS_IS } from "../../src/model/back-off.ts";
import { BUILT_IN, type MxRule } from "../../src/model/mx-rules.ts";
import type { BackOffLimits } from "../../src/model/reply-rules.ts";
import type { ConnectionGrant, LaneKey, Limits } from "../../src/model/traffic.ts";
import { type QuotaClient, openQuotaClient } from "../../src/quota/client.ts";
import type { Curb } from "../../src/quota/messages.ts";
import { type HandClock, handClock } from "../support/clock.ts";
import { type HandLink, handLink } from "../support/hand-link.ts";

const T0 = Date.UTC(2026, 0, 1, 10);
const SECOND = 1000;
const MIN = 60_000;
const HORIZON_MS = 30 * MIN;

interface Lane {
  readonly key: LaneKey;
  /** When each message was taken. */
  readonly sent: number[];
  readonly grants: ConnectionGrant[];
}

interface World {
  readonly clock: HandClock;
  readonly link: HandLink;
  readonly client: QuotaClient;
  /** How often a timer was set. */
  readonly timers: number;
  /** A lane of one connection that takes whatever it may, from now on. */
  hungry(site?: string, publicId?: number): Lane;
}

const open: QuotaClient[] = [];
afterEach(() => open.splice(0).forEach((client) => client.close()));

function rule(limits: Partial<Limits>): MxRule {
  const all: Limits = { ...BUILT_IN, rule: "all", connections: 16, messagesPerConnection: 100_000, ...limits };
  return { id: "all", mx: ["*"], publicIds: null, limits: all, origin: "test", origins: {}, note: "" };
}

function curb(limits: Partial<BackOffLimits> | null, parts: Partial<Curb> = {}): Curb {
  const hold = { kind: "back-off", by: "slow", text: "they said slower", since: T0, until: parts.until ?? 0 } as const;
  return {
    id: "one",
    site: "a.example",
    exact: true,
    publicId: 1,
    from: 0,
    until: 0,
    hold,
    limits: limits === null ? null : { ...ALL_AS_IS, ...limits },
    base: 600,
    ...parts,
  };
}

/** Under a rule and curbs, with a share of one of `members`; connected. */
function openWorld(limits: Partial<Limits>, curbs: readonly Curb[], members = 2): World {
  const clock = handClock(T0);
  let timers = 0;
  const counted = { ...clock, after: (ms: number, fn: () => void) => (timers++, clock.after(ms, fn)) };
  const link = handLink();
  const client = openQuotaClient({ clock: counted, link, process: "0123456789abcdef" });
  open.push(client);
  link.comeUp({ now: T0, horizonMs: HORIZON_MS, silenceMs: 10_000 });
  link.say({ t: "rules", first: true, last: true, rules: [rule(limits)] });
  link.say({ t: "curbs", all: true, curbs, over: [] });
  const shares = [1, 2].map((publicId) => ({ counter: `all|${publicId}|`, halvings: 0 }));
  link.say({ t: "shares", seq: 1, members, all: true, shares });
  return {
    clock,
    link,
    client,
    get timers() {
      return timers;
    },
    hungry(site = "a.example", publicId = 1) {
      const lane: Lane = {
        key: { site, mx: `mx.${site}`, publicId, localAddress: "" },
        sent: [],
        grants: [],
      };
      const exchangers = [{ mx: `mx.${site}`, ip: "192.0.2.1" }];
      const take = async (): Promise<void> => {
        const grant = await client.connection(lane.key, exchangers, false, new AbortController().signal);
        if (grant === null) return;
        lane.grants.push(grant);
        const next = (): void => {
          for (let got = grant.messages(20, next); got > 0; got = grant.messages(20, next))
            for (let i = 0; i < got; i++) lane.sent.push(clock.now());
        };
        next();
      };
      void take();
      return lane;
    },
  };
}

const within = ({ sent }: Lane, from: number, ms: number): number =>
  sent.filter((at) => at >= from && at < from + ms).length;
const most = (lane: Lane, ms: number): number => Math.max(0, ...lane.sent.map((at) => within(lane, at, ms)));

describe("a share of a smooth rule", () => {
  /** Of each of two: 1,500 in a period, five a second. */
  const FAST = { messagesPerHour: 36_000, pacing: "smooth" } as const;

  test("goes evenly, also for work that comes late in a period", async () => {
    const { clock, link, hungry } = openWorld(FAST, []);
    link.lose();
    await clock.advance(4 * MIN);
    const lane = hungry();
    await clock.advance(MIN);
    expect(within(lane, T0 + 4 * MIN, MIN)).toBeGreaterThanOrEqual(280);
    expect(within(lane, T0 + 4 * MIN, MIN)).toBeLessThanOrEqual(305);
    expect(most(lane, 10 * SECOND)).toBeLessThanOrEqual(60);
    await clock.advance(5 * MIN - 1);
    expect(within(lane, T0 + 5 * MIN, 5 * MIN)).toBeLessThanOrEqual(1500);
    expect(within(lane, T0 + 5 * MIN, 5 * MIN)).toBeGreaterThanOrEqual(1400);
  });

  test("begins with nothing, however often the server is lost", async () => {
    const world = openWorld({ messagesPerHour: 240, pacing: "smooth" }, []);
    const lane = world.hungry();
    for (let i = 0; i < 20; i++) {
      world.link.lose();
      await world.clock.advance(3 * SECOND);
      world.link.comeUp({ now: world.clock.now(), horizonMs: HORIZON_MS, silenceMs: 10_000 });
      await world.clock.advance(SECOND);
    }
    // One each thirty seconds; a portion for each loss would be twenty.
    expect(lane.sent.length).toBeLessThanOrEqual(5);
  });

  test("is waited for with a timer for each message, not by looking again and again", async () => {
    const world = openWorld({ messagesPerHour: 240, pacing: "smooth" }, []);
    world.link.lose();
    const lane = world.hungry();
    await world.clock.advance(6 * SECOND);
    const before = world.timers;
    await world.clock.advance(10 * MIN);
    expect(lane.sent.length).toBeGreaterThanOrEqual(18);
    expect(lane.sent.length).toBeLessThanOrEqual(21);
    expect(world.timers - before).toBeLessThanOrEqual(20 * 6);
  });

  test("is not looked at before a later window when the day's is used up", async () => {
    const world = openWorld({ ...FAST, messagesPerDay: 400 }, []);
    world.link.lose();
    const lane = world.hungry();
    await world.clock.advance(MIN);
    // A twentieth of a half.
    expect(lane.sent.length).toBe(10);
    const before = world.timers;
    await world.clock.advance(10 * MIN);
    expect(world.timers - before).toBeLessThanOrEqual(10);
  });
});

describe("a back-off that was at work when the server went", () => {
  /** 500 of each of two in a period, as fast as possible. */
  const RULE = { messagesPerHour: 12_000 };
  const TENTH = { messagesPerHour: { share: 0.1, value: 0 } };

  test("limits the share to its part of the second limits, and only there", async () => {
    const { clock, link, hungry } = openWorld(RULE, [curb(TENTH)]);
    link.lose();
    const [slow, otherIp] = [hungry(), hungry("a.example", 2)];
    await clock.advance(4 * MIN);
    // 1,200 an hour of two: one each six seconds.
    expect(slow.sent.length).toBeGreaterThanOrEqual(38);
    expect(slow.sent.length).toBeLessThanOrEqual(40);
    expect(most(slow, 10 * SECOND)).toBeLessThanOrEqual(2);
    expect(otherIp.sent.length).toBe(500);
    // What went there counts in the rule's counter too, which another site has to itself.
    const other = hungry("b.example");
    await clock.advance(0);
    expect(slow.sent.length + other.sent.length).toBe(500);
    expect(slow.grants[0]?.limits.messagesPerHour).toBe(1200);
  });

  test("what waits says so, and moves without looking again and again", async () => {
    const world = openWorld(RULE, [curb({ messagesPerHour: { share: 1, value: 24 } })]);
    world.link.lose();
    const lane = world.hungry();
    await world.clock.advance(MIN);
    expect(world.client.hold(lane.key)).toMatchObject({ kind: "back-off", by: "slow", text: "they said slower" });
    const before = world.timers;
    await world.clock.advance(20 * MIN);
    expect(lane.sent.length).toBeGreaterThanOrEqual(3);
    expect(lane.sent.length).toBeLessThanOrEqual(5);
    expect(world.timers - before).toBeLessThanOrEqual(40);
  });

  test("connections: the share of what it leaves, and one at least", async () => {
    const { clock, link, hungry } = openWorld({}, [
      curb({ connections: { share: 1, value: 4 } }),
      curb({ connections: { share: 1, value: 1 } }, { id: "b", site: "b.example" }),
    ]);
    link.lose();
    const lanes = ["a.example", "b.example", "c.example"].map((site) => Array.from({ length: 6 }, () => hungry(site)));
    await clock.advance(5 * SECOND);
    expect(lanes.map((some) => some.filter(({ grants }) => grants.length > 0).length)).toEqual([2, 1, 5]);
    // One that ends makes room for the next.
    const [first] = lanes[1]!.flatMap(({ grants }) => grants);
    first!.close();
    await clock.advance(SECOND);
    expect(lanes[1]!.flatMap(({ grants }) => grants)).toHaveLength(2);
  });

  test("connections that are more than that are given up after a moment", async () => {
    const { clock, link, hungry } = openWorld({}, []);
    const lanes = Array.from({ length: 4 }, () => hungry());
    for (const message of link.heard.filter(({ t }) => t === "acquire"))
      if (message.t === "acquire") {
        const { limits } = rule({});
        const at = clock.now();
        const grant = { t: "grant", id: message.id, conn: message.id, chosen: 0, limits, messages: 1, at } as const;
        link.say({ ...grant, until: at + MIN });
      }
    await clock.advance(SECOND);
    expect(lanes.every(({ grants }) => grants[0]?.revoked === false)).toBe(true);
    link.say({ t: "curbs", all: false, curbs: [curb({ connections: { share: 1, value: 2 } })], over: [] });
    link.lose();
    await clock.advance(4 * SECOND);
    expect(lanes.filter(({ grants }) => grants[0]?.revoked === true)).toHaveLength(0);
    await clock.advance(2 * SECOND);
    expect(lanes.filter(({ grants }) => grants[0]?.revoked === true)).toHaveLength(3);
  });

  test("one for all sites of a public id counts them together", async () => {
    const wide = curb({ messagesPerHour: { share: 1, value: 1200 } }, { site: "" });
    const { clock, link, hungry } = openWorld(RULE, [wide]);
    link.lose();
    const lanes = ["a.example", "b.example", "c.example"].map((site) => hungry(site));
    await clock.advance(5 * MIN - 1);
    const sum = lanes.reduce((all, { sent }) => all + sent.length, 0);
    expect(sum).toBeGreaterThanOrEqual(48);
    expect(sum).toBeLessThanOrEqual(50);
  });

  test("one by a mask is for the exchangers it matches, a site's name is no mask", async () => {
    const mask = curb(null, { site: "mx.a.*", exact: false });
    const name = curb(null, { id: "two", site: "mx.b.example" });
    const { clock, link, hungry } = openWorld(RULE, [mask, name]);
    link.lose();
    const [a, b] = [hungry(), hungry("b.example")];
    await clock.advance(MIN);
    expect([a.sent.length, b.sent.length]).toEqual([0, 500]);
  });

  test("one that is over, or was told as over, limits nothing", async () => {
    const { clock, link, hungry } = openWorld(RULE, [curb(TENTH), curb(null, { id: "two", site: "b.example" })]);
    link.say({ t: "curbs", all: false, curbs: [], over: ["one"] });
    link.say({
      t: "curbs",
      all: false,
      curbs: [curb(null, { id: "two", site: "b.example", until: T0 + 1 })],
      over: [],
    });
    await clock.advance(SECOND);
    link.lose();
    const [a, b] = [hungry(), hungry("b.example")];
    await clock.advance(MIN);
    expect(a.sent.length + b.sent.length).toBe(500);
    expect(b.sent.length).toBeGreaterThan(0);
  });

  test("what nobody used goes back to its pace", async () => {
    const { clock, link, client } = openWorld(RULE, [curb(TENTH)]);
    link.lose();
    const key = { site: "a.example", mx: "mx.a.example", publicId: 1, localAddress: "" };
    const ask = (): Promise<ConnectionGrant | null> =>
      client.connection(key, [{ mx: "mx.a.example", ip: "192.0.2.1" }], false, new AbortController().signal);
    const granted: number[] = [];
    // Each is closed without a message; the next one finds it at once.
    for (let i = 0; i < 5; i++) {
      const waiting = ask();
      await clock.advance(6 * SECOND);
      const at = clock.now();
      const grant = await waiting;
      granted.push(at);
      grant!.close();
      const next = await Promise.race([ask(), clock.advance(100).then(() => null)]);
      expect(next, `the message of ${at - T0} ms`).not.toBeNull();
      next!.messages(1, () => {});
      next!.close();
    }
    expect(granted).toHaveLength(5);
  });
});

describe("a stop that was in force when the server went", () => {
  const RULE = { messagesPerHour: 12_000 };

  test("holds until its end; then comes what is to follow, until the horizon", async () => {
    const end = T0 + 10 * MIN;
    const after = curb({ messagesPerHour: { share: 1 / 16, value: 0 } }, { id: "after", from: end });
    const { clock, link, client, hungry } = openWorld(RULE, [curb(null, { until: end }), after]);
    link.lose();
    const lane = hungry();
    await clock.advance(10 * MIN - 1);
    expect(lane.sent).toEqual([]);
    expect(client.hold(lane.key)).toMatchObject({ text: "they said slower", until: end });
    await clock.advance(10 * MIN);
    // 750 an hour of two: 62 in ten minutes.
    expect(lane.sent.length).toBeGreaterThanOrEqual(59);
    expect(lane.sent.length).toBeLessThanOrEqual(63);
    await clock.advance(HORIZON_MS);
    expect(lane.sent.at(-1)).toBeLessThan(T0 + HORIZON_MS);
    expect(lane.grants.every(({ revoked }) => revoked)).toBe(true);
  });

  test("without an end holds until the horizon", async () => {
    const { clock, link, hungry } = openWorld(RULE, [curb(null)]);
    link.lose();
    const lane = hungry();
    await clock.advance(HORIZON_MS + MIN);
    expect(lane.sent).toEqual([]);
  });

  test("of one exchanger lets the next one go", async () => {
    const { clock, link, client } = openWorld(RULE, [curb(null, { site: "mx1.*", exact: false })]);
    link.lose();
    const key = { site: "a.example", mx: "mx1.a.example", publicId: 1, localAddress: "" };
    const exchangers = ["mx1.a.example", "mx2.a.example"].map((mx, i) => ({ mx, ip: `192.0.2.${i}` }));
    const grant = client.connection(key, exchangers, false, new AbortController().signal);
    await clock.advance(MIN);
    expect((await grant)?.exchanger.mx).toBe("mx2.a.example");
  });
});
