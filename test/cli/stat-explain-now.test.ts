/** The second half of `postilion stat explain`: what is at work, from whoever answers, a real server over TCP too. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { askOf } from "../../src/cli/stat-ask.ts";
import { explain } from "../../src/cli/stat-explain.ts";
import { explainedText } from "../../src/cli/stat-explain-text.ts";
import { loadMxRules } from "../../src/config/mx-rules-file.ts";
import { loadStatSecret } from "../../src/config/stat-secret.ts";
import type { Settings } from "../../src/config/settings.ts";
import { matchRule } from "../../src/model/mx-rules.ts";
import { openResolver } from "../../src/mta/resolver.ts";
import type { CounterAnswer, ExplainAnswer } from "../../src/quota/answers.ts";
import type { CounterState } from "../../src/stat/contract.ts";
import { openQueries } from "../../src/stat/queries.ts";
import { openStatServer } from "../../src/stat/server.ts";
import { openStatistics } from "../../src/stat/statistics.ts";
import { noGovernor, smallEngine } from "../support/small-engine.ts";
import { AFFINITIES, explained, explainHere, folder, settingsOf } from "./stat-explain-parts.ts";

explainHere();

/** What the server says of a path, before a test changes it. */
function answer(settings: Settings, args: Readonly<Record<string, unknown>>): ExplainAnswer {
  const [mx, publicId, ips] = [String(args["mx"]), Number(args["publicId"]), args["ips"] as string[]];
  const rule = matchRule(loadMxRules(settings).rules, mx, publicId);
  return {
    now: Date.UTC(2026, 0, 2, 3, 4, 5),
    limit: {
      publicId,
      mx,
      ip: ips[0] ?? "",
      rule: rule.id,
      origin: rule.origin,
      origins: rule.origins,
      note: rule.note,
      ruleLimits: rule.limits,
      limits: rule.limits,
      hold: null,
    },
    measures: [],
    counters: [],
  };
}

const NOON = Date.UTC(2026, 0, 2, 4, 0, 0);
const counter = (parts: Partial<CounterAnswer> = {}): CounterAnswer => ({
  counter: `${parts.rule ?? "shop"}|${parts.publicId ?? 1}|${parts.ip ?? ""}`,
  rule: "shop",
  publicId: 1,
  ip: "",
  connections: 1,
  connectionLimit: 3,
  spent: 20,
  periodLimit: 100,
  periodEnd: NOON,
  waiting: 7,
  ...parts,
});

test("back-off, a hold and counters are asked of each exchanger and told where they differ; what changed is named", async () => {
  const asked: Readonly<Record<string, unknown>>[] = [];
  const told = await explained("shop.example", AFFINITIES, { publicId: 1 }, async (what, args) => {
    asked.push({ what, ...args });
    const plain = answer(settingsOf(AFFINITIES), args);
    if (args["mx"] !== "mx1.shop.example") return { data: plain };
    return {
      data: {
        ...plain,
        limit: {
          ...plain.limit,
          limits: { ...plain.limit.limits, connections: 1 },
          hold: { kind: "back-off", by: "shop-full", text: "stopped: too many connections", since: 0, until: NOON },
        },
        measures: [
          {
            kind: "back-off",
            site: "shop",
            publicId: 1,
            stage: "limits",
            by: "shop-full",
            reason: "421 slow down",
            since: NOON - 1000,
            until: NOON,
          },
        ],
        counters: [counter({ ip: "192.0.2.2" })],
      },
    };
  });
  const site = "mx1.shop.example,mx2.other.example";
  expect(asked).toEqual([
    { what: "explain", site, mx: "mx1.shop.example", ips: ["192.0.2.1", "192.0.2.2"], publicId: 1 },
    { what: "explain", site, mx: "mx2.other.example", ips: ["192.0.2.9"], publicId: 1 },
  ]);
  expect(told.now).toMatchObject({ unasked: 0 });
  expect(told.now.states[0]).toMatchObject({ changed: [{ name: "connections", value: 1 }], differs: "" });
  const text = explainedText(told);
  expect(text.slice(text.indexOf("Now"))).toBe(
    [
      "Now (2026-01-02 03:04:05 UTC):",
      "  public id 1, mx1.shop.example",
      "    Nothing goes: stopped: too many connections (back-off, by shop-full), until 2026-01-02 04:00:00 UTC",
      "    back-off, limits, by shop-full, since 2026-01-02 03:59:59 UTC, until 2026-01-02 04:00:00 UTC: 421 slow down",
      "    connections is 1 for the time being",
      "    1 of 3 connections open, 20 of 100 messages of the period, until 2026-01-02 04:00:00 UTC, 7 requests wait (rule shop: public id 1 to 192.0.2.2)",
      "    nothing is counted yet to 192.0.2.1",
      "  public id 1, mx2.other.example",
      "    nothing is at work, and nothing is counted yet",
    ].join("\n"),
  );
});
test("addresses that stand alike are told together, exchangers that share a counter tell it once", async () => {
  const addresses = ["192.0.2.1", "192.0.2.2"];
  const alike = await explained("mx1.shop.example", {}, { exchanger: true }, async (_, args) => ({
    data: { ...answer(settingsOf(), args), counters: addresses.map((ip) => counter({ ip, publicId: 0 })) },
  }));
  expect(explainedText(alike).split("\n").at(-1)).toBe(
    "  1 of 3 connections open, 20 of 100 messages of the period, until 2026-01-02 04:00:00 UTC, 7 requests wait (rule shop: public id 0 to each of 192.0.2.1, 192.0.2.2)",
  );
  const differing = await explained("mx1.shop.example", {}, { exchanger: true }, async (_, args) => ({
    data: {
      ...answer(settingsOf(), args),
      counters: addresses.map((ip, i) => counter({ ip, publicId: 0, waiting: i })),
    },
  }));
  expect(explainedText(differing).split("\n").slice(-2)).toEqual([
    expect.stringMatching(/nobody asks for more \(rule shop: public id 0 to 192\.0\.2\.1\)$/),
    expect.stringMatching(/1 request waits \(rule shop: public id 0 to 192\.0\.2\.2\)$/),
  ]);
  const shared = await explained("wide.example", {}, {}, async (_, args) => ({
    data: { ...answer(settingsOf(), args), counters: [counter({ rule: "wide", publicId: 0 })] },
  }));
  const text = explainedText(shared);
  expect(text.slice(text.indexOf("Now")).split("\n")).toHaveLength(2);
  expect(text).toMatch(/7 requests wait \(rule wide: public id 0\)$/);
});
test("two public ids that differ are told apart; too many questions are not asked, and that is said", async () => {
  const two = await explained("mx1.shop.example", AFFINITIES, { exchanger: true }, async (_, args) => ({
    data: { ...answer(settingsOf(AFFINITIES), args), counters: [counter({ publicId: Number(args["publicId"]) })] },
  }));
  expect(explainedText(two)).toMatch(/ {2}public id 1\n {4}1 of 3 .*\n.*\n {2}public id 2\n {4}1 of 3 /);
  let asked = 0;
  const ips = Array.from({ length: 12 }, (_, i) => ({ publicId: i + 1 }));
  const many = { affinities: [{ name: "a", ips }] };
  const told = await explained("wide.example", many, {}, async (_, args) => {
    asked++;
    return { data: answer(settingsOf(many), args) };
  });
  expect(asked).toBe(100);
  expect(told.now.unasked).toBe(140);
  // Of the exchangers that are tried first, for every public id.
  expect(new Set(told.now.states.map(({ publicId }) => publicId)).size).toBe(12);
  expect(explainedText(told)).toMatch(
    /\n {2}and 140 more exchangers × public ids, not asked about: --public-id <n> asks for one$/,
  );
});
test("a server that has not read the files since they changed", async () => {
  const told = await explained("mx1.shop.example", {}, { publicId: 1 }, async (_, args) => {
    const plain = answer(settingsOf(), args);
    return {
      data: { ...plain, limit: { ...plain.limit, ruleLimits: { ...plain.limit.ruleLimits, connections: 9 } } },
    };
  });
  expect(told.now.states[0]?.differs).toBe("the server has connections 9");
  expect(explainedText(told)).toContain("postilion stat reload");
});
test("over TCP, with the secret of dataDir; with another secret it says why it knows nothing", async () => {
  const settings = settingsOf();
  const { rules } = loadMxRules(settings);
  mkdirSync(join(folder, "keys"), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "keys/stat.secret"), "a secret of more than thirty-two characters", { mode: 0o600 });
  const counter: CounterState = {
    counter: "shop|0|192.0.2.1",
    rule: "shop",
    publicId: 0,
    ip: "192.0.2.1",
    connections: 2,
    connectionLimit: 3,
    spent: 40,
    periodLimit: 100,
    periodEnd: 0,
    waiting: 5,
    members: [],
  };
  const statistics = await openStatistics({
    clock: systemClock,
    log: silentLog,
    writeRows: async () => {},
    readRows: async () => [],
    forgetRows: async () => 0,
  });
  const server = await openStatServer({
    host: "127.0.0.1",
    port: 0,
    secret: loadStatSecret(settings),
    sql: null,
    leaderMs: 1000,
    snapshotMs: 1000,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    open: () => {
      const governor = noGovernor();
      const queries = openQueries({
        engine: { counters: () => [counter] },
        governor,
        statistics,
        rules: () => rules,
        reload: () => null,
      });
      return { engine: smallEngine(1), governor, queries: (what, args, now) => queries.answer(what, args, now) };
    },
  });
  const asking = { ...settings, stat: { ...settings.stat, port: server.port } };
  const CHOICE = { publicId: null, exchanger: true };
  const deps = { settings, rules, resolver: openResolver(settings.mta.dns, systemClock) };
  try {
    const told = await explain("mx1.shop.example", CHOICE, { ...deps, ask: askOf(asking) });
    expect(told.now).toMatchObject({
      problem: "",
      states: [{ mx: "mx1.shop.example", publicId: 0, changed: [], hold: null, differs: "" }],
    });
    expect(explainedText(told)).toContain("2 of 3 connections open, 40 of 100 messages of the period, 5 requests wait");
    writeFileSync(join(folder, "keys/stat.secret"), "another secret of more than thirty-two chars", { mode: 0o600 });
    const stranger = await explain("mx1.shop.example", CHOICE, { ...deps, ask: askOf(asking) });
    expect(stranger.rules.map(({ id }) => id)).toEqual(["shop"]);
    expect(stranger.now.problem).toMatch(/STAT_REFUSED/);
  } finally {
    await server.close();
    await statistics.close();
  }
  const gone = await explain("mx1.shop.example", CHOICE, { ...deps, ask: askOf(asking) });
  expect(gone.now.problem).toMatch(/STAT_UNREACHABLE/);
});
test("a refusal is told, and nothing more is asked", async () => {
  let count = 0;
  const told = await explained("shop.example", AFFINITIES, {}, async () => {
    count++;
    return { data: { error: "not now" } };
  });
  // Those of one go are out already.
  expect(count).toBeLessThanOrEqual(8);
  expect(told.now).toEqual({ problem: "not now", at: 0, states: [], unasked: count });
});
