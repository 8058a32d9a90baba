/** Sites over the API: what holds each, and what is still told when no statistics server answers. */
import { beforeEach, expect, test } from "vitest";
import { Fault } from "../../src/base/faults.ts";
import { type PathPeriod, writePathStatistics } from "../../src/db/path-statistics.ts";
import { addSuspension } from "../../src/db/traffic-holds.ts";
import { NO_COUNTS } from "../../src/quota/answers.ts";
import { openTestApi } from "../support/api.ts";
import { handClock } from "../support/clock.ts";
import { type FakeStat, laneReport, openFakeStat, pathReport, ruleOf } from "../support/stat-answers.ts";

let stat: FakeStat = await openFakeStat();
const clock = handClock(Date.now());
const api = await openTestApi(
  {},
  { clock, askStat: (what, args) => stat.ask(what, args) },
  { debug() {}, info() {}, warn() {}, error: (_, text) => expect.unreachable(text), child: () => expect.unreachable() },
);

beforeEach(async () => {
  stat = await openFakeStat();
  // What was answered a second ago is kept.
  await clock.advance(2_000);
  await api.db.sql`delete from path_statistics`;
  await api.db.sql`delete from suspension`;
});

const away = (): void => {
  stat.away = new Fault("STAT_UNREACHABLE", "127.0.0.1:7777: ECONNREFUSED\u001b[31m\nbut more");
};

test("a page of sites, by state, by name, to the end", async () => {
  for (const name of ["a", "b", "c", "d"])
    stat.observe([
      pathReport({
        site: `mx.${name}.example`,
        mx: `mx.${name}.example`,
        attempts: 100,
        accepted: 100,
        connects: 5,
        latencyMs: 5000,
      }),
    ]);
  stat.lanes("m1/0", [laneReport({ site: "mx.b.example", mx: "mx.b.example" })]);
  stat.measures = [
    {
      kind: "back-off",
      site: "mx.b.example",
      publicId: null,
      stage: "stop",
      by: "reply rule slow",
      reason: "421 4.7.0 too fast",
      since: 1_700_000_000_000,
      until: 0,
    },
  ];
  const first = await api.get("/v1/sites?limit=3");
  expect(first).toMatchObject({ status: 200, body: { nextCursor: "mx.c.example" } });
  expect(first.body["sites"].map((one: { site: string; state: string }) => [one.site, one.state])).toEqual([
    ["mx.a.example", "ok"],
    ["mx.b.example", "held"],
    ["mx.c.example", "ok"],
  ]);
  expect(first.body["sites"][0]).toMatchObject({
    hold: null,
    hour: { attempts: 100, errors: 0, latencyMs: 50 },
    minute: { attempts: 100 },
  });
  const rest = await api.get(`/v1/sites?limit=3&cursor=${first.body["nextCursor"]}`);
  expect(rest.body).toMatchObject({ sites: [{ site: "mx.d.example" }], nextCursor: null });
  const held = await api.get("/v1/sites?state=held");
  expect(held.body).toMatchObject({
    sites: [
      {
        site: "mx.b.example",
        waiting: 10,
        hold: {
          kind: "back-off",
          by: "reply rule slow",
          text: "stopped: 421 4.7.0 too fast",
          since: "2023-11-14T22:13:20.000Z",
          until: null,
        },
      },
    ],
    nextCursor: null,
  });
});

test("a full page of a rare state, from many short ones", async () => {
  for (let i = 0; i < 5000; i++)
    stat.observe([
      pathReport({ site: `s${String(i).padStart(4, "0")}.example`, attempts: 10, rejected: i % 1000 === 999 ? 10 : 0 }),
    ]);
  const found = await api.get("/v1/sites?state=errors");
  expect(found.body["sites"].map((one: { site: string }) => one.site)).toEqual([
    "s0999.example",
    "s1999.example",
    "s2999.example",
    "s3999.example",
    "s4999.example",
  ]);
  expect(found.body["nextCursor"]).toBeNull();
});

test("one site: paths, limits with their rule, holds, lanes, history, what was at work", async () => {
  const site = `${"long-name-of-an-exchanger".repeat(2)}.example,mx2.b.example`;
  const mx = site.split(",")[0]!;
  stat.rules = [ruleOf("b", "*.example", { connections: 3, messagesPerHour: 1200 }), ...stat.rules];
  stat.governed = (_, limits) => ({ limits: { ...limits, connections: 1 } });
  stat.observe(
    [pathReport({ site, mx, attempts: 7, deferred: 7 })],
    [
      {
        site,
        mx,
        ip: "192.0.2.1",
        publicId: 0,
        stage: "dot",
        code: 421,
        enhanced: "4.7.0",
        text: "later\u001b[2J\r\n",
        count: 1,
      },
    ],
  );
  stat.lanes("m1/0", [laneReport({ site, mx })]);
  stat.counters = [
    {
      counter: "b|0|",
      rule: "b",
      publicId: 0,
      ip: "",
      connections: 3,
      connectionLimit: 3,
      spent: 0,
      periodLimit: 100,
      periodEnd: 0,
      waiting: 1,
      members: [],
    },
  ];
  await api.db.sql`insert into measure (kind, site, public_id, by_what, reason, began_at, ended_at)
    values ('back-off', ${site}, 1, 'slow', 'was slow', now() - interval '1 hour', now())`;
  const { status, body, text } = await api.get(`/v1/sites/${encodeURIComponent(site)}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    site,
    state: "held",
    hold: { kind: "connections", by: "rule b" },
    holds: [{ kind: "connections", publicId: 0 }],
    paths: [{ ip: "192.0.2.1", connections: null, hour: { attempts: 7, errors: 7 }, lastReply: "421 4.7.0 later [2J" }],
    limits: [
      {
        rule: "b",
        origin: "rules/mx.yaml:1",
        limits: { connections: 1, messagesPerHour: 1200 },
        changedFrom: { connections: 3 },
        hold: null,
      },
    ],
    lanes: [{ member: "m1/0", waiting: 10 }],
    pastMeasures: [{ kind: "back-off", by: "slow" }],
  });
  expect(body["history"]).toHaveLength(12);
  expect(text).not.toMatch(/\\u001b|\\n|\\r/);
});

test("a site nobody knows is a 404; one that is only in the database is not", async () => {
  expect((await api.get("/v1/sites/mx.nobody.example")).status).toBe(404);
  await writePathStatistics(api.db.sql, [period({ site: "mx.old.example" })]);
  await clock.advance(2_000);
  expect((await api.get("/v1/sites/mx.old.example")).body).toMatchObject({ site: "mx.old.example", paths: [] });
});

const period = (parts: Partial<PathPeriod>): PathPeriod => ({
  ...NO_COUNTS,
  period: Math.floor(Date.now() / 300_000) * 300_000,
  publicId: 1,
  site: "mx.a.example",
  mx: "mx.a.example",
  ip: "192.0.2.1",
  attempts: 2000,
  connects: 200,
  rejected: 50,
  lastReply: "550 no",
  ...parts,
});

test("no statistics server: 503, with what the database knows", async () => {
  await writePathStatistics(api.db.sql, [period({}), period({ publicId: 2 })]);
  await addSuspension(api.db.sql, {
    site: "mx.a.example",
    publicId: null,
    reason: "complaints",
    by: "alice",
    until: null,
  });
  away();
  for (const url of ["/v1/sites", "/v1/sites/mx.a.example"]) {
    const answer = await api.get(url);
    expect(answer).toMatchObject({
      status: 503,
      headers: { "content-type": expect.stringMatching(/^application\/problem\+json/), "retry-after": "5" },
      body: {
        title: "Service Unavailable",
        status: 503,
        detail: expect.stringContaining(
          "no statistics server answers: No statistics server answers: 127.0.0.1:7777: ECONNREFUSED",
        ),
        known: {
          sites: [{ site: "mx.a.example", attempts: 4000, errors: 100, publicIds: [{ publicId: 1 }, { publicId: 2 }] }],
          suspensions: [{ site: "mx.a.example", by: "alice", reason: "complaints" }],
          measures: [],
        },
      },
    });
    expect(answer.text).not.toContain("\\u001b");
  }
  expect(stat.asked).toHaveLength(1);
  await clock.advance(2_000);
  stat.away = null;
  expect((await api.get("/v1/sites")).status).toBe(200);
});

test.each([
  ["a word", "?"],
  ["null", null],
  ["another shape", { sites: "none", holds: 3 }],
])("a server that answers %s: 503 and no 500", async (_, nonsense) => {
  stat.nonsense = nonsense;
  expect((await api.get("/v1/sites")).status).toBe(503);
  await clock.advance(2_000);
  expect((await api.get("/v1/sites/mx.a.example")).status).toBe(503);
});

test("a hundred who ask the same at once are one question", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, () => api.get("/v1/sites")));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(stat.asked).toHaveLength(1);
});

test.each([
  ["/v1/sites?state=broken", "query.state"],
  ["/v1/sites?limit=201", "query.limit"],
  ["/v1/sites?limit=0", "query.limit"],
  ["/v1/sites?sort=x", "query.sort"],
  [`/v1/sites/${"x".repeat(2001)}`, "path.site"],
  ["/v1/traffic/errors?hours=0", "query.hours"],
  ["/v1/traffic/errors?hours=721", "query.hours"],
  ["/v1/traffic/errors?minErrors=-1", "query.minErrors"],
])("%.40s: 400 at %s", async (url, path) => {
  expect(await api.get(url)).toMatchObject({ status: 400, body: { errors: [{ path }] } });
});

test("errors of the last hours: sites above the thresholds, down to the path", async () => {
  await writePathStatistics(api.db.sql, [
    period({}),
    period({ ip: "192.0.2.2", timedOut: 5, lastReply: "" }),
    period({ site: "mx.small.example", attempts: 10 }),
  ]);
  const { body } = await api.get("/v1/traffic/errors");
  expect(body).toMatchObject({
    sites: [
      {
        site: "mx.a.example",
        attempts: 4000,
        errors: 105,
        lastReply: "550 no",
        publicIds: [
          {
            publicId: 1,
            errors: 105,
            paths: [
              { ip: "192.0.2.2", errors: 55 },
              { ip: "192.0.2.1", errors: 50, lastReply: "550 no" },
            ],
          },
        ],
      },
    ],
  });
  const all = await api.get("/v1/traffic/errors?minMessages=1&minConnections=0&hours=1");
  expect(all.body["sites"]).toHaveLength(2);
  const one = await api.get("/v1/traffic/errors?minMessages=1&site=mx.small.example");
  expect(one.body["sites"]).toMatchObject([{ site: "mx.small.example" }]);
});
