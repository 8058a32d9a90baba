/** A back-off under a smooth rule: the second limits go evenly too, and who waits for the next portion is called when it comes. */
import { expect, test } from "vitest";
import type { Limits } from "../../src/model/traffic.ts";
import { HOUR, LIMITS, MIN, SITE, T0, type Told, path, sample, told } from "./governor-parts.ts";

const SMOOTH: Limits = { ...LIMITS, pacing: "smooth" };

/** Backed off to 1,200 an hour: 100 in a period, one each three seconds. */
function slowed(): Told {
  const t = told();
  t.governor.observe([], [sample("slow down", { count: 4 })], T0);
  return t;
}

/** Takes all there is whenever there may be some, until `to`: what was taken when. */
function takeAll(t: Told, limits: Limits, from: number, to: number): [at: number, messages: number][] {
  const taken: [number, number][] = [];
  for (let now = from; now < to;) {
    const { messages, hold } = t.governor.govern(SITE, path(), limits, now);
    if (messages > 0) {
      taken.push([now, messages]);
      t.governor.granted(SITE, path(), messages, now);
      continue;
    }
    expect(hold).toMatchObject({ kind: "back-off", by: "slow" });
    expect(hold!.until).toBeGreaterThan(now);
    expect(t.governor.nextAt()).toBe(hold!.until);
    now = hold!.until;
    t.changes.length = 0;
    t.governor.tick(now);
    expect(t.changes).toEqual([{ site: SITE, publicId: 1 }]);
  }
  return taken;
}

const sum = (taken: readonly (readonly [number, number])[], from: number, ms: number): number =>
  taken.reduce((all, [at, messages]) => (at >= from && at < from + ms ? all + messages : all), 0);

test("the messages of a period go evenly, not as soon as it begins", () => {
  const taken = takeAll(slowed(), SMOOTH, T0, T0 + 30 * MIN);
  expect(Math.max(...taken.map(([, messages]) => messages))).toBe(1);
  for (const [at] of taken) expect(sum(taken, at, 10_000)).toBeLessThanOrEqual(5);
  for (let from = T0; from < T0 + 30 * MIN; from += 5 * MIN)
    expect(sum(taken, from, 5 * MIN)).toBeGreaterThanOrEqual(98);
  const asPeriods = takeAll(slowed(), LIMITS, T0, T0 + 6 * MIN);
  expect(asPeriods.map(([, messages]) => messages)).toEqual([100, 100]);
});

test("work that comes late in a period does not catch up", () => {
  const taken = takeAll(slowed(), SMOOTH, T0 + 4 * MIN, T0 + 5 * MIN);
  expect(sum(taken, T0, HOUR)).toBeLessThanOrEqual(21);
});

test("a restart brings no second portion, a clock that goes back stops nothing", () => {
  const t = slowed();
  takeAll(t, SMOOTH, T0, T0 + MIN);
  const next = told();
  next.governor.restore(JSON.parse(JSON.stringify(t.governor.snapshot())), T0 + MIN);
  expect(sum(takeAll(next, SMOOTH, T0 + MIN, T0 + 2 * MIN), T0, HOUR)).toBeLessThanOrEqual(21);
  next.governor.tick(T0 - 10 * MIN);
  expect(sum(takeAll(next, SMOOTH, T0 - 10 * MIN, T0 - 9 * MIN), T0 - HOUR, HOUR)).toBeGreaterThanOrEqual(18);
});
