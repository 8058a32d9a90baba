/** Back-off and circuit breaker: thresholds to the unit, then the second limits, the probe, the ramp, and the way back. */
import { describe, expect, test } from "vitest";
import {
  HOUR,
  LIMITS,
  MIN,
  REMEDY,
  RULES,
  SITE,
  T0,
  type Told,
  path,
  report,
  rule,
  sample,
  told,
} from "./governor-parts.ts";

const trouble = (t: Told, text: string, count: number, now: number): void =>
  t.governor.observe([], [sample(text, { count })], now);
const sent = (t: Told, messages: number, now: number): void => t.governor.granted(SITE, path(), messages, now);
const good = (t: Told, accepted: number, now: number): void => t.governor.observe([report({ accepted })], [], now);

/** Backed off by `slow` at T0. */
function slowed(): Told {
  const t = told();
  trouble(t, "slow down", 4, T0);
  return t;
}

/** At the probe, an hour later. */
function probing(): Told {
  const t = slowed();
  t.run(T0, T0 + HOUR);
  return t;
}

describe("thresholds", () => {
  test("one less than the count is nothing, the count is a back-off", () => {
    const t = told();
    trouble(t, "slow down", 3, T0);
    expect(t.govern(T0)).toEqual({ limits: LIMITS, hold: null, connections: Infinity, messages: Infinity });
    expect(t.govern(T0).limits).toBe(LIMITS);
    trouble(t, "please SLOW DOWN", 1, T0 + 1);
    expect(t.govern(T0 + 1).connections).toBe(1);
    expect(t.history).toEqual(["began back-off slow"]);
    expect(t.changes).toEqual([{ site: SITE, publicId: 1 }]);
  });

  test("a rule whose window was made longer counts what it had counted", () => {
    const t = told();
    trouble(t, "slow down", 3, T0);
    const slow = rule("slow", "slow down", {
      threshold: { count: 4, share: 0, attempts: 0, sites: 1, windowMs: HOUR },
    });
    t.governor.setReplyRules([slow], T0 + 5 * MIN);
    trouble(t, "slow down", 1, T0 + 40 * MIN);
    expect(t.history).toEqual(["began back-off slow"]);
  });

  test("what left the window no longer counts; what is in it does", () => {
    const within = told();
    trouble(within, "slow down", 3, T0);
    trouble(within, "slow down", 1, T0 + 9 * MIN);
    expect(within.history).toHaveLength(1);
    const outside = told();
    trouble(outside, "slow down", 3, T0);
    trouble(outside, "slow down", 1, T0 + 10 * MIN);
    expect(outside.history).toHaveLength(0);
  });

  test("a share: of enough attempts, and exactly that share", () => {
    const few = told();
    few.governor.observe([report({ accepted: 31, deferred: 8 })], [sample("a tenth", { count: 8 })], T0);
    expect(few.history, "39 attempts are too few").toEqual([]);

    const enough = told();
    enough.governor.observe([report({ accepted: 36, deferred: 4 })], [sample("a tenth", { count: 4 })], T0);
    expect(enough.history, "4 of 40, in one report").toEqual(["began back-off share"]);

    const under = told();
    under.governor.observe([report({ accepted: 60 })], [], T0);
    under.governor.observe([], [sample("a tenth", { count: 5 })], T0);
    expect(under.history, "5 of 60").toEqual([]);
    under.governor.observe([], [sample("a tenth", { count: 1 })], T0);
    expect(under.history, "6 of 60").toEqual(["began back-off share"]);
  });

  test("places are counted apart: another site, another public id", () => {
    const t = told();
    t.governor.observe([], [sample("slow down", { count: 3 }), sample("slow down", { count: 3, publicId: 2 })], T0);
    t.governor.observe([], [sample("slow down", { count: 3, site: "other" })], T0);
    expect(t.history).toEqual([]);
    t.governor.observe([], [sample("slow down", { publicId: 2 })], T0);
    expect(t.govern(T0, SITE, 2).connections).toBe(1);
    expect(t.govern(T0, SITE, 1).connections).toBe(Infinity);
    expect(t.govern(T0, "other", 2).connections).toBe(Infinity);
  });

  test("greylisting is no trouble and no error", () => {
    const t = told();
    t.governor.observe([report({ accepted: 0, deferred: 400 })], [sample("Greylisted", { count: 400 })], T0);
    expect(t.history).toEqual([]);
    t.governor.observe([report({ accepted: 0, deferred: 299 })], [], T0);
    expect(t.history, "299 real errors").toEqual([]);
    t.governor.observe([report({ deferred: 1 })], [], T0);
    expect(t.history).toEqual(["began breaker circuit breaker"]);
  });
});

describe("the circuit breaker", () => {
  test("90 % of 300 attempts: one attempt less, one error less, and exactly", () => {
    const less = told();
    less.governor.observe([report({ accepted: 29, rejected: 270 })], [], T0);
    expect(less.history, "299 attempts").toEqual([]);
    const fewer = told();
    fewer.governor.observe([report({ accepted: 31, deferred: 100, rejected: 169 })], [], T0);
    expect(fewer.history, "269 of 300").toEqual([]);
    const exact = told();
    exact.governor.observe([report({ accepted: 30, deferred: 100, rejected: 170 })], [], T0);
    expect(exact.history).toEqual(["began breaker circuit breaker"]);
    expect(exact.govern(T0)).toMatchObject({
      messages: 0,
      connections: 0,
      hold: { kind: "back-off", by: "circuit breaker", since: T0, until: T0 + 3 * HOUR },
    });
  });

  test("messages that are cut off behind a 421 are errors too: a site that says so on each connection is stopped", () => {
    const t = told();
    // Two on a connection: the first is answered, the second finds it closed.
    t.governor.observe([report({ attempts: 300, accepted: 10, deferred: 145, aborted: 145 })], [], T0);
    expect(t.history).toEqual(["began breaker circuit breaker"]);
    expect(t.recorded[0]?.measure.reason).toContain("290 of 300 attempts");
  });

  test("over several reports within the window, not beyond it", () => {
    const t = told();
    for (let i = 0; i < 5; i++) t.governor.observe([report({ rejected: 50 })], [], T0 + i * 10 * MIN);
    t.governor.observe([report({ rejected: 50 })], [], T0 + HOUR);
    expect(t.history, "the first fifty are an hour old").toEqual([]);
    t.governor.observe([report({ rejected: 50 })], [], T0 + HOUR + 1);
    expect(t.history).toHaveLength(1);
  });

  test("a window that new settings make longer counts what came before them, and after", () => {
    const t = told();
    const longer = { errors: 0.9, messages: 300, windowMs: 2 * HOUR, stopMs: HOUR };
    t.governor.observe([report({ rejected: 200 })], [], T0);
    t.governor.setSettings({ breaker: longer, warmUp: [] }, T0 + 10 * MIN);
    t.governor.observe([report({ rejected: 99 })], [], T0 + 90 * MIN);
    expect(t.history).toEqual([]);
    t.governor.observe([report({ rejected: 1 })], [], T0 + 91 * MIN);
    expect(t.history).toEqual(["began breaker circuit breaker"]);
    expect(t.recorded[0]?.measure.reason).toContain("300 of 300 attempts within 2 h");
  });

  test("stops for its time, then a probe and a ramp; a bad probe stops it for twice as long", () => {
    const t = told();
    t.governor.observe([report({ rejected: 300 })], [], T0);
    t.run(T0, T0 + 3 * HOUR - 1);
    expect(t.stage(T0)).toBe("stop");
    t.run(T0, T0 + 3 * HOUR);
    expect(t.stage(T0)).toBe("probe");
    sent(t, 5, T0 + 3 * HOUR);
    t.governor.observe([report({ rejected: 5 })], [], T0 + 3 * HOUR + 1);
    expect(t.govern(T0).hold?.until).toBe(T0 + 9 * HOUR + 1);
    expect(t.recorded.at(-1)?.measure.reason).toContain("bad again, 1 times: 6 h more");
  });
});

describe("the second limits", () => {
  test("are shares and values of the rule's own, the same object as long as nothing changes", () => {
    const t = slowed();
    const { limits, hold, connections, messages } = t.govern(T0);
    expect(hold).toBeNull();
    expect(limits).toEqual({ ...LIMITS, connections: 1, messagesPerHour: 1200 });
    expect(t.govern(T0 + 1).limits).toBe(limits);
    expect(connections).toBe(1);
    expect(messages, "1,200 an hour in twelve periods").toBe(100);
  });

  test("messages of a period: what is granted is gone, what comes back may go, the next period begins anew", () => {
    const t = slowed();
    t.govern(T0);
    sent(t, 60, T0);
    expect(t.govern(T0).messages).toBe(40);
    sent(t, 40, T0 + 1);
    const closed = t.govern(T0 + 2);
    expect(closed.messages).toBe(0);
    expect(closed.hold).toMatchObject({ kind: "back-off", by: "slow", since: T0, until: T0 + 5 * MIN });
    sent(t, -7, T0 + 3);
    expect(t.govern(T0 + 3)).toMatchObject({ messages: 7, hold: null });
    sent(t, 7, T0 + 4);
    t.govern(T0 + 4);
    expect(t.governor.nextAt()).toBe(T0 + 5 * MIN);
    t.changes.length = 0;
    t.run(T0, T0 + 5 * MIN);
    expect(t.changes, "who waits is told").toEqual([{ site: SITE, publicId: 1 }]);
    expect(t.govern(T0 + 5 * MIN).messages).toBe(100);
  });

  test("a share of no limit is a share of what went before, at least of some", () => {
    const t = told();
    const open = { ...LIMITS, messagesPerHour: 0 };
    t.governor.observe([report({ accepted: 36_000 })], [], T0);
    trouble(t, "slow down", 4, T0);
    expect(t.governor.govern(SITE, path(), open, T0).limits.messagesPerHour).toBe(3600);
    const quiet = told();
    trouble(quiet, "slow down", 4, T0);
    expect(quiet.governor.govern(SITE, path(), open, T0).limits.messagesPerHour).toBe(60);
  });

  test("a value above the rule's own changes nothing", () => {
    const limits = {
      ...REMEDY.limits,
      connections: { share: 1, value: 50 },
      messagesPerHour: { share: 1, value: 99_999 },
    };
    const t = told({}, [rule("high", "slow down", {}, { limits })]);
    trouble(t, "slow down", 4, T0);
    expect(t.govern(T0)).toMatchObject({ limits: LIMITS, connections: LIMITS.connections, messages: Infinity });
  });

  test("fewer than twelve an hour: one in each longer period", () => {
    const t = told();
    trouble(t, "slow down", 4, T0);
    const tiny = { ...LIMITS, messagesPerHour: 30 };
    const left = (now: number): number => t.governor.govern(SITE, path(), tiny, now).messages;
    let granted = 0;
    for (let now = T0; now < T0 + 59 * MIN; now += 10_000) {
      if (left(now) === 0) continue;
      sent(t, 1, now);
      granted++;
    }
    expect(granted, "10 % of 30").toBe(3);
  });

  test("a stronger rule takes the place of a weaker one, not the other way round", () => {
    const t = slowed();
    trouble(t, "go away", 4, T0 + MIN);
    expect(t.history).toEqual(["began back-off slow", "ended back-off slow", "began back-off stop"]);
    expect(t.govern(T0 + MIN)).toMatchObject({ messages: 0, hold: { by: "stop" } });
    trouble(t, "slow down", 40, T0 + 2 * MIN);
    expect(t.history).toHaveLength(3);
  });
});

describe("the probe", () => {
  test("one connection, five messages, then nothing until the results are in", () => {
    const t = probing();
    const at = T0 + HOUR;
    expect(t.govern(at)).toMatchObject({
      connections: 1,
      messages: 5,
      hold: null,
      limits: { messagesPerConnection: 5 },
    });
    sent(t, 3, at);
    expect(t.govern(at).messages).toBe(2);
    sent(t, 2, at);
    expect(t.govern(at + 1)).toMatchObject({ messages: 0, hold: { kind: "back-off", by: "slow" } });
    expect(t.govern(at + 1).hold!.until).toBeGreaterThan(at + 1);
  });

  test("good: a ramp. One accepted message is enough, dead addresses do not spoil it", () => {
    const t = probing();
    sent(t, 5, T0 + HOUR);
    t.governor.observe([report({ accepted: 1, rejected: 4 })], [], T0 + HOUR + 1);
    expect(t.stage(T0 + HOUR + 1)).toBe("ramp");
  });

  test("bad: nothing accepted, or one such reply, and it is longer: doubled up to the most", () => {
    const t = told();
    trouble(t, "slow down", 4, T0);
    let at = T0;
    const lengths: number[] = [];
    for (let i = 0; i < 5; i++) {
      const until = t.governor.list(at)[0]!.until;
      lengths.push((until - at) / HOUR);
      t.run(at, until);
      at = until;
      sent(t, 5, at);
      if (i % 2 === 0) t.governor.observe([report({ deferred: 5 })], [], at);
      else t.governor.observe([report({ accepted: 4, deferred: 1 })], [sample("slow down")], at);
      expect(t.stage(at)).toBe("limits");
    }
    expect(lengths).toEqual([1, 2, 4, 4, 4]);
    expect(t.history.filter((line) => line.startsWith("ended"))).toEqual([]);
    expect(new Set(t.recorded.map(({ measure }) => measure.since)), "one measure for the history").toEqual(
      new Set([T0]),
    );
  });

  test("results that never come: five more after eleven minutes; those given back may go at once", () => {
    const t = probing();
    const at = T0 + HOUR;
    sent(t, 5, at);
    t.run(at, at + 11 * MIN);
    expect(t.govern(at + 11 * MIN)).toMatchObject({ messages: 5, hold: null });
    sent(t, 5, at + 11 * MIN);
    sent(t, -5, at + 12 * MIN);
    expect(t.govern(at + 12 * MIN).messages).toBe(5);
  });

  test("a greylisted probe says nothing and is tried again", () => {
    const t = probing();
    const at = T0 + HOUR;
    sent(t, 5, at);
    t.governor.observe([report({ deferred: 5 })], [sample("greylisted", { count: 5 })], at + 1);
    expect(t.stage(at)).toBe("probe");
    t.run(at, at + 11 * MIN);
    expect(t.govern(at + 11 * MIN).messages).toBe(5);
  });
});

describe("the ramp", () => {
  function ramping(): Told {
    const t = probing();
    sent(t, 5, T0 + HOUR);
    good(t, 5, T0 + HOUR);
    return t;
  }

  test("a sixteenth, an eighth, a quarter, a half, each after a good step; then it is over", () => {
    const t = ramping();
    const seen: (readonly [number, number])[] = [];
    let at = T0 + HOUR;
    while (t.stage(at) === "ramp") {
      const { limits, connections } = t.govern(at);
      expect(limits.connections).toBe(connections);
      seen.push([connections, limits.messagesPerHour]);
      good(t, 1, at);
      t.run(at, at + 5 * MIN - 1);
      expect(t.govern(at + 5 * MIN - 1).connections, "not before its time").toBe(connections);
      at += 5 * MIN;
      t.run(at, at);
    }
    expect(seen).toEqual([
      [1, 750],
      [2, 1500],
      [4, 3000],
      [8, 6000],
    ]);
    expect(t.govern(at)).toEqual({ limits: LIMITS, hold: null, connections: Infinity, messages: Infinity });
    expect(t.recorded.at(-1)).toMatchObject({ ended: true, measure: { kind: "back-off", since: T0, until: at } });
  });

  test("a quarter of the threshold sends it back, for longer", () => {
    const t = ramping();
    good(t, 50, T0 + HOUR + MIN);
    trouble(t, "slow down", 1, T0 + HOUR + 2 * MIN);
    expect(t.stage(T0)).toBe("limits");
    expect(t.governor.list(T0)[0]!.until).toBe(T0 + HOUR + 2 * MIN + 2 * HOUR);
  });

  test("nothing but errors sends it back too", () => {
    const t = ramping();
    t.governor.observe([report({ rejected: 9 })], [], T0 + HOUR);
    expect(t.stage(T0)).toBe("ramp");
    t.governor.observe([report({ rejected: 1 })], [], T0 + HOUR);
    expect(t.stage(T0)).toBe("limits");
  });

  test("without any mail a step takes an hour, a probe a day: all of it ends", () => {
    const t = slowed();
    t.run(T0, T0 + HOUR + 24 * HOUR + 4 * HOUR - 1);
    expect(t.stage(T0)).toBe("ramp");
    t.run(T0, T0 + HOUR + 24 * HOUR + 4 * HOUR);
    expect(t.stage(T0)).toBe("");
    expect(t.governor.nextAt()).toBe(Infinity);
  });

  test("somebody lifts it: straight to the ramp, and the history says who", () => {
    const t = slowed();
    expect(t.governor.lift({ site: SITE, publicId: 2 }, "alice", T0)).toBe(0);
    expect(t.governor.lift({ site: SITE, publicId: 1 }, "alice\u001b[2J", T0 + 1)).toBe(1);
    expect(t.stage(T0)).toBe("ramp");
    expect(t.recorded.at(-1)!.measure.reason).toMatch(/\(lifted by alice \[2J\)$/);
  });
});

test("rules that are replaced count from then on; measures in force go on", () => {
  const t = slowed();
  t.governor.setReplyRules([rule("new", "something else")], T0);
  trouble(t, "slow down", 100, T0);
  trouble(t, "something else", 4, T0);
  expect(t.govern(T0).connections).toBe(1);
  t.run(T0, T0 + HOUR);
  expect(t.stage(T0)).toBe("probe");
  expect(RULES.some(({ id }) => id === "slow")).toBe(true);
});
