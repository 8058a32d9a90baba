/** `postilion stat show|members`: what is printed, of which the names and replies are strangers'. */
import { expect, test } from "vitest";
import { type ShowDeps, shown } from "../../src/cli/stat-show.ts";
import { membersText } from "../../src/cli/stat-show-text.ts";
import { table } from "../../src/cli/table.ts";
import { type FakeStat, laneReport, openFakeStat, pathReport, ruleOf } from "../support/stat-answers.ts";

const EVIL = "evil\u001b[2J\r\n\u202e";

function depsOf(stat: FakeStat): ShowDeps {
  return {
    async ask(what, args) {
      try {
        return { data: await stat.ask(what, args) };
      } catch (error) {
        return { why: (error as Error).message };
      }
    },
    exchangers: async (domain) => ({ kind: "names", names: [`mx.${domain}`] }),
  };
}

const textOf = async (stat: FakeStat, site: string, json = false): Promise<string> => {
  const told = await shown(depsOf(stat), site, json);
  if (!("text" in told)) throw new Error(told.why);
  // eslint-disable-next-line no-control-regex -- that there are none
  expect(told.text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  return told.text;
};

test("the sites with most to do, what holds them, what they said last", async () => {
  const stat = await openFakeStat();
  stat.observe(
    [pathReport({ attempts: 1000, accepted: 900, deferred: 100, latencyMs: 50_000 })],
    [{ ...pathReport({}), stage: "dot", code: 451, enhanced: "4.7.1", text: EVIL, count: 1 }],
  );
  stat.lanes("m1/0", [laneReport({ site: "mx.b.example,mx2.b.example", mx: "mx.b.example", waiting: 1234 })]);
  stat.measures = [
    {
      kind: "suspension",
      site: "mx.b.example",
      publicId: null,
      stage: "stop",
      by: "operator alice",
      reason: EVIL,
      since: 1_700_000_000_000,
      until: 0,
    },
  ];
  const lines = (await textOf(stat, "")).split("\n");
  expect(lines[0]).toMatch(/UTC {3}0 members {3}1000 attempts, 900 accepted since it leads$/);
  expect(lines[3]).toMatch(
    /^mx\.b\.example \+1 {2}held +1234 .*Suspended: evil \[2J, set by operator alice, since 2023-11-14 22:13:20 UTC; until somebody resumes it\.$/,
  );
  expect(lines[4]).toMatch(/^mx\.a\.example +errors +0 +0 +1000 +1000 +100 +50 {2}451 4\.7\.1 evil \[2J$/);
  expect(JSON.parse(await textOf(stat, "", true))).toMatchObject({ sites: [{ state: "held" }, { state: "errors" }] });
});

test("one site by name, by one of its domains, and one that nobody knows", async () => {
  const stat = await openFakeStat();
  stat.rules = [ruleOf("a", "mx.a.example", { connections: 3, messagesPerHour: 1200 }), ...stat.rules];
  stat.governed = (_, limits) => ({ limits: { ...limits, connections: 1 } });
  stat.observe([pathReport({ attempts: 10, accepted: 10, latencyMs: 100 })]);
  stat.lanes(`m1/0${EVIL}`, [laneReport({ hold: { kind: "dns", by: EVIL, text: EVIL, since: 0, until: 0 } })]);
  const text = await textOf(stat, "mx.a.example");
  expect(text).toMatch(/^mx\.a\.example {3}held/);
  expect(text).toMatch(/Held by\n {2}public id 0: Evil \[2J, set by evil \[2J; asked again by itself\./);
  expect(text).toMatch(/Limits\n.*\n {2}0 +mx\.a\.example +192\.0\.2\.1 +a +1 \(of 3\) +1200 +rules\/mx\.yaml:1/);
  expect(text).toMatch(/The last hour[^\n]*\n.*\n( {2}\d\d:\d\d +0 +0\n){11} {2}\d\d:\d\d +10 +0 {2}█{40}$/);
  expect((await textOf(stat, "ann@A.example")).split("\n").slice(1)).toEqual(text.split("\n").slice(1));
  expect(await textOf(stat, "other.example")).toContain("other.example: the statistics server knows nothing of it");
});

test("nobody answers; the question is refused: told as they are", async () => {
  const stat = await openFakeStat();
  stat.away = new Error("no statistics server answers");
  expect(await shown(depsOf(stat), "", false)).toMatchObject({ why: "no statistics server answers" });
  stat.away = null;
  stat.nonsense = { error: `the rules are bad${EVIL}` };
  expect(await shown(depsOf(stat), "mx", false)).toMatchObject({ why: "the rules are badevil [2J" });
});

test("members", () => {
  expect(membersText({ now: 0, members: [], more: 0 })).toBe("Nobody is connected.");
  const member = { member: EVIL, role: "member" as const, since: 0, lanes: 1, waiting: 2, inFlight: 3, sessions: 4 };
  const command = { ...member, member: "command/7fa7a2387fc6", role: "observer" as const };
  expect(membersText({ now: 0, members: [command], more: 0 }), "the command itself").toBe("Nobody is connected.");
  expect(membersText({ now: 0, members: [member, command], more: 7 })).toMatch(
    /evil \[2J {2}member +1 +2 +3 +4 {2}1970-01-01 00:00:00 UTC\nand 7 more$/,
  );
});

test("a table: numbers to the right, long cells cut, the last column whole", () => {
  expect(
    table([
      ["name", "n", "text"],
      ["a", 5, "x".repeat(90)],
      ["b".repeat(60), 1000, "y"],
    ]),
  ).toEqual([
    `name${" ".repeat(36)}     n  text`,
    `a${" ".repeat(39)}     5  ${"x".repeat(90)}`,
    `${"b".repeat(39)}…  1000  y`,
  ]);
  expect(table([])).toEqual([]);
});
