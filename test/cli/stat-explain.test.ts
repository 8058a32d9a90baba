/** `postilion stat explain`: exchangers from a real DNS server, rules from files, what is at work from whoever answers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Ask } from "../../src/cli/stat-ask.ts";
import { askOf } from "../../src/cli/stat-ask.ts";
import { type Explained, explain } from "../../src/cli/stat-explain.ts";
import { explainedText } from "../../src/cli/stat-explain-text.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { loadMxRules } from "../../src/config/mx-rules-file.ts";
import { loadStatSecret } from "../../src/config/stat-secret.ts";
import { type Settings, parseSettings } from "../../src/config/settings.ts";
import { matchRule } from "../../src/model/mx-rules.ts";
import { openResolver } from "../../src/mta/resolver.ts";
import type { ExplainAnswer } from "../../src/quota/answers.ts";
import type { CounterState } from "../../src/stat/contract.ts";
import { openQueries } from "../../src/stat/queries.ts";
import { openStatServer } from "../../src/stat/server.ts";
import { openStatistics } from "../../src/stat/statistics.ts";
import { type DnsServer, openDnsServer } from "../support/dns-server.ts";
import { noGovernor, smallEngine } from "../support/small-engine.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-explain-"));
let dns: DnsServer;
beforeAll(async () => {
  dns = await openDnsServer({
    "shop.example": {
      MX: [
        [10, "mx1.shop.example"],
        [20, "mx2.other.example"],
      ],
    },
    "mx1.shop.example": { A: ["192.0.2.1", "192.0.2.2"] },
    "mx2.other.example": { A: ["192.0.2.9"] },
    "gone.example": { rcode: "SERVFAIL" },
    "plain.example": { A: ["192.0.2.77"] },
  });
});
afterAll(async () => {
  await dns.close();
  rmSync(folder, { recursive: true });
});

const RULES = `
rules:
  - id: shop
    mx: "*.shop.example"
    scope: path
    connections: 3
    messagesPerHour: 1200
    note: Agreed with their postmaster
  - id: shop-new
    mx: "*.other.example"
    publicIds: 2
    connections: 1
`;
const nobody: Ask = async () => ({ why: "nobody is there" });

function settingsOf(more: object = {}): Settings {
  const rulesFile = join(folder, "mx.yaml");
  writeFileSync(rulesFile, RULES);
  return parseSettings({
    dataDir: folder,
    stat: { rulesFile },
    mta: { dns: { servers: [`127.0.0.1:${dns.port}`], timeoutMs: 1000, tries: 2 }, ...more },
  });
}

async function explained(
  target: string,
  more: object = {},
  publicId: number | null = null,
  ask = nobody,
): Promise<Explained> {
  const settings = settingsOf(more);
  const { rules } = loadMxRules(settings);
  return explain(target, publicId, { settings, rules, resolver: openResolver(settings.mta.dns, systemClock), ask });
}

const AFFINITIES = {
  affinities: [
    { name: "news", ips: [{ publicId: 2 }, { publicId: 1 }] },
    { name: "far", ips: [{ publicId: 5, includeDomains: ["elsewhere.example"] }] },
  ],
};

describe("without a server", () => {
  test("exchangers with their addresses, each rule for whom it is, every limit with its origin", async () => {
    const told = await explained("shop.example", AFFINITIES);
    expect(told.exchangers).toEqual([
      { mx: "mx1.shop.example", addresses: ["192.0.2.1", "192.0.2.2"], problem: "" },
      { mx: "mx2.other.example", addresses: ["192.0.2.9"], problem: "" },
    ]);
    // Public id 5 takes no mail to this domain.
    expect(told.publicIds).toEqual([1, 2]);
    expect(told.rules.map(({ id, exchangers, publicIds }) => [id, exchangers, publicIds])).toEqual([
      ["shop", ["mx1.shop.example"], [1, 2]],
      ["*", ["mx2.other.example"], [1]],
      ["shop-new", ["mx2.other.example"], [2]],
    ]);
    const limits = told.rules[0]?.limits ?? [];
    expect(limits).toContainEqual({ name: "messagesPerHour", value: 1200, origin: `${join(folder, "mx.yaml")}:7` });
    expect(limits).toContainEqual({ name: "dataMs", value: 0, origin: "built in" });
    expect(limits.find(({ name }) => name === "tls")?.origin).toMatch(/^ops\/rules\/mx\.yaml:\d+ \(defaults\)$/);
    // Scope path: two of our IPs, two of their addresses.
    expect(told.rules.map(({ counters }) => counters)).toEqual([4, 1, 1]);

    const text = explainedText(told);
    expect(text).toContain("shop.example: 2 exchangers");
    expect(text).toMatch(/^ {2}mx1\.shop\.example {4}192\.0\.2\.1, 192\.0\.2\.2$/m);
    expect(text).toMatch(/^rule shop {3}.*mx\.yaml:3 {3}for mx1\.shop\.example$/m);
    expect(text).toContain("  Agreed with their postmaster");
    expect(text).toMatch(/^ {2}messagesPerHour +1200 +.*mx\.yaml:7$/m);
    expect(text).toMatch(/^ {2}messagesPerDay +no limit +built in$/m);
    expect(text).toContain("Here that is 4 times: at most 12 connections and 4800 messages an hour in all.");
    expect(text).toMatch(/^rule shop-new {3}.* {3}for mx2\.other\.example from public id 2$/m);
    expect(text).toContain("What is at work now is not known: nobody is there");
  });
  test("one public id; an address instead of a domain; an exchanger itself", async () => {
    const one = await explained("Ann@Shop.Example.", AFFINITIES, 2);
    expect(one.target).toBe("shop.example");
    expect(one.rules.map(({ id }) => id)).toEqual(["shop", "shop-new"]);
    const own = await explained("mx1.shop.example");
    expect(own).toMatchObject({ way: "has no MX records: it is its own exchanger", publicIds: [0] });
    expect(own.rules.map(({ id }) => id)).toEqual(["shop"]);
  });
  test("a DNS that says no or nothing: the rule for the name is told all the same", async () => {
    const unknown = await explained("aspmx.l.google.com");
    expect(unknown.way).toContain("no such domain");
    expect(unknown.rules.map(({ id }) => id)).toEqual(["google"]);
    const failing = await explained("gone.example");
    expect(failing.way).toContain("taken as the name of an exchanger");
    expect(failing.exchangers[0]?.problem).not.toBe("");
  });
  test("hostile names end up harmless", async () => {
    const told = await explained("evil\u001b[2J.example");
    expect(explainedText(told)).not.toContain("\u001b");
    expect((await explained("Bücher.example")).target).toBe("xn--bcher-kva.example");
    await expect(explained("@")).rejects.toThrow(UsageError);
  });
  test("a relay takes all mail", async () => {
    const told = await explained("shop.example", { relay: { host: "Plain.example" } });
    expect(told.way).toContain("mta.relay.host");
    expect(told.exchangers).toMatchObject([{ mx: "plain.example", addresses: ["192.0.2.77"] }]);
  });
  test("a domain that no IP of any affinity may send to", async () => {
    const told = await explained("shop.example", {
      affinities: [{ name: "a", ips: [{ excludeDomains: ["shop.*"] }] }],
    });
    expect(told.publicIds).toEqual([]);
    expect(explainedText(told)).toContain("No IP of any affinity may send to it");
  });
  test("no secret is made by asking", async () => {
    const settings = parseSettings({ dataDir: join(folder, "fresh"), stat: { port: 1 } });
    const answer = await askOf(settings)("explain", { mx: "x.example", publicId: 0 });
    expect(answer).toEqual({ why: expect.stringContaining("no statistics server has run") });
  });
});

describe("with a server", () => {
  /** What the server says of a path, before a test changes it. */
  function answer(settings: Settings, args: Readonly<Record<string, unknown>>): ExplainAnswer {
    const [mx, publicId] = [String(args["mx"]), Number(args["publicId"])];
    const rule = matchRule(loadMxRules(settings).rules, mx, publicId);
    return {
      now: Date.UTC(2026, 0, 2, 3, 4, 5),
      limit: {
        publicId,
        mx,
        ip: String(args["ip"]),
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

  test("back-off, a hold and counters are told for each rule and public id; what changed is named", async () => {
    const asked: Readonly<Record<string, unknown>>[] = [];
    const until = Date.UTC(2026, 0, 2, 4, 0, 0);
    const told = await explained("shop.example", AFFINITIES, 1, async (what, args) => {
      asked.push({ what, ...args });
      const plain = answer(settingsOf(AFFINITIES), args);
      if (args["mx"] !== "mx1.shop.example") return { data: plain };
      return {
        data: {
          ...plain,
          limit: {
            ...plain.limit,
            limits: { ...plain.limit.limits, connections: 1 },
            hold: { kind: "back-off", by: "shop-full", text: "stopped: too many connections", since: 0, until },
          },
          measures: [
            {
              kind: "back-off",
              site: "shop",
              publicId: 1,
              stage: "limits",
              by: "shop-full",
              reason: "421 slow down",
              since: until - 1000,
              until,
            },
          ],
          counters: [
            {
              counter: "c",
              rule: "shop",
              publicId: 1,
              ip: "192.0.2.1",
              connections: 1,
              connectionLimit: 3,
              spent: 20,
              periodLimit: 100,
              periodEnd: until,
              waiting: 7,
            },
          ],
        },
      };
    });
    expect(asked).toEqual([
      {
        what: "explain",
        site: "mx1.shop.example,mx2.other.example",
        mx: "mx1.shop.example",
        ip: "192.0.2.1",
        publicId: 1,
      },
      {
        what: "explain",
        site: "mx1.shop.example,mx2.other.example",
        mx: "mx2.other.example",
        ip: "192.0.2.9",
        publicId: 1,
      },
    ]);
    expect(told.now.states[0]).toMatchObject({ changed: [{ name: "connections", value: 1 }], differs: "" });
    const text = explainedText(told);
    expect(text).toContain("Now (2026-01-02 03:04:05 UTC):");
    expect(text).toContain(
      "Nothing goes: stopped: too many connections (back-off, by shop-full), until 2026-01-02 04:00:00 UTC",
    );
    expect(text).toContain(
      "back-off, limits, by shop-full, since 2026-01-02 03:59:59 UTC, until 2026-01-02 04:00:00 UTC: 421 slow down",
    );
    expect(text).toContain("connections is 1 for the time being");
    expect(text).toContain(
      "1 of 3 connections open, 20 of 100 messages of the period, until 2026-01-02 04:00:00 UTC, 7 waiting",
    );
    expect(text).toContain("nothing is at work, and nothing is counted yet");
  });
  test("a server that has not read the files since they changed", async () => {
    const told = await explained("mx1.shop.example", {}, 1, async (_, args) => {
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
    const deps = { settings, rules, resolver: openResolver(settings.mta.dns, systemClock) };
    try {
      const told = await explain("mx1.shop.example", null, { ...deps, ask: askOf(asking) });
      expect(told.now).toMatchObject({
        problem: "",
        states: [{ mx: "mx1.shop.example", publicId: 0, changed: [], hold: null, differs: "" }],
      });
      expect(explainedText(told)).toContain("2 of 3 connections open, 40 of 100 messages of the period, 5 waiting");
      writeFileSync(join(folder, "keys/stat.secret"), "another secret of more than thirty-two chars", { mode: 0o600 });
      const stranger = await explain("mx1.shop.example", null, { ...deps, ask: askOf(asking) });
      expect(stranger.rules.map(({ id }) => id)).toEqual(["shop"]);
      expect(stranger.now.problem).toMatch(/STAT_REFUSED/);
    } finally {
      await server.close();
      await statistics.close();
    }
    const gone = await explain("mx1.shop.example", null, { ...deps, ask: askOf(asking) });
    expect(gone.now.problem).toMatch(/STAT_UNREACHABLE/);
  });
  test("a refusal is told, and nothing more is asked", async () => {
    let count = 0;
    const told = await explained("shop.example", AFFINITIES, null, async () => {
      count++;
      return { data: { error: "not now" } };
    });
    expect(count).toBe(1);
    expect(told.now).toEqual({ problem: "not now", at: 0, states: [] });
  });
});
