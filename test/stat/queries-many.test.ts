/** Questions to the statistics server: pages that fit into a line however much there is, the smaller questions, and askers who mean harm. */
import { beforeEach, describe, expect, test } from "vitest";
import type {
  CountersAnswer,
  ExplainAnswer,
  LanesAnswer,
  MembersAnswer,
  SiteAnswer,
  SitesAnswer,
} from "../../src/quota/answers.ts";
import type { QueryName } from "../../src/quota/messages.ts";
import { counter, lane, measure, openScene, report, type Scene, SITE } from "./queries-parts.ts";

let s: Scene;
beforeEach(async () => {
  s = await openScene();
});

describe("many", () => {
  test("pages by name reach every site once, and each fits into a line", async () => {
    const long = `.${"x".repeat(60)}`.repeat(9);
    for (let i = 0; i < 3000; i++)
      s.statistics.observe([report({ site: `s${String(i).padStart(5, "0")}${long}`, ip: "192.0.2.9" })], [], s.now);
    const seen: string[] = [];
    let after = "";
    do {
      const page = await s.ask<SitesAnswer>("sites", { after, limit: 200 });
      seen.push(...page.sites.map(({ site }) => site));
      after = page.next;
    } while (after !== "");
    expect(seen).toHaveLength(3000);
    expect(new Set(seen).size).toBe(3000);
  });

  test("a rare state is found over short pages", async () => {
    for (let i = 0; i < 5000; i++)
      s.statistics.observe([report({ site: `s${String(i).padStart(5, "0")}.example` })], [], s.now);
    s.statistics.observe([report({ site: "s04999.example", rejected: 90 })], [], s.now);
    let after = "";
    let asked = 0;
    const found: string[] = [];
    do {
      const page = await s.ask<SitesAnswer>("sites", { after, state: "errors" });
      found.push(...page.sites.map(({ site }) => site));
      after = page.next;
      asked++;
    } while (after !== "");
    expect(found).toEqual(["s04999.example"]);
    expect(asked).toBeLessThan(5);
  });

  test("between sites and between paths others have their turn", async () => {
    for (let i = 0; i < 1000; i++) s.statistics.observe([report({ site: `s${i}.example` })], [], s.now);
    const turns = async (work: unknown): Promise<number> => {
      let over = false;
      void Promise.resolve(work).then(() => (over = true));
      for (let count = 0; ; count++) {
        await new Promise((resolve) => setImmediate(resolve));
        if (over) return count;
      }
    };
    expect(await turns(s.ask("sites", { state: "held" }))).toBeGreaterThan(15);
    expect(await turns(s.ask("sites", { order: "top" }))).toBeGreaterThan(15);
    expect(await turns(s.statistics.write())).toBeGreaterThan(3);
  });

  test("the top: those with most waiting, then the busiest", async () => {
    for (let i = 0; i < 50; i++) s.statistics.observe([report({ site: `s${i}.example`, attempts: i })], [], s.now);
    s.queries.lanes("m1/0", [lane({ site: "waits.example" })], s.now);
    const top = await s.ask<SitesAnswer>("sites", { order: "top", limit: 3 });
    expect(top.sites.map(({ site }) => site)).toEqual(["waits.example", "s49.example", "s48.example"]);
    expect(top.next).toBe("");
  });

  test("members with a hundred thousand lanes: the busiest and the held ones are kept, and go with their member", async () => {
    for (let m = 0; m < 40; m++) {
      const lanes = Array.from({ length: 10_000 }, (_, i) => lane({ site: `s${i}.example`, waiting: i, sessions: 0 }));
      s.queries.joined(`m${m}/0`, "member", s.now);
      s.queries.lanes(`m${m}/0`, lanes, s.now);
    }
    const { members } = s.ask<MembersAnswer>("members");
    expect(members).toHaveLength(40);
    expect(members.reduce((sum, { lanes }) => sum + lanes, 0)).toBeLessThanOrEqual(51_000);
    expect(members.at(-1)!.lanes).toBeGreaterThanOrEqual(50);
    const answer = s.ask<LanesAnswer>("lanes", { member: "m0/0" });
    expect(answer.lanes[0]).toMatchObject({ site: "s9999.example", member: "m0/0" });
    expect(answer.lanes.length + answer.more).toBe(2000);
    for (let m = 0; m < 40; m++) s.queries.left(`m${m}/0`);
    expect(s.ask<LanesAnswer>("lanes").lanes).toEqual([]);
    expect(s.ask<MembersAnswer>("members").members).toEqual([]);
  });

  test("a thousand paths of one site fit into a line", async () => {
    for (let i = 0; i < 1000; i++)
      s.statistics.observe(
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
        s.now,
      );
    s.measures = Array.from({ length: 500 }, () => measure({ reason: "y".repeat(2000) }));
    s.queries.lanes(
      "m1/0",
      Array.from({ length: 3000 }, () => lane()),
      s.now,
    );
    const answer = s.ask<SiteAnswer>("site", { site: SITE });
    expect(answer.paths[0]?.hour.attempts).toBe(999);
    expect(answer.paths.length + answer.morePaths).toBe(1000);
  });
});

describe("the other questions", () => {
  test("explain: rule, what governs it, counters, measures", async () => {
    s.counters = [counter(), counter({ rule: "*" }), counter({ ip: "192.0.2.1" })];
    s.measures = [measure({ site: "mx1.a.example" }), measure({ publicId: 9 })];
    expect(s.ask<ExplainAnswer>("explain", { mx: "MX1.a.example", publicId: 1, ips: ["192.0.2.1"] })).toMatchObject({
      limit: { rule: "a", publicId: 1, limits: { connections: 1 } },
      measures: [{ site: "mx1.a.example" }],
      counters: [{ ip: "" }, { ip: "192.0.2.1" }],
    });
  });
  test("counters of a rule or a public id, those somebody waits for first", async () => {
    s.counters = [counter(), counter({ publicId: 2, waiting: 5 }), counter({ rule: "*" })];
    expect(s.ask<CountersAnswer>("counters", { rule: "a" }).counters.map((c) => c.publicId)).toEqual([2, 1]);
    expect(s.ask<CountersAnswer>("counters", { publicId: 2 }).counters).toHaveLength(1);
  });
  test("warm-up and reload", async () => {
    s.measures = [measure(), measure({ kind: "warm-up", publicId: 4 })];
    expect(s.ask("warm-up")).toMatchObject({ measures: [{ kind: "warm-up", publicId: 4 }] });
    expect(s.ask("warm-up", { publicId: 5 })).toMatchObject({ measures: [] });
    expect(s.ask("reload")).toEqual({ rules: 2 });
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
])("%s %j is refused", async (what, args, text) => {
  await expect(async () => s.queries.answer(what, args, s.now)).rejects.toThrow(text);
});

test("hostile text of members and operators is harmless in every answer", async () => {
  const evil = "\u001b[31mevil\r\n\u202e";
  s.queries.joined(evil, "member", s.now);
  s.queries.lanes(
    evil,
    [lane({ site: evil, mx: evil, hold: { kind: "dns", by: evil, text: evil, since: 0, until: 0 } })],
    s.now,
  );
  s.statistics.observe(
    [report({ site: evil, mx: evil, ip: evil })],
    [{ ...report({ site: evil, mx: evil, ip: evil }), stage: evil, code: 1, enhanced: evil, text: evil, count: 1 }],
    s.now,
  );
  s.measures = [measure({ reason: evil, by: evil, site: evil, kind: "warm-up" })];
  for (const [what, args] of [
    ["sites", {}],
    ["site", { site: evil }],
    ["lanes", {}],
    ["members", {}],
    ["warm-up", {}],
  ] as const) {
    const text = JSON.stringify(await s.ask(what, args));
    expect(text).toContain("evil");
    expect(text).not.toMatch(/\\u001b|\\r|\\n|\u202e/);
  }
});
