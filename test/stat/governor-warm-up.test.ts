/** Warm-up: nothing above the plan whatever is asked and given back, sending days, the hour's portion, the pause, restarts. */
import { describe, expect, test } from "vitest";
import { DAY, HOUR, MX, SITE, T0, type Told, path, report, sample, told } from "./governor-parts.ts";

const WARM = { warmUp: [{ publicId: 1, mx: "*.example.com", plan: [60, 120, 240] }] };
/** The midnight after T0. */
const TOMORROW = Date.UTC(2026, 0, 2);

const send = (t: Told, messages: number, now: number): void => t.governor.granted(SITE, path(), messages, now);
const state = (t: Told, now: number): { day: number; planned: number; sent: number; paused: string } => {
  const { day, planned, sent, paused } = t.governor.warmUpState(now)[0]!;
  return { day, planned, sent, paused };
};
/** Takes whatever is to be had at each hour of a time. */
function takeAll(t: Told, from: number, to: number): number {
  let taken = 0;
  for (let now = from; now < to; now += HOUR) {
    const { messages } = t.govern(now);
    send(t, messages, now);
    taken += messages;
  }
  return taken;
}

describe("the portion", () => {
  test("a sixth of the day in an hour, then a hold until the next hour, then one until tomorrow", () => {
    const t = told(WARM);
    expect(t.govern(T0)).toMatchObject({ messages: 10, hold: null });
    send(t, 10, T0 + 1);
    const { hold, messages } = t.govern(T0 + 2);
    expect(messages).toBe(0);
    expect(hold).toMatchObject({ kind: "warm-up", by: "warm-up 1 *.example.com", since: T0, until: T0 + HOUR });
    expect(hold!.text).toBe("day 1 of 3 of the warm-up: this hour's 10 of 60 messages are sent");
    expect(t.governor.nextAt()).toBe(T0 + HOUR);
    t.run(T0, T0 + HOUR);
    expect(t.changes).toEqual([{ publicId: 1 }]);
    expect(takeAll(t, T0 + HOUR, TOMORROW)).toBe(50);
    expect(t.govern(TOMORROW - 1).hold).toMatchObject({
      until: TOMORROW,
      text: "day 1 of 3 of the warm-up: all 60 messages of the day are sent",
    });
  });

  test("what is given back may go; more given back than was taken is nothing", () => {
    const t = told(WARM);
    send(t, 10, T0);
    send(t, -4, T0);
    expect(t.govern(T0).messages).toBe(4);
    send(t, -400, T0);
    expect(t.govern(T0).messages).toBe(10);
    expect(state(t, T0).sent).toBe(0);
  });

  test("other public ids and other exchangers are not meant; each mask has its own count, the first one wins", () => {
    const t = told({ warmUp: [...WARM.warmUp, { publicId: 1, mx: "*", plan: [6] }] });
    expect(t.govern(T0, SITE, 2).messages).toBe(Infinity);
    send(t, 10, T0);
    expect(t.govern(T0, "other", 1, "mx.other.net").messages).toBe(1);
    expect(t.govern(T0, "third", 1, `x.${MX}`).messages, "sites of one mask together").toBe(0);
  });
});

describe("sending days", () => {
  test("a day counts when a tenth of its plan was sent, whatever the calendar says", () => {
    const t = told(WARM);
    send(t, 5, T0);
    expect(state(t, TOMORROW)).toMatchObject({ day: 1, sent: 0 });
    send(t, 6, TOMORROW);
    expect(state(t, TOMORROW + 7 * DAY)).toMatchObject({ day: 2, planned: 120, sent: 0 });
    expect(state(t, TOMORROW + 30 * DAY)).toMatchObject({ day: 2 });
  });

  test("a little less than a tenth is no sending day", () => {
    const t = told({ warmUp: [{ publicId: 1, mx: "*", plan: [110, 200] }] });
    send(t, 10, T0);
    expect(state(t, TOMORROW).day).toBe(1);
    send(t, 11, TOMORROW);
    expect(state(t, TOMORROW + DAY).day).toBe(2);
  });

  test("after the last day the IP is warm", () => {
    const t = told(WARM);
    let now = T0;
    for (let day = 0; day < 3; day++, now += DAY) expect(takeAll(t, now, now + 10 * HOUR)).toBe([60, 120, 240][day]);
    expect(t.govern(now)).toMatchObject({ messages: Infinity, hold: null });
    expect(state(t, now)).toEqual({ day: 4, planned: 0, sent: 0, paused: "" });
    expect(t.governor.list(now)).toEqual([]);
    t.run(now, now);
    expect(t.governor.nextAt()).toBe(Infinity);
  });

  test("it is listed: which day, how much, since and until when", () => {
    const t = told(WARM);
    send(t, 7, T0);
    expect(t.governor.list(T0)).toEqual([
      {
        kind: "warm-up",
        site: "*.example.com",
        publicId: 1,
        stage: "limits",
        by: "warm-up",
        reason: "day 1 of 3: 7 of 60 messages sent today",
        since: TOMORROW - DAY,
        until: TOMORROW,
      },
    ]);
  });
});

describe("bad signals", () => {
  test("a tenth of fifty results: one less, and exactly; then nothing until tomorrow, and the day does not count", () => {
    const t = told(WARM);
    send(t, 10, T0);
    t.governor.observe([report({ accepted: 44, deferred: 2, rejected: 3 })], [], T0);
    expect(state(t, T0).paused, "49 results").toBe("");
    t.governor.observe([report({ accepted: 1 })], [], T0);
    expect(state(t, T0).paused).toBe("5 of 50 messages were deferred or rejected today");
    expect(t.govern(T0 + HOUR).hold).toMatchObject({ kind: "warm-up", since: T0, until: TOMORROW });
    expect(t.history).toEqual(["began warm-up warm-up"]);
    expect(t.governor.nextAt()).toBe(TOMORROW);
    t.run(T0, TOMORROW);
    expect(state(t, TOMORROW)).toEqual({ day: 1, planned: 60, sent: 0, paused: "" });
    expect(t.recorded.at(-1)).toMatchObject({ ended: true, measure: { kind: "warm-up", since: T0, until: TOMORROW } });
  });

  test("fewer errors than that, and greylisting, do not pause it", () => {
    const t = told(WARM);
    t.governor.observe([report({ accepted: 51, deferred: 20 })], [sample("greylisted", { count: 15 })], T0);
    expect(state(t, T0).paused).toBe("");
    expect(t.governor.warmUpState(T0)[0]).toMatchObject({ accepted: 51, errors: 5 });
  });

  test("a share of 0 pauses at the first error of fifty, not at none", () => {
    const t = told({ warmUp: [{ ...WARM.warmUp[0]!, pauseAt: 0 }] });
    t.governor.observe([report({ accepted: 500 })], [], T0);
    expect(state(t, T0).paused).toBe("");
    t.governor.observe([report({ rejected: 1 })], [], T0);
    expect(state(t, T0).paused).not.toBe("");
  });

  test("a pause whose end somebody else saw first is still written down", () => {
    const t = told(WARM);
    t.governor.observe([report({ rejected: 50 })], [], T0);
    expect(t.govern(TOMORROW).messages).toBe(10);
    expect(t.governor.nextAt()).toBeLessThan(TOMORROW);
    t.run(TOMORROW, TOMORROW);
    expect(t.history.at(-1)).toBe("ended warm-up warm-up");
  });
});

describe("restarts and settings", () => {
  test("the count survives a restart, the pause too", () => {
    const before = told(WARM);
    send(before, 8, T0);
    before.governor.observe([report({ rejected: 50 })], [], T0);
    const t = told(WARM);
    t.governor.restore(JSON.parse(JSON.stringify(before.governor.snapshot())), T0 + 1);
    expect(state(t, T0 + 1)).toEqual(state(before, T0 + 1));
    expect(t.govern(T0 + 1).messages).toBe(0);
  });

  const BREAKER = { errors: 0.9, messages: 300, windowMs: HOUR, stopMs: HOUR };
  const PLAN = { publicId: 1, mx: "*.example.com", plan: [60, 120, 240], pauseAt: 0.1 };
  const set = (t: Told, warmUp: (typeof PLAN)[], now: number): void =>
    t.governor.setSettings({ breaker: BREAKER, warmUp }, now);

  test("a plan that is taken out by mistake and put in again goes on: its day, what was sent, its pause", () => {
    const t = told(WARM);
    takeAll(t, T0, TOMORROW);
    takeAll(t, TOMORROW, TOMORROW + HOUR);
    const before = state(t, TOMORROW + HOUR);
    expect(before).toMatchObject({ day: 2, sent: 20 });
    set(t, [], TOMORROW + HOUR);
    expect(t.govern(TOMORROW + HOUR).messages).toBe(Infinity);
    set(t, [PLAN], TOMORROW + HOUR);
    expect(state(t, TOMORROW + HOUR)).toEqual(before);
    t.governor.observe([report({ rejected: 50 })], [], TOMORROW + HOUR);
    set(t, [], TOMORROW + HOUR);
    t.run(TOMORROW + HOUR, TOMORROW + HOUR);
    expect(t.history.at(-1), "the history has its end").toBe("ended warm-up warm-up");
    set(t, [PLAN], TOMORROW + 2 * HOUR);
    expect(state(t, TOMORROW + 2 * HOUR).paused).toContain("50 of 50");
  });

  test("three days later it is another IP's: from the first day", () => {
    const t = told(WARM);
    takeAll(t, T0, TOMORROW);
    expect(state(t, TOMORROW).day).toBe(2);
    set(t, [], TOMORROW);
    set(t, [], TOMORROW + 5 * DAY);
    set(t, [PLAN], TOMORROW + 5 * DAY);
    expect(state(t, TOMORROW + 5 * DAY)).toMatchObject({ day: 1, sent: 0 });
  });

  test("a server that has not read of a plan yet takes the lead: the plan loses nothing by it", () => {
    const first = told(WARM);
    send(first, 8, T0);
    const stale = told({ warmUp: [] });
    stale.governor.restore(JSON.parse(JSON.stringify(first.governor.snapshot())), T0 + 1);
    const third = told({ warmUp: [] });
    third.governor.restore(JSON.parse(JSON.stringify(stale.governor.snapshot())), T0 + 2);
    set(third, [PLAN], T0 + 3);
    expect(third.governor.warmUpState(T0 + 3)).toEqual(first.governor.warmUpState(T0 + 3));
  });

  test("a day that is over counts by the plan it was sent under", () => {
    const t = told(WARM);
    send(t, 6, T0);
    set(t, [{ ...PLAN, plan: [600, 1200] }], TOMORROW);
    expect(state(t, TOMORROW).day).toBe(2);
  });

  test("a plan that is changed goes on at its day; one that is gone is over; a new one begins", () => {
    const t = told(WARM);
    send(t, 10, T0);
    t.governor.warmUpState(TOMORROW);
    t.governor.setSettings(
      {
        breaker: { errors: 0.9, messages: 300, windowMs: HOUR, stopMs: HOUR },
        warmUp: [
          { publicId: 1, mx: "*.example.com", plan: [1, 600], pauseAt: 0.1 },
          { publicId: 2, mx: "*", plan: [6], pauseAt: 0.1 },
        ],
      },
      TOMORROW,
    );
    expect(t.govern(TOMORROW).messages).toBe(100);
    expect(t.govern(TOMORROW, SITE, 2).messages).toBe(1);
    t.governor.setSettings(
      { breaker: { errors: 0.9, messages: 300, windowMs: HOUR, stopMs: HOUR }, warmUp: [] },
      TOMORROW,
    );
    expect(t.govern(TOMORROW).messages).toBe(Infinity);
  });
});
