/**
 * Seeded random lives of a governor: trouble of every kind, grants, restarts, clocks that jump. At every step nothing is above the rule and
 * every hold can end; once the sites are content, or there is no more mail, everything ends.
 */
import { expect, test } from "vitest";
import type { Limits } from "../../src/model/traffic.ts";
import type { Suspension } from "../../src/stat/contract.ts";
import { draws } from "../support/draws.ts";
import { DAY, HOUR, LIMITS, MIN, T0, type Told, path, report, sample, told } from "./governor-parts.ts";

const SITES = ["a", "b", "c", "d"];
const IDS = [1, 2];
const TEXTS = ["slow down", "go away", "whole site", "on a list", "a tenth", "greylisted", "whatever"];
const SETTINGS = { warmUp: [{ publicId: 2, mx: "*.a.net", plan: [60, 600] }] };
const RULES: readonly Limits[] = [
  LIMITS,
  { ...LIMITS, messagesPerHour: 0, connections: 1, messagesPerConnection: 1 },
  { ...LIMITS, messagesPerHour: 7, messagesPerMinute: 3 },
];

interface Life {
  t: Told;
  now: number;
  readonly draw: (n: number) => number;
  suspensions: Suspension[];
}

function oneOf<T>(life: Life, list: readonly T[]): T {
  return list[life.draw(list.length)]!;
}

/** Asks for a path, holds the answer against what was given, takes some of what is allowed. */
function ask(life: Life, take: boolean): number {
  const { t, now } = life;
  const [site, publicId, limits] = [oneOf(life, SITES), oneOf(life, IDS), oneOf(life, RULES)];
  const where = path(publicId, `mx.${site}.net`);
  const governed = t.governor.govern(site, where, limits, now);
  const got = governed.limits;
  expect(got.connections).toBeGreaterThanOrEqual(1);
  expect(got.connections).toBeLessThanOrEqual(limits.connections);
  expect(got.messagesPerConnection).toBeLessThanOrEqual(limits.messagesPerConnection);
  if (limits.messagesPerHour > 0) expect(got.messagesPerHour).toBeLessThanOrEqual(limits.messagesPerHour);
  if (limits.messagesPerHour > 0) expect(got.messagesPerHour).toBeGreaterThanOrEqual(1);
  if (limits.messagesPerMinute > 0) expect(got.messagesPerMinute).toBeLessThanOrEqual(limits.messagesPerMinute);
  expect(got.rule).toBe(limits.rule);
  expect(t.governor.govern(site, where, limits, now), "asking changes nothing").toEqual(governed);
  expect(governed.messages === 0, "nothing may go, and why").toBe(governed.hold !== null);
  expect(governed.messages).toBeGreaterThanOrEqual(0);
  if (governed.hold !== null) {
    const { until, since, text, by, kind } = governed.hold;
    expect(until === 0 || until > now, `${by}: ${text} ends at ${until - now}`).toBe(true);
    // A suspension has the database's time; a clock that goes back by less than a minute stands still.
    if (kind !== "suspension") expect(since, by).toBeLessThanOrEqual(now + MIN);
  }
  const wanted = take ? Math.min(governed.messages, 1 + life.draw(20)) : 0;
  if (wanted > 0) t.governor.granted(site, where, wanted, now);
  if (wanted > 0 && life.draw(5) === 0) t.governor.granted(site, where, -life.draw(wanted + 1), now);
  return wanted;
}

function suspend(life: Life): void {
  const { t, now, draw } = life;
  if (life.suspensions.length > 2) life.suspensions.splice(draw(3), 1);
  const until = draw(2) === 0 ? 0 : now + draw(HOUR);
  const id = draw(1_000_000) + 1;
  life.suspensions.push({
    id,
    site: oneOf(life, ["a", "*.b.net", ""]),
    publicId: oneOf(life, [null, 1]),
    reason: "r",
    by: "x",
    since: now,
    until,
  });
  t.governor.setSuspensions(life.suspensions, now);
}

function restart(life: Life): void {
  const next = told(SETTINGS);
  next.governor.restore(JSON.parse(JSON.stringify(life.t.governor.snapshot())), life.now);
  next.governor.setSuspensions(life.suspensions, life.now);
  life.t = next;
}

function step(life: Life): void {
  const { t, draw } = life;
  const what = draw(100);
  const place = { site: oneOf(life, SITES), publicId: oneOf(life, IDS) };
  const mx = `mx.${place.site}.net`;
  if (what < 50) ask(life, true);
  else if (what < 65)
    t.governor.observe([report({ ...place, mx, accepted: draw(50), deferred: draw(10) })], [], life.now);
  else if (what < 75)
    t.governor.observe([], [sample(oneOf(life, TEXTS), { ...place, mx, count: 1 + draw(4) })], life.now);
  else if (what < 78) t.governor.observe([report({ ...place, mx, rejected: draw(400) })], [], life.now);
  else if (what < 96) life.now += draw(5) === 0 ? draw(2 * HOUR) : draw(2 * MIN);
  else if (what === 96) suspend(life);
  else if (what === 97) restart(life);
  else if (what === 98) life.now = Math.max(T0, life.now - draw(2 * HOUR));
  else t.governor.lift({ site: place.site, publicId: place.publicId }, "alice", life.now);
  life.t.governor.tick(life.now);
  expect(life.t.governor.nextAt(), "what is due is done").toBeGreaterThan(life.now);
}

function live(seed: number): Life {
  const life: Life = { t: told(SETTINGS), now: T0, draw: draws(seed), suspensions: [] };
  for (let i = 0; i < 600; i++) step(life);
  life.suspensions = [];
  life.t.governor.setSuspensions([], life.now);
  life.t.governor.setSettings(
    { breaker: { errors: 0.9, messages: 300, windowMs: HOUR, stopMs: HOUR }, warmUp: [] },
    life.now,
  );
  return life;
}

function over({ t, now }: Life): void {
  expect(t.governor.list(now)).toEqual([]);
  for (const site of SITES) for (const id of IDS) expect(t.govern(now, site, id).limits).toBe(LIMITS);
}

test.each(Array.from({ length: 24 }, (_, i) => i + 1))("seed %i: without mail everything ends", (seed) => {
  const life = live(seed);
  // The longest stop, a probe nobody has mail for, a ramp likewise.
  const bound = DAY + DAY + 4 * HOUR;
  life.t.run(life.now, (life.now += bound));
  over(life);
  expect(life.t.governor.nextAt()).toBe(Infinity);
});

test.each(Array.from({ length: 12 }, (_, i) => i + 101))(
  "seed %i: with mail that is taken everything ends sooner",
  (seed) => {
    const life = live(seed);
    const end = life.now + DAY + HOUR;
    while (life.now < end) {
      for (const site of SITES) {
        for (const publicId of IDS) {
          const where = path(publicId, `mx.${site}.net`);
          const messages = Math.min(life.t.governor.govern(site, where, LIMITS, life.now).messages, 50);
          if (messages === 0) continue;
          life.t.governor.granted(site, where, messages, life.now);
          life.t.governor.observe([report({ site, publicId, mx: where.mx, accepted: messages })], [], life.now);
        }
      }
      life.now += MIN;
      life.t.governor.tick(life.now);
    }
    over(life);
  },
);

test("the same seed, the same life", () => {
  expect(JSON.stringify(live(7).t.governor.snapshot())).toBe(JSON.stringify(live(7).t.governor.snapshot()));
});

test("a whole day under limits and ramps: never more messages in an hour than the rule has", () => {
  const t = told();
  const small = { ...LIMITS, messagesPerHour: 1200 };
  const draw = draws(5);
  const sent: [at: number, messages: number][] = [];
  for (let now = T0; now < T0 + DAY; now += 20_000) {
    t.governor.tick(now);
    if (draw(500) === 0) t.governor.observe([], [sample("slow down", { site: "a", count: 4 })], now);
    const governed = t.governor.govern("a", path(), small, now);
    if (governed.messages === Infinity) continue;
    const messages = governed.messages;
    sent.push([now, messages]);
    t.governor.granted("a", path(), messages, now);
    if (messages > 0) t.governor.observe([report({ site: "a", accepted: messages })], [], now);
  }
  expect(sent.length).toBeGreaterThan(1000);
  const begins = [...new Set(sent.map(([at]) => at - (at % HOUR)))];
  const hours = begins.map((from) =>
    sent.reduce((sum, [at, messages]) => (at >= from && at < from + HOUR ? sum + messages : sum), 0),
  );
  expect(Math.max(...hours)).toBeLessThanOrEqual(1200);
  expect(Math.max(...hours)).toBeGreaterThan(0);
});
