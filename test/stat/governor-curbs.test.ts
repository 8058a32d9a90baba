/** What the governor leaves to machines that have to go on without its server: at each stage of a course, of suspensions, of warm-ups. */
import { describe, expect, test } from "vitest";
import { ALL_AS_IS, lowered } from "../../src/model/back-off.ts";
import type { Curb } from "../../src/quota/messages.ts";
import type { Suspension } from "../../src/stat/contract.ts";
import { HOUR, LIMITS, MIN, MX, REMEDY, SITE, T0, type Told, path, report, sample, told } from "./governor-parts.ts";

function after(text: string, settings: Parameters<typeof told>[0] = {}): Told {
  const t = told(settings);
  t.governor.observe([report({ accepted: 30 })], [sample(text, { count: 4 })], T0);
  return t;
}

/** The only one that is in force at a time. */
function inForce(t: Told, now: number, at = now): Curb {
  const curbs = t.governor.curbs(now).filter(({ from, until }) => from <= at && (until === 0 || at < until));
  expect(curbs).toHaveLength(1);
  return curbs[0]!;
}

const SIXTEENTH = { share: 1 / 16, value: 0 };

describe("a back-off", () => {
  test("nothing at work, nothing said", () => {
    expect(told().governor.curbs(T0)).toEqual([]);
  });

  test("lower limits: the second set as the rule on replies has it, then the first step of the ramp", () => {
    const t = after("slow down");
    const curb = inForce(t, T0);
    expect(curb).toMatchObject({ site: SITE, exact: true, publicId: 1, until: T0 + HOUR, limits: REMEDY.limits });
    expect(curb.hold).toMatchObject({ kind: "back-off", by: "slow", until: T0 + HOUR });
    expect(curb.hold.text).toContain("slow down");
    expect(lowered(LIMITS, curb.limits!, curb.base)).toEqual(t.govern(T0).limits);
    expect(inForce(t, T0, T0 + 2 * HOUR)).toMatchObject({
      from: T0 + HOUR,
      until: 0,
      limits: { ...ALL_AS_IS, connections: SIXTEENTH, messagesPerHour: SIXTEENTH },
    });
    expect(new Set(t.governor.curbs(T0).map(({ id }) => id)).size).toBe(2);
  });

  test("a stop: nothing until its end, then the first step; so at the probe, whose results nobody would weigh", () => {
    const t = after("go away");
    expect(inForce(t, T0)).toMatchObject({ limits: null, until: T0 + HOUR, hold: { kind: "back-off", by: "stop" } });
    const step = { ...ALL_AS_IS, connections: SIXTEENTH, messagesPerHour: SIXTEENTH };
    expect(inForce(t, T0, T0 + HOUR).limits).toEqual(step);
    t.run(T0, T0 + HOUR);
    expect(t.stage(T0 + HOUR)).toBe("probe");
    expect(inForce(t, T0 + HOUR)).toMatchObject({ from: 0, until: 0, limits: step });
  });

  test("a ramp: its step, which stays", () => {
    const t = after("go away");
    t.governor.lift({ site: SITE, publicId: 1 }, "alice", T0 + MIN);
    expect(inForce(t, T0 + MIN).limits).toMatchObject({ connections: SIXTEENTH });
    t.governor.observe([report({ accepted: 5 })], [], T0 + 2 * MIN);
    t.run(T0 + MIN, T0 + 6 * MIN);
    expect(inForce(t, T0 + 6 * MIN)).toMatchObject({ until: 0, limits: { connections: { share: 1 / 8 } } });
  });

  test("of a whole site: a ramp is a share of what went there before, over all public ids", () => {
    const t = told();
    t.governor.observe([report({ accepted: 3200 })], [sample("whole site", { count: 4 })], T0);
    t.run(T0, T0 + HOUR);
    const curb = inForce(t, T0 + HOUR);
    expect(curb).toMatchObject({ site: SITE, publicId: null, limits: { messagesPerHour: { share: 1, value: 200 } } });
  });
});

describe("a suspension", () => {
  const suspension = (parts: Partial<Suspension>): Suspension => ({
    id: 7,
    site: "*.example.com",
    publicId: null,
    reason: "they asked",
    by: "alice",
    since: T0,
    until: 0,
    ...parts,
  });

  test("holds until somebody resumes it; one with an end is followed by a ramp", () => {
    const t = told();
    t.governor.setSuspensions([suspension({})], T0);
    expect(inForce(t, T0, T0 + 1000 * HOUR)).toMatchObject({
      site: "*.example.com",
      exact: false,
      limits: null,
      hold: { kind: "suspension", by: "operator alice", text: "suspended: they asked" },
    });
    t.governor.setSuspensions([suspension({ until: T0 + HOUR })], T0);
    expect(inForce(t, T0)).toMatchObject({ limits: null, until: T0 + HOUR });
    expect(inForce(t, T0, T0 + HOUR)).toMatchObject({ until: 0, limits: { connections: SIXTEENTH } });
    expect(inForce(t, T0, T0 + HOUR).limits!.messagesPerHour.value).toBeGreaterThan(0);
  });

  test("a short one is over when it is over; the ramp after one is told like any", () => {
    const t = told();
    t.governor.setSuspensions([suspension({ until: T0 + 30_000 })], T0);
    expect(t.governor.curbs(T0)).toHaveLength(1);
    t.governor.setSuspensions([suspension({ until: T0 + HOUR })], T0);
    t.run(T0, T0 + HOUR);
    expect(inForce(t, T0 + HOUR)).toMatchObject({ exact: false, site: "*.example.com", from: 0, until: 0 });
  });
});

describe("a warm-up", () => {
  const WARM = { warmUp: [{ publicId: 1, mx: "*.example.com", plan: [60, 120, 240] }] };

  test("an hour's part of the day; nothing when the hour is used up, until the next one", () => {
    const t = told(WARM);
    expect(inForce(t, T0)).toMatchObject({
      site: "*.example.com",
      exact: false,
      publicId: 1,
      until: 0,
      hold: { kind: "warm-up" },
      limits: { ...ALL_AS_IS, messagesPerHour: { share: 1, value: 10 } },
    });
    t.governor.granted(SITE, path(1, MX), 10, T0);
    expect(inForce(t, T0)).toMatchObject({ limits: null, until: T0 + HOUR });
    expect(inForce(t, T0, T0 + HOUR)).toMatchObject({ limits: { messagesPerHour: { value: 10 } } });
    expect(inForce(t, T0 + HOUR)).toMatchObject({ from: 0, limits: { messagesPerHour: { value: 10 } } });
  });

  test("a warm IP, and one that is not warmed up, are left alone", () => {
    const t = told({ warmUp: [{ publicId: 1, mx: "*", plan: [60] }] });
    t.governor.granted(SITE, path(), 60, T0);
    const tomorrow = Date.UTC(2026, 0, 2);
    t.run(T0, tomorrow);
    expect(t.governor.curbs(tomorrow)).toEqual([]);
  });
});
