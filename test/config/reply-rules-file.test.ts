/** Files of rules on replies: bad files first, then layers, then the file that comes along: every example proven, and what it must not do. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadReplyRules, readReplyRules } from "../../src/config/reply-rules-file.ts";
import { type ReplyRule, compileReplyRules } from "../../src/model/reply-rules.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "postilion-replies-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function problems(...texts: string[]): readonly string[] {
  const read = readReplyRules(texts.map((text, i) => ({ name: `file${i}`, text })));
  return "problems" in read ? read.problems : [];
}

function rules(...texts: string[]): readonly ReplyRule[] {
  const read = readReplyRules(texts.map((text, i) => ({ name: `file${i}`, text })));
  if ("problems" in read) throw new Error(read.problems.join("\n"));
  return read.rules;
}

const SLOW = `rules:
  - id: slow
    codes: [421]
    texts: slow down
    action: limits
    limits: { connections: 1, messagesPerHour: 10% }
    examples: ["421 slow down"]
`;

describe("what is wrong is said with its line, and nothing throws", () => {
  test.each([
    ["file0:1:", "rules: ["],
    ["file0:1: the file is 'rules:' and a list", "- a\n- b"],
    ["file0:1: the file is 'rules:' and a list", "rule: []"],
    ["file0:1: rules is not a list", "rules: 7"],
    ["file0:2: rules[0]", "rules:\n  - just text"],
    ["file0:2: id:", "rules:\n  - id: Not A Name"],
    ["file0:4: action:", "rules:\n  - id: x\n    codes: 421\n    action: explode"],
    ["Unrecognized key", "rules:\n  - id: x\n    regex: '.*'"],
    ["file0:3: duration: is not a time such as", "rules:\n  - id: x\n    duration: 3 weeks"],
    [
      "limits.messagesPerHour: is neither a number nor a share",
      "rules:\n  - id: x\n    limits: { messagesPerHour: 110% }",
    ],
    ["limits.connections:", "rules:\n  - id: x\n    limits: { connections: 0 }"],
    ["threshold.share:", "rules:\n  - id: x\n    threshold: { share: 1.5 }"],
    ["file0:2: rule x: has no action", "rules:\n  - id: x\n    codes: 421\n    examples: ['421 a']"],
    ["another rule of this name in the file", `${SLOW}${SLOW.slice(7)}`],
    ["its example matches no rule", "rules:\n  - id: x\n    codes: 421\n    action: stop\n    examples: ['451 a']"],
    ["Excessive alias count", `a: &a [x, x]\nb: &b [${"*a, ".repeat(60)}*a]\nc: [${"*b, ".repeat(60)}*b]\nrules: []`],
  ])("%s", (expected, text) => {
    expect(problems(text).join("\n")).toContain(expected);
  });

  test("all of it at once", () => {
    expect(problems("rules:\n  - id: A\n  - id: b\n    codes: []").length).toBe(2);
  });

  test("an empty file is no rules", () => {
    expect(rules("")).toEqual([]);
    expect(rules("rules:\n")).toEqual([]);
  });
});

test("what is not given has a default; times, shares and single values are read", () => {
  const [rule] = rules(SLOW);
  expect(rule).toEqual({
    id: "slow",
    origin: "file0:2",
    note: "",
    match: { codes: ["421"], enhanced: [], texts: ["slow down"], mx: [], stages: [] },
    threshold: { count: 1, share: 0, attempts: 0, sites: 1, windowMs: 600_000 },
    scope: "pair",
    examples: ["421 slow down"],
    remedy: {
      action: "limits",
      limits: {
        connections: { share: 1, value: 1 },
        messagesPerConnection: { share: 1, value: 0 },
        messagesPerMinute: { share: 1, value: 0 },
        messagesPerHour: { share: 0.1, value: 0 },
      },
      durationMs: 1_800_000,
      mostMs: 86_400_000,
      probe: 5,
      stepMs: 300_000,
    },
  });
});

describe("layers", () => {
  test("a rule over another changes what it names and keeps the rest", () => {
    const own =
      "rules:\n  - id: slow\n    limits: { messagesPerHour: 50% }\n    threshold: { count: 7 }\n    duration: 2h\n";
    const [rule] = rules(SLOW, own);
    expect(rule?.remedy?.limits.messagesPerHour).toEqual({ share: 0.5, value: 0 });
    expect(rule?.remedy?.limits.connections).toEqual({ share: 1, value: 1 });
    expect(rule?.remedy?.durationMs).toBe(7_200_000);
    expect(rule?.threshold.count).toBe(7);
    expect(rule?.match.texts).toEqual(["slow down"]);
    expect(rule?.origin).toBe("file1:2 over file0:2");
  });

  test("a new match needs examples of its own", () => {
    expect(problems(SLOW, "rules:\n  - id: slow\n    texts: [go away]\n").join()).toContain("has no example");
    expect(
      rules(SLOW, "rules:\n  - id: slow\n    texts: [go away]\n    examples: ['421 go away']\n")[0]?.examples,
    ).toEqual(["421 go away"]);
  });

  test("off takes a rule away; a new rule stands before all others and may take their replies", () => {
    expect(rules(SLOW, "rules:\n  - id: slow\n    off: true\n")).toEqual([]);
    const own = "rules:\n  - id: mine\n    codes: 421\n    action: ignore\n    examples: ['421 anything']\n";
    expect(rules(SLOW, own).map(({ id }) => id)).toEqual(["mine", "slow"]);
  });
});

describe("from the disk", () => {
  const load = (repliesFile = ""): ReturnType<typeof loadReplyRules> =>
    loadReplyRules({ dataDir: dir, stat: { repliesFile } });

  test("the shipped rules alone; with the operator's file in its place; a file named in the settings must be there", () => {
    const shipped = load();
    expect("rules" in shipped && shipped.rules.length).toBeGreaterThan(30);
    mkdirSync(join(dir, "rules"));
    writeFileSync(join(dir, "rules", "replies.yaml"), SLOW);
    const both = load();
    expect("rules" in both && both.rules[0]?.id).toBe("slow");
    const missing = load(join(dir, "nowhere.yaml"));
    expect("problems" in missing && missing.problems.join()).toContain("nowhere.yaml");
  });
});

describe("the rules that come along", () => {
  const shipped = loadReplyRules({ dataDir: "/nonexistent", stat: { repliesFile: "" } });
  const all = "rules" in shipped ? shipped.rules : [];
  const find = compileReplyRules(all);
  const reply = (text: string, mx = "mx1.example.com", stage = "rcpt"): string => {
    const [, code = "0", enhanced = "", rest = ""] = /^(\d{3}) (?:(\d\.\d+\.\d+) )?(.*)$/s.exec(text) ?? [];
    return find({ stage, code: Number(code), enhanced, text: rest, mx })?.id ?? "";
  };

  test("they have no problems: every example is taken by its own rule", () => {
    expect("problems" in shipped ? shipped.problems : []).toEqual([]);
    expect(all.flatMap(({ examples }) => examples).length).toBeGreaterThan(60);
  });

  test.each([
    "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted for 300 seconds",
    "451 4.7.1 Greylisting in action, please come back later",
    "450 4.7.1 Client host rejected: Greylisting, see http://example.org/greylist.html",
    "451 4.3.0 Message held - Human verification required to release it / graylisted",
  ])("greylisting is no trouble: %s", (text) => {
    const id = reply(text);
    expect(all.find((rule) => rule.id === id)?.remedy, id).toBeNull();
  });

  test.each([
    "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
    "552 5.2.2 The email account that you tried to reach is over quota",
    "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.",
    "451 4.4.1 Temporary lookup failure",
    "452 4.3.1 Insufficient system storage",
  ])("not about our pace: %s", (text) => {
    expect(reply(text)).toBe("");
    expect(reply(text, "gmail-smtp-in.l.google.com")).toBe("");
    expect(reply(text, "hotmail-com.olc.protection.outlook.com")).toBe("");
  });

  test("a provider's code counts only at the provider", () => {
    expect(reply("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "mta5.am0.yahoodns.net")).toBe(
      "yahoo.deferred",
    );
    expect(reply("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred")).toBe("");
    expect(reply("451 4.7.500 Server busy", "mx1.example.com")).toBe("");
  });

  test("what stops a public id everywhere needs several sites, and comes back within a day", () => {
    const wide = all.filter(({ scope }) => scope === "ip");
    expect(wide.map(({ id }) => id)).toEqual(["listed-ip.spamhaus", "listed-ip.barracuda"]);
    for (const { threshold, remedy } of wide) {
      expect(threshold.sites).toBeGreaterThanOrEqual(4);
      expect(remedy?.mostMs).toBeLessThanOrEqual(86_400_000);
    }
  });
});
