/** Questions about sites: what holds one and why, in which state it is, and everything that is known of it. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Hold, LaneReport } from "../../src/model/traffic.ts";
import type { SiteAnswer, SitesAnswer } from "../../src/quota/answers.ts";
import type { PathReport } from "../../src/quota/messages.ts";
import { counter, lane, measure, NOON, openScene, report, type Scene, SITE } from "./queries-parts.ts";

let s: Scene;
beforeEach(async () => {
  s = await openScene();
});

describe("what holds a site", () => {
  test("nothing: it goes", async () => {
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane()], s.now);
    const { summary, holds } = s.ask<SiteAnswer>("site", { site: SITE });
    expect(holds).toEqual([]);
    expect(summary).toMatchObject({ state: "ok", waiting: 50, inFlight: 2, sessions: 3, hold: null, publicIds: [1] });
  });

  test.each<[string, () => void, object]>([
    [
      "a spent period",
      () => (s.counters = [counter({ waiting: 2, spent: 100 })]),
      { kind: "quota", by: "rule a", until: NOON + 300_000, text: "100 of 100 messages of this period are used" },
    ],
    [
      "connections",
      () => (s.counters = [counter({ waiting: 1 })]),
      { kind: "connections", by: "rule a", until: 0, text: "3 of 3 connections are open and 1 more is asked for" },
    ],
    ["a counter of a path", () => (s.counters = [counter({ waiting: 1, ip: "192.0.2.1" })]), { kind: "connections" }],
    [
      "a counter of the whole rule",
      () => (s.counters = [counter({ waiting: 1, publicId: null })]),
      { kind: "connections", publicId: null },
    ],
    [
      "a suspension of everything",
      () => (s.measures = [measure()]),
      { kind: "suspension", by: "alice", text: "suspended: complaints" },
    ],
    [
      "a suspension of the site",
      () => (s.measures = [measure({ site: SITE, publicId: 1 })]),
      { kind: "suspension", publicId: 1 },
    ],
    [
      "a suspension by mask over a second exchanger",
      () => (s.measures = [measure({ site: "mx2.*" })]),
      { kind: "suspension" },
    ],
    [
      "the breaker",
      () => (s.measures = [measure({ kind: "breaker", reason: "95 % errors" })]),
      { kind: "back-off", text: "stopped: 95 % errors" },
    ],
    [
      "back-off limits",
      () => (s.measures = [measure({ kind: "back-off", stage: "limits", reason: "421 too many" })]),
      { kind: "back-off", text: "lower limits: 421 too many" },
    ],
    ["warm-up", () => (s.measures = [measure({ kind: "warm-up", reason: "day 2: 100 of 100" })]), { kind: "warm-up" }],
    [
      "what an mta says",
      () =>
        s.queries.lanes(
          "m2/0",
          [lane({ hold: { kind: "tls-policy", by: "MTA-STS", text: "certificate", since: 5, until: 9 } })],
          s.now,
        ),
      { kind: "tls-policy", by: "MTA-STS", since: 5, until: 9, publicId: 1 },
    ],
  ])("%s", async (_, make, hold) => {
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane()], s.now);
    make();
    const answer = s.ask<SiteAnswer>("site", { site: SITE });
    expect(answer.holds).toEqual([expect.objectContaining(hold)]);
    expect(answer.summary).toMatchObject({ state: "held", hold });
  });

  test.each<[string, () => void]>([
    ["a counter nobody waits for", () => (s.counters = [counter({ spent: 100 })])],
    ["a counter of another rule", () => (s.counters = [counter({ waiting: 1, rule: "*" })])],
    ["a counter of another public id", () => (s.counters = [counter({ waiting: 1, publicId: 2 })])],
    ["a counter of another address", () => (s.counters = [counter({ waiting: 1, ip: "192.0.2.99" })])],
    ["a measure for another site", () => (s.measures = [measure({ site: "mx.b.example" })])],
    ["a measure for another public id", () => (s.measures = [measure({ publicId: 2 })])],
  ])("not: %s", (_, make) => {
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane()], s.now);
    make();
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toEqual([]);
  });

  test("lower limits hold nobody while nobody waits; a stop does", async () => {
    s.statistics.observe([report()], [], s.now);
    s.measures = [measure({ kind: "back-off", stage: "limits" })];
    expect(s.ask<SiteAnswer>("site", { site: SITE })).toMatchObject({ holds: [], measures: [{ stage: "limits" }] });
    s.measures = [measure()];
    s.now += 2_000;
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toHaveLength(1);
  });

  test("what is stopped is told as stopped, though its lower limits last longer", () => {
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane()], s.now);
    const limits = measure({ kind: "back-off", stage: "limits", publicId: 1, until: NOON + 900_000 });
    s.measures = [limits, measure({ kind: "breaker", publicId: 1, reason: "95 % errors", until: NOON + 600_000 })];
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds.map(({ text }) => text)).toEqual(["stopped: 95 % errors"]);
    // Another IP's stop says nothing of this one.
    s.measures = [limits, measure({ kind: "breaker", publicId: 2, reason: "95 % errors" })];
    s.queries.lanes("m1/0", [lane(), lane({ publicId: 2 })], s.now);
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toHaveLength(2);
  });

  test("a warm-up whose portion of the hour is used up moves with the next hour, as the lane says, not with the next day", () => {
    s.measures = [measure({ kind: "warm-up", stage: "limits", publicId: 1, until: NOON + 12 * 3_600_000 })];
    const hold: Hold = { kind: "warm-up", by: "warm-up 1 *", text: "this hour's 9 of 50", since: 7, until: NOON + 9 };
    s.queries.lanes("m1/0", [lane({ hold })], s.now);
    s.counters = [counter({ connections: 1, waiting: 1 })];
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toEqual([{ ...hold, publicId: 1 }]);
  });

  test("who waits at a counter that is full is told so beside everything else; at one with room, only when nothing else is known", () => {
    const kinds = (): string[] => {
      s.now += 5_000;
      return s.ask<SiteAnswer>("site", { site: SITE }).holds.map(({ kind }) => kind);
    };
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane()], s.now);
    s.counters = [counter({ connections: 1, waiting: 1 })];
    expect(kinds()).toEqual(["connections"]);
    s.measures = [measure()];
    expect(kinds()).toEqual(["suspension"]);
    s.counters = [counter({ spent: 100, waiting: 1 })];
    expect(kinds()).toEqual(["suspension", "quota"]);
    s.counters = [counter({ connections: 3, waiting: 1 })];
    expect(kinds()).toEqual(["suspension", "connections"]);
  });

  test("what a lane says of a rule or a measure is said once, with since when", async () => {
    s.statistics.observe([report()], [], s.now);
    const quota: Hold = { kind: "quota", by: "a", text: "rule a: 100 of 100", since: 7, until: 9 };
    s.queries.lanes("m1/0", [lane({ hold: quota })], s.now);
    s.counters = [counter({ waiting: 3, spent: 100 })];
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toEqual([{ ...quota, by: "rule a", publicId: 1 }]);
    const stopped: Hold = { kind: "suspension", by: "operator alice", text: "complaints", since: 7, until: 0 };
    s.queries.lanes(
      "m1/0",
      [lane({ hold: stopped }), lane({ hold: { ...stopped, kind: "back-off" }, publicId: 2 })],
      s.now,
    );
    s.counters = [];
    s.measures = [measure({ publicId: 1 })];
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toMatchObject([
      { kind: "suspension", by: "alice", publicId: 1 },
      { kind: "back-off", publicId: 2 },
    ]);
  });

  test("two machines with the same hold are told once, from the first of them", async () => {
    const hold = (since: number): Hold => ({ kind: "dns", by: "the DNS", text: "no answer", since, until: since + 9 });
    s.queries.lanes("m1/0", [lane({ hold: hold(20) })], s.now);
    s.queries.lanes("m2/0", [lane({ hold: hold(10) })], s.now);
    expect(s.ask<SiteAnswer>("site", { site: SITE }).holds).toMatchObject([{ since: 10, until: 29 }]);
  });
});

describe("states", () => {
  test.each<[string, Partial<PathReport>, Partial<LaneReport> | null]>([
    ["errors", { attempts: 90, accepted: 81, deferred: 9, refused: 1, timedOut: 0 }, null],
    ["ok", { attempts: 9, accepted: 0, rejected: 9 }, null],
    ["slow", { latencyMs: 600_000 }, null],
    ["ok", {}, {}],
  ])("%s: %j", async (state, path, waits) => {
    s.statistics.observe([report(path)], [], s.now);
    if (waits !== null) s.queries.lanes("m1/0", [lane(waits)], s.now);
    expect((await s.ask<SitesAnswer>("sites")).sites).toMatchObject([{ site: SITE, state }]);
  });
  test("waiting, and nothing tried for a minute: slow", async () => {
    s.queries.lanes("m1/0", [lane()], s.now);
    expect((await s.ask<SitesAnswer>("sites", { state: "slow" })).sites).toHaveLength(1);
    expect((await s.ask<SitesAnswer>("sites", { state: "held" })).sites).toHaveLength(0);
  });
});

describe("one site", () => {
  test("paths, limits with where they come from, history, lanes", async () => {
    s.statistics.observe(
      [report(), report({ ip: "192.0.2.2", attempts: 500 }), report({ publicId: 2, mx: "mx2.a.example" })],
      [],
      s.now,
    );
    s.queries.lanes("m1/0", [lane()], s.now);
    s.counters = [counter({ ip: "192.0.2.2", connections: 2 })];
    s.governed = { kind: "suspension", by: "alice", text: "suspended", since: 1, until: 0 };
    const answer = s.ask<SiteAnswer>("site", { site: SITE.toUpperCase() });
    expect(answer.paths.map(({ publicId, ip, connections }) => [publicId, ip, connections])).toEqual([
      [1, "192.0.2.2", 2],
      [1, "192.0.2.1", null],
      [2, "192.0.2.1", null],
    ]);
    expect(answer.limits[0]).toMatchObject({
      rule: "a",
      origin: "rules/mx.yaml:12",
      origins: { connections: "rules/mx.yaml:14" },
      ruleLimits: { connections: 3 },
      limits: { connections: 1 },
      hold: { kind: "suspension" },
    });
    expect(answer.slots).toHaveLength(12);
    expect(answer.slots.at(-1)?.counts.attempts).toBe(700);
    expect(answer.lanes).toMatchObject([{ member: "m1/0", at: NOON, waiting: 50 }]);
  });

  test("by its exchangers: exactly, else the one that has most of them", async () => {
    s.statistics.observe([report({ site: "mx1.a.example" }), report()], [], s.now);
    const site = (exchangers: string[]): string | undefined => s.ask<SiteAnswer>("site", { exchangers }).summary?.site;
    expect(site(["mx1.a.example", "mx2.a.example"])).toBe(SITE);
    expect(site(["MX1.A.example"])).toBe("mx1.a.example");
    expect(site(["dead.a.example", "mx1.a.example", "mx2.a.example"])).toBe(SITE);
    expect(site(["mx9.a.example"])).toBeUndefined();
  });

  test("one nobody knows is told as such, and what would limit it", async () => {
    const answer = s.ask<SiteAnswer>("site", { site: "mx7.a.example" });
    expect(answer).toMatchObject({ summary: null, paths: [], limits: [{ rule: "a", mx: "mx7.a.example", ip: "" }] });
  });

  test("outgoing IPs that are asked about have limits and holds too", async () => {
    s.statistics.observe([report()], [], s.now);
    s.measures = [measure({ publicId: 7 })];
    const answer = s.ask<SiteAnswer>("site", { site: SITE, publicIds: [1, 7] });
    expect(answer.limits.map(({ publicId, ip }) => [publicId, ip])).toEqual([
      [1, "192.0.2.1"],
      [7, ""],
    ]);
    expect(answer.holds).toMatchObject([{ kind: "suspension", publicId: 7 }]);
    expect(() => s.queries.answer("site", { site: SITE, publicIds: [-1] }, s.now)).toThrow("publicIds is not a list");
  });

  test("a site with the mark of its TLS policy is one with the plain one", async () => {
    s.statistics.observe([report()], [], s.now);
    s.queries.lanes("m1/0", [lane({ site: `${SITE}#sts` }), lane()], s.now);
    expect(s.ask<SiteAnswer>("site", { site: `${SITE}#dane` }).lanes).toHaveLength(2);
    expect((await s.ask<SitesAnswer>("sites")).sites).toHaveLength(1);
  });
});
