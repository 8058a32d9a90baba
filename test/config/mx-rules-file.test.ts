/** Rules from three layers: what stands where, where each value comes from, every mistake with its place, and what is hardly meant. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Fault } from "../../src/base/faults.ts";
import { type InspectedRules, inspectMxRules, loadMxRules } from "../../src/config/mx-rules-file.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { type MxRule, isCatchAll, matchRule } from "../../src/model/mx-rules.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-rules-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;

function settings(text: string, rules: readonly object[] = []): ReturnType<typeof parseSettings> {
  const rulesFile = join(folder, `${++count}.yaml`);
  writeFileSync(rulesFile, text);
  return parseSettings({ dataDir: folder, stat: { rulesFile, rules } });
}

function inspect(text: string, rules: readonly object[] = []): InspectedRules {
  const given = settings(text, rules);
  const { findings, ...rest } = inspectMxRules(given);
  const short = (told: string): string => told.replaceAll(given.stat.rulesFile, "FILE");
  return { ...rest, findings: findings.map((one) => ({ ...one, at: short(one.at), text: short(one.text) })) };
}

/** Findings as lines: severity, place, text. */
function found(text: string, rules: readonly object[] = []): string[] {
  return inspect(text, rules).findings.map(({ severity, at, text }) => `${severity} ${at}: ${text}`);
}

function rule(of: InspectedRules, id: string): MxRule {
  const one = of.rules.find((candidate) => candidate.id === id);
  if (one === undefined) throw new Error(`no rule ${id}`);
  return one;
}

describe("the shipped rules", () => {
  const shipped = inspect("");
  test("nothing is wrong with them, nor doubtful", () => {
    expect(shipped.findings).toEqual([]);
    expect(shipped.rules.length).toBeGreaterThan(50);
  });
  test("each says what it limits and why", () => {
    for (const { id, note, origins } of shipped.rules) {
      expect(note.length, id).toBeGreaterThan(10);
      expect(origins.connections, id).toMatch(/^ops\/rules\/mx\.yaml:\d+$/);
      expect(origins.messagesPerConnection, id).toMatch(/^ops\/rules\/mx\.yaml:\d+$/);
    }
  });
  test("the last one is for everything, and strangers share nothing", () => {
    expect(shipped.rules.filter(isCatchAll).map(({ id }) => id)).toEqual(["*"]);
    expect(shipped.rules.at(-1)).toMatchObject({ id: "*", limits: { scope: "path" } });
  });
  test.each([
    ["gmail-smtp-in.l.google.com", "google"],
    ["aspmx.l.google.com", "google"],
    ["smtp.google.com", "google"],
    ["aspmx2.googlemail.com", "google"],
    ["outlook-com.olc.protection.outlook.com", "microsoft-consumer"],
    ["example-com.mail.protection.outlook.com", "microsoft-365"],
    ["example-com.o-v1.mx.microsoft", "microsoft-365"],
    ["mta5.am0.yahoodns.net", "yahoo"],
    ["mx-aol.mail.gm0.yahoodns.net", "yahoo"],
    ["mx01.mail.icloud.com", "apple"],
    ["smtp-in.orange.fr", "orange"],
    ["mx1.free.fr", "free"],
    ["smtp-in.sfr.fr", "sfr"],
    ["smtpz4.laposte.net", "laposte"],
    ["mx00.emig.gmx.net", "gmx"],
    ["mx-ha02.web.de", "gmx"],
    ["mx00.t-online.de", "t-online"],
    ["mxs.mail.ru", "mail-ru"],
    ["mx.yandex.ru", "yandex"],
    ["mailsec.protonmail.ch", "proton"],
    ["mx2.zoho.eu", "zoho"],
    ["mx1a1.comcast.net", "comcast"],
    ["mx.tb.ukmail.iss.as9143.net", "liberty-global"],
    ["mx.kpnmail.nl", "kpn"],
    ["smtp-in.libero.it", "italiaonline"],
    ["mx.wp.pl", "wp"],
    ["mx1.seznam.cz", "seznam"],
    ["mx3.mail.yahoo.co.jp", "yahoo-japan"],
    ["mx1.naver.com", "naver"],
    ["mx3.qq.com", "qq"],
    ["163mx01.mxmail.netease.com", "netease"],
    ["mfsmax.docomo.ne.jp", "docomo"],
    ["mx0a-00123401.pphosted.com", "proofpoint"],
    ["mx1-us1.ppe-hosted.com", "proofpoint"],
    ["eu-smtp-inbound-1.mimecast.com", "mimecast"],
    ["d123.a.ess.uk.barracudanetworks.com", "barracuda"],
    ["mx1.hc1234-56.iphmx.com", "cisco"],
    ["cluster5.eu.messagelabs.com", "messagelabs"],
    ["route1.mx.cloudflare.net", "cloudflare"],
    ["mail.example.org", "*"],
    ["google.com.evil.example", "*"],
  ])("%s is %s", (mx, id) => {
    expect(matchRule(shipped.rules, mx, 1).id).toBe(id);
  });
});

describe("layers", () => {
  const text = `
defaults:
  messagesPerConnection: 7
  tls: required
rules:
  - mx: "*.shop.example"
    messagesPerHour: 600
  - id: google
    connections: 3
    note: ours
  - id: yahoo
    publicIds: 4-9
`;
  const of = inspect(text, [
    { id: "google", connections: 1, messagesPerDay: 50 },
    { id: "first", mx: ["A.example", "b.example"], publicIds: "2" },
  ]);

  test("the settings stand first, then the file, then the shipped rules; the same id stays at its place", () => {
    const ids = of.rules.map(({ id }) => id);
    expect(ids.slice(0, 4)).toEqual(["first", "*.shop.example", "google", "microsoft-consumer"]);
    expect(ids.filter((id) => id === "google")).toHaveLength(1);
    expect(ids.at(-1)).toBe("*");
    expect(of.sources).toMatchObject([
      { name: "settings stat.rules", rules: 2 },
      { rules: 3 },
      { name: "ops/rules/mx.yaml", rules: of.rules.length - 2 },
    ]);
  });
  test("only the fields that are given change, each with where it comes from", () => {
    const google = rule(of, "google");
    expect(google.mx).toEqual(["*.google.com", "*.googlemail.com"]);
    expect(google.limits).toMatchObject({
      rule: "google",
      connections: 1,
      messagesPerConnection: 50,
      messagesPerDay: 50,
    });
    expect(google.note).toBe("ours");
    expect(google.origins.connections).toBe("settings stat.rules[0]");
    expect(google.origins.messagesPerConnection).toMatch(/^ops\/rules\/mx\.yaml:\d+$/);
    expect(google.origins.scope).toMatch(/^ops\/rules\/mx\.yaml:\d+ \(defaults\)$/);
    expect(google.origins.dataMs).toBe("built in");
    expect(google.origin).toMatch(
      /^ops\/rules\/mx\.yaml:\d+, changed by .*\.yaml:8, changed by settings stat\.rules\[0\]$/,
    );
    // The defaults of a file are for its own rules: those of files under it say for themselves what they mean.
    expect(google.limits.tls).toBe("opportunistic");
    expect(rule(of, "yahoo")).toMatchObject({ publicIds: [4, 9], limits: { messagesPerConnection: 20 } });
  });
  test("what a rule does not give: the defaults of its file, then those under it, then what is built in", () => {
    const shop = rule(of, "*.shop.example");
    expect(shop.limits).toMatchObject({
      messagesPerHour: 600,
      messagesPerConnection: 7,
      tls: "required",
      connections: 5,
    });
    expect(shop.origins).toMatchObject({
      messagesPerHour: expect.stringMatching(/\.yaml:7$/),
      messagesPerConnection: expect.stringMatching(/\.yaml:3 \(defaults\)$/),
      connections: expect.stringMatching(/^ops\/rules\/mx\.yaml:\d+ \(defaults\)$/),
      bytesPerSecond: "built in",
    });
    // The settings have no defaults of their own: the file's come next.
    expect(rule(of, "first")).toMatchObject({
      mx: ["a.example", "b.example"],
      publicIds: [2, 2],
      limits: { messagesPerConnection: 7 },
      origin: "settings stat.rules[1]",
    });
  });
  test("a rule for * changes the last one; there is always one for everything", () => {
    const last = inspect('rules:\n  - mx: "*"\n    connections: 3\n');
    expect(last.rules.at(-1)).toMatchObject({ id: "*", limits: { connections: 3, scope: "path" } });
    expect(last.rules.filter(isCatchAll)).toHaveLength(1);
    const gone = inspect("rules:\n  - id: '*'\n    mx: '*.example'\n");
    expect(gone.rules.at(-1)).toMatchObject({ id: "* (built in)", mx: ["*"], origin: "built in" });
  });
  test("a public id may be written as a number, all public ids as all; one mask for two ranges is two rules", () => {
    const ranges = inspect(
      'rules:\n  - mx: "*.google.com"\n    publicIds: 5\n  - mx: "*.google.com"\n    publicIds: "7 - 9"\n  - id: yahoo\n    publicIds: all\n',
    );
    expect(ranges.findings).toEqual([]);
    expect(ranges.rules.slice(0, 2).map(({ id, publicIds }) => [id, publicIds])).toEqual([
      ["*.google.com 5", [5, 5]],
      ["*.google.com 7-9", [7, 9]],
    ]);
    expect(matchRule(ranges.rules, "aspmx.l.google.com", 8).id).toBe("*.google.com 7-9");
    expect(matchRule(ranges.rules, "aspmx.l.google.com", 6).id).toBe("google");
  });
  test("rules/mx.yaml under dataDir is the operator's file when none is named", () => {
    const dataDir = mkdtempSync(join(folder, "data-"));
    mkdirSync(join(dataDir, "rules"));
    writeFileSync(join(dataDir, "rules/mx.yaml"), "rules:\n  - mx: mx.own.example\n    connections: 1\n");
    const { rules, warnings } = loadMxRules(parseSettings({ dataDir }));
    expect(rules[0]).toMatchObject({ id: "mx.own.example", limits: { connections: 1 } });
    expect(rules[0]?.origin).toBe(`${join(dataDir, "rules/mx.yaml")}:2`);
    expect(warnings).toEqual([]);
    const none = loadMxRules(parseSettings({ dataDir: join(folder, "nothing-here") }));
    expect(none.rules[0]?.id).toBe("google");
  });
});

describe("mistakes", () => {
  test("all of them at once, each with its line and the name that was meant", () => {
    const text = `
default:
  scope: ip
defaults:
  conections: 5
rules:
  - mx: "*.a.example"
    conections: 5
    shared: true
  - mx: ["*.b.example", "b@c.example"]
    publicIds: 9-2
  - connections: 2
  - id: gogle
    connections: 2
  - mx: "*.d.example"
    connections: 0
    messagesPerHour: many
    scope: site
  - mx: "*.e.example"
  - mx: "*.E.example"
`;
    const errors = found(text).filter((line) => line.startsWith("error"));
    expect(errors).toEqual([
      "error FILE:2: default: no such field; did you mean defaults?",
      "error FILE:5: defaults.conections: no such field; did you mean connections?",
      "error FILE:8: rules[0].conections: no such field; did you mean connections?",
      expect.stringMatching(/^error FILE:9: rules\[0\]\.shared: no such field; known here: id, mx, publicIds, scope/),
      'error FILE:10: rules[1].mx: "b@c.example" holds "@", which is in no name of a host',
      'error FILE:11: rules[1].publicIds: "9-2" ends before it begins',
      "error FILE:12: rules[2].mx: is missing: a rule has a mask, or the id of a rule under it",
      "error FILE:13: gogle: mx is missing, and no rule under this file has that id; did you mean google?",
      expect.stringMatching(/^error FILE:16: rules\[4\]\.connections: .*1/),
      expect.stringMatching(/^error FILE:17: rules\[4\]\.messagesPerHour: .*number/),
      expect.stringMatching(/^error FILE:18: rules\[4\]\.scope: .*path/),
      "error FILE:20: the id *.e.example is that of FILE:19 too: give it an id of its own",
    ]);
  });
  test.each([
    ["rules: [1, 2\n", /FILE:\d+: /],
    ["- a\n- b\n", /FILE:1: rules are 'defaults:' and 'rules:'/],
    ["rules: everything\n", /FILE:1: rules: is a list/],
    ["rules:\n  -\n  - mx: a.example\n", /FILE:\d: rules\[0\]\.mx: is missing/],
    ["rules:\n  - mx: ''\n", /FILE:2: rules\[0\]\.mx: "" is empty/],
    ["rules:\n  - mx: []\n", /FILE:2: rules\[0\]\.mx: /],
    ["rules:\n  - mx: '*.bücher.example'\n", /xn--/],
    ['rules:\n  - mx: a.example\n    publicIds: "1,2"\n', /neither a public id, nor a range/],
    ["rules:\n  - mx: a.example\n    publicIds: -3\n", /FILE:3: rules\[0\]\.publicIds/],
    ["rules:\n  - {mx: a.example, __proto__: {connections: 1}}\n", /__proto__: no such field/],
  ])("%j", (text, pattern) => {
    expect(found(text).join("\n")).toMatch(pattern);
  });
  test("loading throws them as one fault; a file that is named and not there too", () => {
    const bad = settings("rules:\n  - mx: a.example\n    conections: 1\n    tsl: none\n");
    const refused = (given: Parameters<typeof loadMxRules>[0]): Fault => {
      try {
        loadMxRules(given);
      } catch (error) {
        if (error instanceof Fault) return error;
        throw error;
      }
      throw new Error("nothing was wrong");
    };
    const fault = refused(bad);
    expect(fault.code).toBe("RULES_INVALID");
    expect(fault.message.split("\n").slice(1)).toEqual([
      `  ${bad.stat.rulesFile}:3: rules[0].conections: no such field; did you mean connections?`,
      `  ${bad.stat.rulesFile}:4: rules[0].tsl: no such field; did you mean tls?`,
    ]);
    const missing = parseSettings({ dataDir: folder, stat: { rulesFile: join(folder, "none.yaml") } });
    expect(refused(missing).message).toContain("none.yaml: cannot be read");
  });
  test("of the settings: the number of the rule", () => {
    expect(found("", [{ mx: "a b.example" }, { connections: 1 }])).toEqual([
      'error settings stat.rules[0]: rules[0].mx: "a b.example" holds " ", which is in no name of a host',
      "error settings stat.rules[1]: rules[1].mx: is missing: a rule has a mask, or the id of a rule under it",
    ]);
  });
  test("the good rules of a file with a bad one are still there to look at", () => {
    const of = inspect("rules:\n  - mx: a.example\n    connections: 1\n  - mx: b.example\n    x: 1\n");
    expect(of.rules[0]?.id).toBe("a.example");
    expect(of.rules.some(({ id }) => id === "b.example")).toBe(false);
  });
});

describe("what is hardly meant", () => {
  const lint = (rules: string): string[] => found(`rules:\n${rules}`);

  test("a rule that an earlier one of the same file hides", () => {
    expect(lint('  - mx: "*.a.example"\n  - mx: ["mx1.a.example", "*.b.a.example"]\n')).toEqual([
      "warning FILE:3: mx1.a.example: never matches, *.a.example (FILE:2) before it matches all of it",
    ]);
    expect(lint('  - mx: "*.a.example"\n  - mx: ["mx1.a.example", "*.b.example"]\n')).toEqual([]);
  });
  test("public ids count: two ranges together hide, with a gap they do not", () => {
    const ranges = (second: string): string =>
      `  - {id: one, mx: "*.a.example", publicIds: 0-5}\n  - {id: two, mx: "*.a.example", publicIds: ${second}}\n  - {id: three, mx: mx.a.example, publicIds: 3-9}\n`;
    expect(lint(ranges("6-20"))).toEqual([
      "warning FILE:4: three: never matches, one (FILE:2), two (FILE:3) before it matches all of it",
    ]);
    expect(lint(ranges("7-20"))).toEqual([]);
  });
  test("one's own rule in place of a shipped one is a note, and says how to change only some of it", () => {
    expect(lint('  - mx: ["*.google.com", "*.googlemail.com"]\n    connections: 3\n')).toEqual([
      expect.stringMatching(
        /^note ops\/rules\/mx\.yaml:\d+: google: replaced by \*\.google\.com \(FILE:2\); .* give the other one the id google$/,
      ),
    ]);
  });
  test("a rule for everything before all others is one warning", () => {
    const said = lint('  - {id: all, mx: "*", connections: 3}\n');
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(
      /^warning FILE:2: all: is for every exchanger and hides \d+ after it: google, .* …; .* the id \*$/,
    );
  });
  test("a rule for everything from some public ids", () => {
    expect(lint('  - {mx: "*", publicIds: 3, connections: 1}\n')).toEqual([
      expect.stringMatching(/^note FILE:2: \* 3: takes everything of public id 3; \d+ rules after it are never asked/),
    ]);
  });
  test.each([
    ["messagesPerHour: 1000, messagesPerDay: 500", /1000 messages an hour, but only 500 a day/],
    ["messagesPerMinute: 200, messagesPerHour: 100", /200 messages a minute, but only 100 an hour/],
    ["messagesPerMinute: 10, messagesPerHour: 1000", /1000 messages an hour are never reached with 10 a minute \(600/],
    ["messagesPerHour: 100, messagesPerDay: 9000", /9000 messages a day are never reached with 100 an hour \(2400/],
    ["messagesPerHour: 11", /less than one in each of its 12 periods/],
    ["bytesPerSecond: 100", /a message of 60 kB/],
    ["connections: 1000", /no large receiver/],
    ["connectMs: 30", /connectMs is 30 ms: milliseconds/],
    ["dataMs: 30000", /arrive twice/],
  ])("limits: %s", (limits, pattern) => {
    const said = lint(`  - {mx: mx.a.example, ${limits}}\n`);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^warning FILE:2: mx\.a\.example: /);
    expect(said[0]).toMatch(pattern);
  });
  test("limits that fit each other say nothing", () => {
    expect(
      lint(
        "  - {mx: mx.a.example, messagesPerMinute: 20, messagesPerHour: 1200, messagesPerDay: 28800, dataMs: 600000}\n",
      ),
    ).toEqual([]);
  });
  test.each([
    ["gmail.com", /is a domain of recipients; .* here \*\.google\.com/],
    ["Hotmail.com", /here \*\.olc\.protection\.outlook\.com/],
    ["mailserver", /has no dot: it is no name of an exchanger$/],
    ['"*google*"', /has no dot: .*anybody/],
    ['"*google.com"', /matches notgoogle\.com too; write \*\.google\.com/],
  ])("masks: %s", (mask, pattern) => {
    const said = lint(`  - {id: one, mx: ${mask}}\n`).filter((line) => line.startsWith("warning"));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(pattern);
  });
  test("tls required for everybody", () => {
    expect(lint('  - {mx: "*", tls: required}\n')).toEqual([expect.stringContaining("without a valid certificate")]);
  });
  test("warnings come with the rules that are loaded, notes do not", () => {
    const { warnings } = loadMxRules(settings('rules:\n  - mx: "*.google.com"\n  - mx: gmail.com\n'));
    expect(warnings).toEqual([expect.stringMatching(/^.*:3: gmail\.com: gmail\.com is a domain of recipients/)]);
  });
});
