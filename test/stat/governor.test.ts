/** The governor under hostile reports, clocks, floods and restarts; and what asking it costs when nothing is at work. */
import { describe, expect, test } from "vitest";
import type { PathReport, ReplySample } from "../../src/quota/messages.ts";
import {
  DAY,
  HOUR,
  LIMITS,
  MIN,
  MX,
  RULES,
  SITE,
  T0,
  type Told,
  path,
  report,
  sample,
  told,
} from "./governor-parts.ts";

const trouble = (t: Told, text: string, count: number, now: number): void =>
  t.governor.observe([], [sample(text, { count })], now);

describe("hostile reports", () => {
  test("control characters and 10 KB in a text: one short, harmless line for people", () => {
    const t = told();
    trouble(t, `\u001b[31mslow down\r\n\u202e${"\u0000x".repeat(5_000)}`, 4, T0);
    const [measure] = t.governor.list(T0);
    const { hold } = (t.governor.granted(SITE, path(), 100, T0), t.govern(T0));
    t.governor.granted(SITE, path(), 100, T0);
    const text = t.govern(T0).hold?.text ?? hold?.text ?? "";
    for (const line of [measure!.reason, text]) {
      expect(line).toContain("slow down");
      expect(line.length).toBeLessThan(400);
      // eslint-disable-next-line no-control-regex
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    }
  });

  test("counts that are none are nothing: NaN, negative, fractions, infinite, huge", () => {
    const t = told();
    for (const count of [Number.NaN, -4, 0.9, Infinity, -Infinity]) trouble(t, "slow down", count, T0);
    expect(t.history).toEqual([]);
    const counts = { attempts: Number.NaN, accepted: -1, deferred: Infinity, rejected: Number.NaN };
    t.governor.observe([report(counts), report({ accepted: Number.NaN, rejected: 299 })], [], T0);
    expect(t.history).toEqual([]);
    t.governor.observe([report({ rejected: Number.MAX_VALUE })], [], T0);
    expect(t.history, "many errors are many, cut").toEqual(["began breaker circuit breaker"]);
    t.governor.granted(SITE, path(), Number.NaN, T0);
    t.governor.granted(SITE, path(), -Infinity, T0);
    expect(JSON.stringify(t.governor.snapshot())).not.toMatch(/NaN|Infinity|null,null/);
  });

  test("places that are none are not counted", () => {
    const t = told();
    const places: Partial<ReplySample>[] = [
      { site: "" },
      { site: "x".repeat(5_000) },
      { publicId: -1 },
      { publicId: 1.5 },
      { publicId: Number.NaN },
      { site: undefined as unknown as string },
    ];
    t.governor.observe(
      places.map((place) => report({ ...(place as Partial<PathReport>), rejected: 1000 })),
      places.map((place) => sample("slow down", { ...place, count: 100 })),
      T0,
    );
    expect(t.history).toEqual([]);
  });

  test("a site named like another place is its own", () => {
    const t = told();
    for (const site of ["|", "1|", "|1", "*", "null"])
      t.governor.observe([], [sample("slow down", { site, count: 4 })], T0);
    expect(t.govern(T0, SITE, 1).connections).toBe(Infinity);
    expect(t.govern(T0, "|1", 1).connections).toBe(1);
    expect(t.govern(T0, "1|", 2).connections).toBe(Infinity);
  });
});

describe("time", () => {
  test("a little back stands still; NaN is no time", () => {
    const t = told();
    trouble(t, "slow down", 2, T0);
    trouble(t, "slow down", 2, T0 - 30_000);
    expect(t.governor.list(T0)[0]).toMatchObject({ since: T0, until: T0 + HOUR });
    t.governor.tick(Number.NaN);
    t.governor.tick(-1);
    expect(t.govern(Number.NaN).connections).toBe(1);
    expect(t.stage(Number.NaN)).toBe("limits");
  });

  test("far back: what was left of each measure is left, and not a year", () => {
    const t = told({ warmUp: [{ publicId: 9, mx: "*", plan: [60] }] });
    trouble(t, "go away", 4, T0 + 365 * DAY);
    t.governor.granted(SITE, path(9), 10, T0 + 365 * DAY);
    t.governor.tick(T0 + 365 * DAY + 20 * MIN);
    t.governor.tick(T0);
    expect(t.govern(T0).hold).toMatchObject({ until: T0 + 40 * MIN });
    expect(t.governor.nextAt()).toBe(T0 + 40 * MIN);
    t.run(T0, T0 + 40 * MIN);
    expect(t.stage(T0)).toContain("probe");
    expect(t.governor.warmUpState(T0)[0], "what was sent today stays sent").toMatchObject({ sent: 10, day: 1 });
  });

  test("far back: a period that is used up is not given a second time", () => {
    const t = told();
    trouble(t, "slow down", 4, T0 + DAY);
    t.govern(T0 + DAY);
    t.governor.granted(SITE, path(), 100, T0 + DAY + MIN);
    t.governor.tick(T0 + 2 * MIN);
    expect(t.govern(T0 + 2 * MIN).messages).toBe(0);
    expect(t.govern(T0 + 5 * MIN).messages).toBe(100);
  });

  test("far back: replies that were counted still count", () => {
    const t = told();
    trouble(t, "slow down", 3, T0 + DAY);
    trouble(t, "slow down", 1, T0);
    expect(t.history).toHaveLength(1);
  });

  test("far ahead: everything goes its way and ends, once", () => {
    const t = told();
    trouble(t, "go away", 4, T0);
    t.governor.tick(T0 + 10 * 365 * DAY);
    expect(t.stage(T0)).toBe("probe");
    t.run(T0 + 10 * 365 * DAY, T0 + 11 * 365 * DAY);
    expect(t.history).toEqual(["began back-off stop", "ended back-off stop"]);
  });
});

describe("floods", () => {
  test("ten times more sites than are known: bounded, and what matters among them is kept", () => {
    const t = told();
    const batch = 1000;
    for (let i = 0; i < 300_000; i += batch) {
      const reports = Array.from({ length: batch }, (_, j) =>
        report({ site: `site${i + j}`, rejected: 3, accepted: 1 }),
      );
      const noise = Array.from({ length: 20 }, (_, j) => sample("slow down", { site: `site${i + j}` }));
      // The one that is in trouble is heard of now and then.
      if (i % 30_000 === 0) reports.push(report({ rejected: 30 }));
      t.governor.observe(reports, noise, T0 + i / 1000);
    }
    expect(t.history).toEqual(["began breaker circuit breaker"]);
    expect(t.govern(T0 + 1000).messages).toBe(0);
    expect(JSON.stringify(t.governor.snapshot()).length).toBeLessThan(4_000_000);
  }, 60_000);

  test("as many sites in trouble as can be: the first ones make room, each with its end written down", () => {
    const t = told();
    for (let i = 0; i < 20_010; i += 10) {
      const samples = Array.from({ length: 10 }, (_, j) => sample("slow down", { site: `site${i + j}`, count: 4 }));
      t.governor.observe([], samples, T0);
    }
    expect(t.governor.list(T0)).toHaveLength(20_000);
    expect(t.recorded.filter(({ ended }) => ended)).toHaveLength(10);
    expect(t.govern(T0, "site0").connections).toBe(Infinity);
    expect(t.govern(T0, "site20009").connections).toBe(1);
  });

  test("many changes at once are told as one", () => {
    const t = told();
    const samples = Array.from({ length: 51 }, (_, i) => sample("slow down", { site: `site${i}`, count: 4 }));
    t.governor.observe([], samples, T0);
    expect(t.changes).toEqual([null]);
  });
});

describe("restarts", () => {
  /** As it comes back from PostgreSQL. */
  const restarted = (t: Told, now: number): Told => {
    const next = told();
    next.governor.restore(JSON.parse(JSON.stringify(t.governor.snapshot())), now);
    return next;
  };

  test("in the middle of a probe: what was granted stays granted, then it goes on", () => {
    const before = told();
    trouble(before, "slow down", 4, T0);
    before.run(T0, T0 + HOUR);
    before.governor.granted(SITE, path(), 4, T0 + HOUR);
    before.governor.observe([report({ accepted: 2 })], [], T0 + HOUR);
    const t = restarted(before, T0 + HOUR + MIN);
    expect(t.stage(T0 + HOUR + MIN)).toBe("probe");
    expect(t.govern(T0 + HOUR + MIN)).toMatchObject({ messages: 1, connections: 1 });
    t.governor.observe([report({ accepted: 3 })], [], T0 + HOUR + 2 * MIN);
    expect(t.stage(T0 + HOUR + 2 * MIN)).toBe("ramp");
  });

  test("in the middle of a probe whose results are lost with the server: judged by what was heard, or tried again", () => {
    const before = told();
    trouble(before, "slow down", 4, T0);
    before.run(T0, T0 + HOUR);
    before.governor.granted(SITE, path(), 5, T0 + HOUR);
    const t = restarted(before, T0 + HOUR + MIN);
    t.run(T0 + HOUR + MIN, T0 + HOUR + 11 * MIN);
    expect(t.govern(T0 + HOUR + 11 * MIN).messages).toBe(5);
  });

  test("counts that were on their way to a threshold go on, the sites that said so too", () => {
    const before = told();
    before.governor.observe([report({ rejected: 299 })], [sample("slow down", { count: 3 })], T0);
    for (const site of ["a", "b"]) before.governor.observe([], [sample("on a list", { site, count: 2 })], T0);
    const t = restarted(before, T0 + MIN);
    t.governor.observe([report({ rejected: 1 })], [sample("slow down")], T0 + MIN);
    expect(t.history).toEqual(["began back-off slow", "began breaker circuit breaker"]);
    t.governor.observe([], [sample("on a list", { site: "c", count: 2 })], T0 + MIN);
    expect(t.govern(T0 + MIN, "anything").hold).toMatchObject({ by: "listed" });
  });

  test("a stop that ended while nobody ran is a probe, not a wave", () => {
    const before = told();
    trouble(before, "go away", 4, T0);
    const t = restarted(before, T0 + 5 * HOUR);
    expect(t.govern(T0 + 5 * HOUR).messages, "before anybody ticks").toBe(0);
    t.run(T0 + 5 * HOUR, T0 + 5 * HOUR);
    expect(t.stage(T0 + 5 * HOUR)).toBe("probe");
  });

  test("a snapshot of the future, after the clock was set back", () => {
    const before = told();
    trouble(before, "go away", 4, T0 + DAY);
    const t = restarted(before, T0);
    expect(t.govern(T0).hold?.until).toBe(T0 + HOUR);
  });

  test.each<unknown>([
    null,
    undefined,
    7,
    "{}",
    [],
    { v: 2 },
    { v: 1 },
    { v: 1, at: "x", courses: [null, 7, {}], trouble: 5 },
    {
      v: 1,
      at: T0,
      courses: {},
      trouble: {
        attempts: { slotMs: 60_000, entries: [[1], ["k", "n", [[1]]], ["k", "", [[-1, 2, 3]]]] },
        matched: [
          [1, 2, 3],
          ["slow", -1, {}],
        ],
        said: [["k", [[1, 2]]]],
      },
      warmUp: [[1], "x"],
      suspensions: [{}],
      ramps: [{}],
    },
  ])("a damaged snapshot is none: %j", (snapshot) => {
    const t = told();
    t.governor.restore(snapshot, T0);
    expect(t.govern(T0)).toEqual({ limits: LIMITS, hold: null, connections: Infinity, messages: Infinity });
    trouble(t, "slow down", 4, T0);
    expect(t.govern(T0).connections).toBe(1);
  });

  test("of a damaged course only what fits is taken", () => {
    const before = told();
    trouble(before, "slow down", 4, T0);
    before.governor.observe([], [sample("slow down", { site: "other", count: 4 })], T0);
    const saved = JSON.parse(JSON.stringify(before.governor.snapshot())) as { courses: Record<string, unknown>[] };
    saved.courses[0]!["remedy"] = "gone";
    saved.courses[1]!["granted"] = "many";
    saved.courses.push({ ...saved.courses[1], publicId: "7" }, { ...saved.courses[1] });
    const t = told();
    t.governor.restore(saved, T0);
    expect(t.governor.list(T0)).toMatchObject([{ site: "other", stage: "limits" }]);
  });

  test("a restored governor does what the one that ran on does", () => {
    const one = told();
    trouble(one, "slow down", 4, T0);
    one.governor.granted(SITE, path(), 30, T0);
    one.governor.setSuspensions([{ id: 1, site: MX, publicId: 4, reason: "r", by: "b", since: T0, until: 0 }], T0);
    const other = restarted(one, T0 + 1);
    for (let now = T0 + 1; now < T0 + 3 * HOUR; now += 61_000) {
      for (const t of [one, other]) {
        t.run(now, now);
        const { messages } = t.govern(now);
        t.governor.granted(SITE, path(), Math.min(2, messages), now);
        t.governor.observe([report({ accepted: Math.min(2, messages) })], [], now);
      }
      expect(other.govern(now)).toEqual(one.govern(now));
      expect(other.governor.list(now)).toEqual(one.governor.list(now));
    }
    expect(JSON.stringify(other.governor.snapshot())).toBe(JSON.stringify(one.governor.snapshot()));
  });
});

test("nothing at work: the limits themselves, whatever is asked", () => {
  const t = told();
  expect(t.governor.nextAt()).toBe(Infinity);
  expect(t.governor.list(T0)).toEqual([]);
  expect(t.govern(T0).limits).toBe(LIMITS);
  expect(RULES.length).toBeGreaterThan(0);
});
