/** Questions to the statistics server: what holds a site and why, pages that fit into a line, and askers who mean harm. */
import { beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { MxRule } from "../../src/model/mx-rules.ts";
import { builtInRule } from "../../src/model/mx-rules.ts";
import type { Hold, LaneReport } from "../../src/model/traffic.ts";
import {
  type CountersAnswer,
  type ExplainAnswer,
  type LanesAnswer,
  type MembersAnswer,
  MOST_ANSWER,
  NO_COUNTS,
  type SiteAnswer,
  type SitesAnswer,
} from "../../src/quota/answers.ts";
import type { PathReport, QueryName } from "../../src/quota/messages.ts";
import type { CounterState, Measure } from "../../src/stat/contract.ts";
import { openQueries, type Queries } from "../../src/stat/queries.ts";
import { openStatistics, type Statistics } from "../../src/stat/statistics.ts";
import { handClock } from "../support/clock.ts";

const NOON = Date.UTC(2026, 4, 1, 12);
const SITE = "mx1.a.example,mx2.a.example";

const base = builtInRule("*");
const rule = (id: string, mx: string): MxRule => ({
  ...base,
  id,
  mx: [mx],
  limits: { ...base.limits, rule: id, scope: "ip", connections: 3, messagesPerHour: 1200 },
  origin: "rules/mx.yaml:12",
  origins: { connections: "rules/mx.yaml:14" },
  note: "careful",
});

let statistics: Statistics;
let queries: Queries;
let counters: CounterState[] = [];
let measures: Measure[] = [];
let now = NOON;
let governed: Hold | null = null;

beforeEach(async () => {
  now = NOON;
  counters = [];
  measures = [];
  governed = null;
  statistics = await openStatistics({
    clock: handClock(NOON),
    log: silentLog,
    writeRows: async () => {},
    readRows: async () => [],
    forgetRows: async () => 0,
  });
  queries = openQueries({
    engine: { counters: () => counters },
    governor: {
      list: () => measures,
      govern: (_site, _path, limits) => ({
        limits: { ...limits, connections: 1 },
        hold: governed,
        connections: 1,
        messages: Infinity,
      }),
    },
    statistics,
    rules: () => [rule("a", "*.a.example"), base],
    reload: () => ({ rules: 2 }),
  });
});

const ask = <T>(what: QueryName, args: Record<string, unknown> = {}): T => {
  const answer = queries.answer(what, args, now);
  expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThan(MOST_ANSWER * 1.1);
  return answer as T;
};

const report = (parts: Partial<PathReport> = {}): PathReport => ({
  ...NO_COUNTS,
  site: SITE,
  mx: "mx1.a.example",
  ip: "192.0.2.1",
  publicId: 1,
  attempts: 100,
  accepted: 100,
  latencyMs: 10_000,
  ...parts,
});

const lane = (parts: Partial<LaneReport> = {}): LaneReport => ({
  site: SITE,
  mx: "mx1.a.example",
  publicId: 1,
  waiting: 50,
  inFlight: 2,
  sessions: 3,
  hold: null,
  ...parts,
});

const counter = (parts: Partial<CounterState> = {}): CounterState => ({
  counter: "a|1|",
  rule: "a",
  publicId: 1,
  ip: "",
  connections: 3,
  connectionLimit: 3,
  spent: 0,
  periodLimit: 100,
  periodEnd: NOON + 300_000,
  waiting: 0,
  members: [],
  ...parts,
});

const measure = (parts: Partial<Measure> = {}): Measure => ({
  kind: "suspension",
  site: "",
  publicId: null,
  stage: "stop",
  by: "alice",
  reason: "complaints",
  since: NOON - 60_000,
  until: 0,
  ...parts,
});

describe("what holds a site", () => {
  test("nothing: it goes", () => {
    statistics.observe([report()], [], now);
    queries.lanes("m1/0", [lane()], now);
    const { summary, holds } = ask<SiteAnswer>("site", { site: SITE });
    expect(holds).toEqual([]);
    expect(summary).toMatchObject({ state: "ok", waiting: 50, inFlight: 2, sessions: 3, hold: null, publicIds: [1] });
  });

  test.each<[string, () => void, object]>([
    [
      "a spent period",
      () => (counters = [counter({ waiting: 2, spent: 100 })]),
      { kind: "quota", by: "rule a", until: NOON + 300_000, text: "100 of 100 messages of this period are used" },
    ],
    [
      "connections",
      () => (counters = [counter({ waiting: 1 })]),
      { kind: "connections", by: "rule a", until: 0, text: "3 of 3 connections are open and 1 more is asked for" },
    ],
    ["a counter of a path", () => (counters = [counter({ waiting: 1, ip: "192.0.2.1" })]), { kind: "connections" }],
    [
      "a counter of the whole rule",
      () => (counters = [counter({ waiting: 1, publicId: null })]),
      { kind: "connections", publicId: null },
    ],
    [
      "a suspension of everything",
      () => (measures = [measure()]),
      { kind: "suspension", by: "alice", text: "suspended: complaints" },
    ],
    [
      "a suspension of the site",
      () => (measures = [measure({ site: SITE, publicId: 1 })]),
      { kind: "suspension", publicId: 1 },
    ],
    [
      "a suspension by mask over a second exchanger",
      () => (measures = [measure({ site: "mx2.*" })]),
      { kind: "suspension" },
    ],
    [
      "the breaker",
      () => (measures = [measure({ kind: "breaker", reason: "95 % errors" })]),
      { kind: "back-off", text: "stopped: 95 % errors" },
    ],
    [
      "back-off limits",
      () => (measures = [measure({ kind: "back-off", stage: "limits", reason: "421 too many" })]),
      { kind: "back-off", text: "lower limits: 421 too many" },
    ],
    ["warm-up", () => (measures = [measure({ kind: "warm-up", reason: "day 2: 100 of 100" })]), { kind: "warm-up" }],
    [
      "what an mta says",
      () =>
        queries.lanes(
          "m2/0",
          [lane({ hold: { kind: "tls-policy", by: "MTA-STS", text: "certificate", since: 5, until: 9 } })],
          now,
        ),
      { kind: "tls-policy", by: "MTA-STS", since: 5, until: 9, publicId: 1 },
    ],
  ])("%s", (_, make, hold) => {
    statistics.observe([report()], [], now);
    queries.lanes("m1/0", [lane()], now);
    make();
    const answer = ask<SiteAnswer>("site", { site: SITE });
    expect(answer.holds).toEqual([expect.objectContaining(hold)]);
    expect(answer.summary).toMatchObject({ state: "held", hold });
  });

  test.each<[string, () => void]>([
    ["a counter nobody waits for", () => (counters = [counter({ spent: 100 })])],
    ["a counter of another rule", () => (counters = [counter({ waiting: 1, rule: "*" })])],
    ["a counter of another public id", () => (counters = [counter({ waiting: 1, publicId: 2 })])],
    ["a counter of another address", () => (counters = [counter({ waiting: 1, ip: "192.0.2.99" })])],
    ["a measure for another site", () => (measures = [measure({ site: "mx.b.example" })])],
    ["a measure for another public id", () => (measures = [measure({ publicId: 2 })])],
  ])("not: %s", (_, make) => {
    statistics.observe([report()], [], now);
    queries.lanes("m1/0", [lane()], now);
    make();
    expect(ask<SiteAnswer>("site", { site: SITE }).holds).toEqual([]);
  });

  test("lower limits hold nobody while nobody waits; a stop does", () => {
    statistics.observe([report()], [], now);
    measures = [measure({ kind: "back-off", stage: "limits" })];
    expect(ask<SiteAnswer>("site", { site: SITE })).toMatchObject({ holds: [], measures: [{ stage: "limits" }] });
    measures = [measure()];
    now += 2_000;
    expect(ask<SiteAnswer>("site", { site: SITE }).holds).toHaveLength(1);
  });

  test("what a lane says of a rule or a measure is said once, with since when", () => {
    statistics.observe([report()], [], now);
    const quota: Hold = { kind: "quota", by: "a", text: "rule a: 100 of 100", since: 7, until: 9 };
    queries.lanes("m1/0", [lane({ hold: quota })], now);
    counters = [counter({ waiting: 3, spent: 100 })];
    expect(ask<SiteAnswer>("site", { site: SITE }).holds).toEqual([{ ...quota, by: "rule a", publicId: 1 }]);
    const stopped: Hold = { kind: "suspension", by: "operator alice", text: "complaints", since: 7, until: 0 };
    queries.lanes(
      "m1/0",
      [lane({ hold: stopped }), lane({ hold: { ...stopped, kind: "back-off" }, publicId: 2 })],
      now,
    );
    counters = [];
    measures = [measure({ publicId: 1 })];
    expect(ask<SiteAnswer>("site", { site: SITE }).holds).toMatchObject([
      { kind: "suspension", by: "alice", publicId: 1 },
      { kind: "back-off", publicId: 2 },
    ]);
  });

  test("two machines with the same hold are told once, from the first of them", () => {
    const hold = (since: number): Hold => ({ kind: "dns", by: "the DNS", text: "no answer", since, until: since + 9 });
    queries.lanes("m1/0", [lane({ hold: hold(20) })], now);
    queries.lanes("m2/0", [lane({ hold: hold(10) })], now);
    expect(ask<SiteAnswer>("site", { site: SITE }).holds).toMatchObject([{ since: 10, until: 29 }]);
  });
});

describe("states", () => {
  test.each<[string, Partial<PathReport>, Partial<LaneReport> | null]>([
    ["errors", { attempts: 90, accepted: 81, deferred: 9, refused: 1, timedOut: 0 }, null],
    ["ok", { attempts: 9, accepted: 0, rejected: 9 }, null],
    ["slow", { latencyMs: 600_000 }, null],
    ["ok", {}, {}],
  ])("%s: %j", (state, path, waits) => {
    statistics.observe([report(path)], [], now);
    if (waits !== null) queries.lanes("m1/0", [lane(waits)], now);
    expect(ask<SitesAnswer>("sites").sites).toMatchObject([{ site: SITE, state }]);
  });
  test("waiting, and nothing tried for a minute: slow", () => {
    queries.lanes("m1/0", [lane()], now);
    expect(ask<SitesAnswer>("sites", { state: "slow" }).sites).toHaveLength(1);
    expect(ask<SitesAnswer>("sites", { state: "held" }).sites).toHaveLength(0);
  });
});

describe("one site", () => {
  test("paths, limits with where they come from, history, lanes", () => {
    statistics.observe(
      [report(), report({ ip: "192.0.2.2", attempts: 500 }), report({ publicId: 2, mx: "mx2.a.example" })],
      [],
      now,
    );
    queries.lanes("m1/0", [lane()], now);
    counters = [counter({ ip: "192.0.2.2", connections: 2 })];
    governed = { kind: "suspension", by: "alice", text: "suspended", since: 1, until: 0 };
    const answer = ask<SiteAnswer>("site", { site: SITE.toUpperCase() });
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

  test("by its exchangers: exactly, else the one that has most of them", () => {
    statistics.observe([report({ site: "mx1.a.example" }), report()], [], now);
    const site = (exchangers: string[]): string | undefined => ask<SiteAnswer>("site", { exchangers }).summary?.site;
    expect(site(["mx1.a.example", "mx2.a.example"])).toBe(SITE);
    expect(site(["MX1.A.example"])).toBe("mx1.a.example");
    expect(site(["dead.a.example", "mx1.a.example", "mx2.a.example"])).toBe(SITE);
    expect(site(["mx9.a.example"])).toBeUndefined();
  });

  test("one nobody knows is told as such, and what would limit it", () => {
    const answer = ask<SiteAnswer>("site", { site: "mx7.a.example" });
    expect(answer).toMatchObject({ summary: null, paths: [], limits: [{ rule: "a", mx: "mx7.a.example", ip: "" }] });
  });

  test("outgoing IPs that are asked about have limits and holds too", () => {
    statistics.observe([report()], [], now);
    measures = [measure({ publicId: 7 })];
    const answer = ask<SiteAnswer>("site", { site: SITE, publicIds: [1, 7] });
    expect(answer.limits.map(({ publicId, ip }) => [publicId, ip])).toEqual([
      [1, "192.0.2.1"],
      [7, ""],
    ]);
    expect(answer.holds).toMatchObject([{ kind: "suspension", publicId: 7 }]);
    expect(() => queries.answer("site", { site: SITE, publicIds: [-1] }, now)).toThrow("publicIds is not a list");
  });

  test("a site with the mark of its TLS policy is one with the plain one", () => {
    statistics.observe([report()], [], now);
    queries.lanes("m1/0", [lane({ site: `${SITE}#sts` }), lane()], now);
    expect(ask<SiteAnswer>("site", { site: `${SITE}#dane` }).lanes).toHaveLength(2);
    expect(ask<SitesAnswer>("sites").sites).toHaveLength(1);
  });
});

describe("many", () => {
  test("pages by name reach every site once, and each fits into a line", () => {
    const long = `.${"x".repeat(60)}`.repeat(9);
    for (let i = 0; i < 3000; i++)
      statistics.observe([report({ site: `s${String(i).padStart(5, "0")}${long}`, ip: "192.0.2.9" })], [], now);
    const seen: string[] = [];
    let after = "";
    do {
      const page = ask<SitesAnswer>("sites", { after, limit: 200 });
      seen.push(...page.sites.map(({ site }) => site));
      after = page.next;
    } while (after !== "");
    expect(seen).toHaveLength(3000);
    expect(new Set(seen).size).toBe(3000);
  });

  test("a rare state is found over short pages", () => {
    for (let i = 0; i < 5000; i++)
      statistics.observe([report({ site: `s${String(i).padStart(5, "0")}.example` })], [], now);
    statistics.observe([report({ site: "s04999.example", rejected: 90 })], [], now);
    let after = "";
    let asked = 0;
    const found: string[] = [];
    do {
      const page = ask<SitesAnswer>("sites", { after, state: "errors" });
      found.push(...page.sites.map(({ site }) => site));
      after = page.next;
      asked++;
    } while (after !== "");
    expect(found).toEqual(["s04999.example"]);
    expect(asked).toBeLessThan(5);
  });

  test("the top: those with most waiting, then the busiest", () => {
    for (let i = 0; i < 50; i++) statistics.observe([report({ site: `s${i}.example`, attempts: i })], [], now);
    queries.lanes("m1/0", [lane({ site: "waits.example" })], now);
    const top = ask<SitesAnswer>("sites", { order: "top", limit: 3 });
    expect(top.sites.map(({ site }) => site)).toEqual(["waits.example", "s49.example", "s48.example"]);
    expect(top.next).toBe("");
  });

  test("members with a hundred thousand lanes: the busiest and the held ones are kept, and go with their member", () => {
    for (let m = 0; m < 40; m++) {
      const lanes = Array.from({ length: 10_000 }, (_, i) => lane({ site: `s${i}.example`, waiting: i, sessions: 0 }));
      queries.joined(`m${m}/0`, "member", now);
      queries.lanes(`m${m}/0`, lanes, now);
    }
    const { members } = ask<MembersAnswer>("members");
    expect(members).toHaveLength(40);
    expect(members.reduce((sum, { lanes }) => sum + lanes, 0)).toBeLessThanOrEqual(51_000);
    expect(members.at(-1)!.lanes).toBeGreaterThanOrEqual(50);
    const answer = ask<LanesAnswer>("lanes", { member: "m0/0" });
    expect(answer.lanes[0]).toMatchObject({ site: "s9999.example", member: "m0/0" });
    expect(answer.lanes.length + answer.more).toBe(2000);
    for (let m = 0; m < 40; m++) queries.left(`m${m}/0`);
    expect(ask<LanesAnswer>("lanes").lanes).toEqual([]);
    expect(ask<MembersAnswer>("members").members).toEqual([]);
  });

  test("a thousand paths of one site fit into a line", () => {
    for (let i = 0; i < 1000; i++)
      statistics.observe(
        [report({ ip: `192.0.${i >> 8}.${i & 255}`, publicId: i % 50, attempts: i })],
        [
          {
            ...report({ ip: `192.0.${i >> 8}.${i & 255}`, publicId: i % 50 }),
            stage: "rcpt",
            code: 450,
            enhanced: "4.2.1",
            text: "x".repeat(2000),
            count: 1,
          },
        ],
        now,
      );
    measures = Array.from({ length: 500 }, () => measure({ reason: "y".repeat(2000) }));
    queries.lanes(
      "m1/0",
      Array.from({ length: 3000 }, () => lane()),
      now,
    );
    const answer = ask<SiteAnswer>("site", { site: SITE });
    expect(answer.paths[0]?.hour.attempts).toBe(999);
    expect(answer.paths.length + answer.morePaths).toBe(1000);
  });
});

describe("the other questions", () => {
  test("explain: rule, what governs it, counters, measures", () => {
    counters = [counter(), counter({ rule: "*" }), counter({ ip: "192.0.2.1" })];
    measures = [measure({ site: "mx1.a.example" }), measure({ publicId: 9 })];
    expect(ask<ExplainAnswer>("explain", { mx: "MX1.a.example", publicId: 1, ip: "192.0.2.1" })).toMatchObject({
      limit: { rule: "a", publicId: 1, limits: { connections: 1 } },
      measures: [{ site: "mx1.a.example" }],
      counters: [{ ip: "" }, { ip: "192.0.2.1" }],
    });
  });
  test("counters of a rule or a public id, those somebody waits for first", () => {
    counters = [counter(), counter({ publicId: 2, waiting: 5 }), counter({ rule: "*" })];
    expect(ask<CountersAnswer>("counters", { rule: "a" }).counters.map((c) => c.publicId)).toEqual([2, 1]);
    expect(ask<CountersAnswer>("counters", { publicId: 2 }).counters).toHaveLength(1);
  });
  test("warm-up and reload", () => {
    measures = [measure(), measure({ kind: "warm-up", publicId: 4 })];
    expect(ask("warm-up")).toMatchObject({ measures: [{ kind: "warm-up", publicId: 4 }] });
    expect(ask("warm-up", { publicId: 5 })).toMatchObject({ measures: [] });
    expect(ask("reload")).toEqual({ rules: 2 });
  });
});

test.each<[QueryName, Record<string, unknown>, string]>([
  ["sites", { state: "broken" }, "state is one of"],
  ["sites", { state: 5 }, "state is not a text"],
  ["sites", { limit: 1e9 }, "limit is not a whole number"],
  ["sites", { after: "x".repeat(20_000) }, "after is not a text"],
  ["site", {}, "which site"],
  ["site", { exchangers: "mx" }, "exchangers is not a list"],
  ["site", { exchangers: [1] }, "exchangers is not a list"],
  ["explain", {}, "which exchanger"],
  ["explain", { mx: "mx", publicId: -1 }, "publicId is not a whole number"],
  ["explain", { mx: "mx", publicId: 2 ** 40 }, "publicId is not a whole number"],
])("%s %j is refused", (what, args, text) => {
  expect(() => queries.answer(what, args, now)).toThrow(text);
});

test("hostile text of members and operators is harmless in every answer", () => {
  const evil = "\u001b[31mevil\r\n\u202e";
  queries.joined(evil, "member", now);
  queries.lanes(
    evil,
    [lane({ site: evil, mx: evil, hold: { kind: "dns", by: evil, text: evil, since: 0, until: 0 } })],
    now,
  );
  statistics.observe(
    [report({ site: evil, mx: evil, ip: evil })],
    [{ ...report({ site: evil, mx: evil, ip: evil }), stage: evil, code: 1, enhanced: evil, text: evil, count: 1 }],
    now,
  );
  measures = [measure({ reason: evil, by: evil, site: evil })];
  for (const [what, args] of [
    ["sites", {}],
    ["site", { site: evil }],
    ["lanes", {}],
    ["members", {}],
    ["warm-up", {}],
  ] as const) {
    const text = JSON.stringify(ask(what, args));
    expect(text).not.toMatch(/\\u001b|\\r|\\n|\u202e/);
  }
});
