/** Smooth rules in the engine: no burst for who comes late, none after a restart or a loss, and nobody is called for nothing. */
import { describe, expect, test } from "vitest";
import {
  HORIZON_MS,
  MIN,
  PERIOD,
  T0,
  type TestEngine,
  type TestMember,
  granted,
  mostGranted,
  openTestEngine,
  rule,
} from "./engine-parts.ts";

/** Ten a second: 3,000 in a period. */
const FAST = { messagesPerHour: 36_000, pacing: "smooth" } as const;
/** One each thirty seconds. */
const SLOW = { messagesPerHour: 120, pacing: "smooth" } as const;

function hungry(on: TestEngine, name = "a/0"): TestMember {
  const member = on.join(name);
  member.hungry = true;
  member.acquire();
  return member;
}

describe("a smooth rule", () => {
  test("work that comes late in a period does not catch up", () => {
    const on = openTestEngine([rule(FAST)]);
    on.pass(4 * MIN);
    const late = [hungry(on)];
    on.pass(MIN);
    expect(granted(late, on.now - MIN, 1000)).toBeLessThanOrEqual(20);
    expect(mostGranted(late, 10_000)).toBeLessThanOrEqual(120);
    expect(granted(late)).toBeGreaterThanOrEqual(590);
    // With periods it may, and does.
    const other = openTestEngine([rule({ ...FAST, pacing: "periods" })]);
    other.pass(4 * MIN);
    const burst = [hungry(other)];
    other.pass(MIN);
    expect(mostGranted(burst, 10_000)).toBe(3000);
  });

  test("who always waits gets all of the period and no more", () => {
    const on = openTestEngine([rule(FAST)]);
    const all = [hungry(on), hungry(on, "b/0"), hungry(on, "c/0")];
    on.pass(2 * PERIOD - 1);
    for (const from of [T0, T0 + PERIOD]) {
      expect(granted(all, from, PERIOD)).toBeLessThanOrEqual(3000);
      expect(granted(all, from, PERIOD)).toBeGreaterThanOrEqual(2950);
    }
    expect(mostGranted(all, 1000)).toBeLessThanOrEqual(20);
  });

  test("is looked at when a portion comes, not in between", () => {
    const on = openTestEngine([rule(SLOW)]);
    const all = [hungry(on)];
    on.pass(10 * MIN - 1);
    expect(granted(all)).toBeGreaterThanOrEqual(19);
    expect(granted(all)).toBeLessThanOrEqual(20);
    // Each message, and the minutes at which what is forgotten is looked for.
    expect(on.ticks.length).toBeLessThanOrEqual(20 + 10 + 5);
  });

  test("is not looked at before midnight when the day is used up", () => {
    const on = openTestEngine([rule({ ...FAST, messagesPerDay: 40 })]);
    const all = [hungry(on)];
    on.pass(10_000);
    expect(granted(all)).toBe(40);
    on.ticks.length = 0;
    on.pass(PERIOD);
    expect(on.ticks.length).toBeLessThanOrEqual(8);
    on.pass(14 * 60 * MIN);
    expect(granted(all, T0 + 14 * 60 * MIN)).toBe(40);
  });

  test("messages are void after some seconds; given back in time they are another's, later nobody's", () => {
    const on = openTestEngine([rule(SLOW)]);
    const [a, b] = [on.join("a/0"), on.join("b/0")];
    const conn = a.acquire();
    b.acquire();
    on.pass(4000);
    expect(a.grants).toMatchObject([{ messages: 1, until: T0 + 5000 }]);
    expect(b.grants).toEqual([]);
    a.say({ t: "return", conn, back: [[T0, 1]] });
    expect(b.grants).toMatchObject([{ messages: 1, at: T0 + 4000, until: T0 + 9000 }]);
    a.more(conn);
    on.pass(MIN);
    const [, second] = a.grants;
    expect(second?.messages).toBe(1);
    on.pass(MIN);
    // The turn of that message is over: it counts no longer in the period, but gives nobody one more.
    const before = granted([a, b]);
    a.say({ t: "return", conn, back: [[second?.at ?? 0, 1]] });
    b.more(b.grants[0]?.conn ?? 0);
    a.more(conn);
    on.pass(1);
    expect(granted([a, b]) - before).toBeLessThanOrEqual(1);
  });

  test("new rules in the middle of a turn bring no second portion", () => {
    const on = openTestEngine([rule(SLOW)]);
    const all = [hungry(on)];
    for (let i = 0; i < 20; i++) {
      on.engine.setRules([rule({ ...SLOW, messagesPerHour: 120 + (i % 2) })], on.now);
      on.pass(500);
    }
    expect(granted(all)).toBe(1);
  });
});

describe("a smooth rule and what breaks", () => {
  test("a restored server begins with a turn that is used", () => {
    const before = openTestEngine([rule(FAST)]);
    const all = [hungry(before)];
    before.pass(3 * MIN + 10);
    let on = before;
    // Again and again: every restart costs a portion and brings none.
    for (let i = 0; i < 10; i++) {
      on = on.restart();
      all.push(hungry(on));
      on.pass(990);
    }
    expect(granted(all.slice(1))).toBe(0);
    on.pass(1000);
    expect(granted(all.slice(1))).toBe(10);
  });

  test("while a member is lost the others go at their part of the pace", () => {
    const on = openTestEngine([rule(FAST)]);
    const [a, b] = [hungry(on), hungry(on, "b/0")];
    on.pass(PERIOD);
    b.leave();
    on.pass(1000);
    // Half of it is kept for the other one, which paces itself.
    const from = on.now;
    on.pass(MIN);
    expect(granted([a], from, MIN)).toBeLessThanOrEqual(310);
    expect(granted([a], from, MIN)).toBeGreaterThanOrEqual(290);
    on.pass(HORIZON_MS + PERIOD);
    const later = on.now;
    on.pass(MIN);
    expect(granted([a], later, MIN)).toBeGreaterThanOrEqual(580);
    expect(mostGranted([a, b], 10_000)).toBeLessThanOrEqual(120);
  });
});
