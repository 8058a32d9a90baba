/** Rules on replies: hostile replies first, then what matches what, then what the check refuses. */
import { describe, expect, test } from "vitest";
import {
  type Reply,
  type ReplyMatch,
  type ReplyRule,
  checkReplyRules,
  compileReplyRules,
  exampleReply,
} from "../../src/model/reply-rules.ts";

const ANY: ReplyMatch = { codes: [], enhanced: [], texts: [], mx: [], stages: [] };
const AS_IS = { share: 1, value: 0 };
const STOP: ReplyRule["remedy"] = {
  action: "stop",
  limits: { connections: AS_IS, messagesPerConnection: AS_IS, messagesPerMinute: AS_IS, messagesPerHour: AS_IS },
  durationMs: 1_800_000,
  mostMs: 86_400_000,
  probe: 5,
  stepMs: 300_000,
};

function rule(id: string, match: Partial<ReplyMatch>, parts: Partial<ReplyRule> = {}): ReplyRule {
  return {
    id,
    match: { ...ANY, ...match },
    threshold: { count: 3, share: 0, attempts: 0, sites: 1, windowMs: 600_000 },
    scope: "pair",
    remedy: STOP,
    examples: [],
    origin: `test:${id}`,
    note: "",
    ...parts,
  };
}

const reply = (parts: Partial<Reply>): Reply => ({
  stage: "rcpt",
  code: 451,
  enhanced: "4.7.1",
  text: "Rate limit exceeded",
  mx: "mx1.example.com",
  ...parts,
});
const found = (rules: ReplyRule[], parts: Partial<Reply>): string => compileReplyRules(rules)(reply(parts))?.id ?? "";

describe("hostile replies", () => {
  const rules = [rule("limit", { texts: ["rate limit"] })];

  test("control characters and turned text do not hide what is said, nor break the match", () => {
    expect(found(rules, { text: "RATE\r\n\tLIMIT\u0000 exceeded" })).toBe("limit");
    expect(found(rules, { text: "\u202erate limit" })).toBe("limit");
    expect(found(rules, { text: "\u001b[2Jnothing to see" })).toBe("");
  });

  test("10 KB and 1 MB of text cost what 1,000 characters cost", () => {
    expect(found(rules, { text: `rate limit ${"x".repeat(10_000)}` })).toBe("limit");
    expect(found(rules, { text: `${"x".repeat(10_000)} rate limit` }), "beyond what is looked at").toBe("");
    const stars = [rule("stars", { texts: ["a*a*a*a*a*a*a*a*a*b"] })];
    expect(found(stars, { text: "a".repeat(1_000_000) })).toBe("");
    expect(found(stars, { text: `${"a".repeat(900)}b` })).toBe("stars");
  });

  test("a code that is none is 000, like a connection that failed", () => {
    const failed = [rule("failed", { codes: ["000"] })];
    for (const code of [0, Number.NaN, -5, Infinity, 1.5]) expect(found(failed, { code })).toBe("failed");
    expect(found(failed, { code: 421 })).toBe("");
  });

  test("an exchanger's name of any length, with stars in it", () => {
    const google = [rule("google", { mx: ["*.google.com"] })];
    expect(found(google, { mx: `${"*.".repeat(50_000)}google.com` })).toBe("");
    expect(found(google, { mx: "ASPMX.L.GOOGLE.COM" })).toBe("google");
    expect(found(google, { mx: "mx.google.com.example.net" })).toBe("");
  });
});

describe("matching", () => {
  test("the first rule that matches wins", () => {
    const rules = [rule("one", { codes: ["45?"] }), rule("two", { codes: ["451"] })];
    expect(found(rules, { code: 451 })).toBe("one");
    expect(found([...rules].reverse(), { code: 451 })).toBe("two");
    expect(found(rules, { code: 550 })).toBe("");
  });

  test("one of each list that is given, and all lists", () => {
    const rules = [
      rule("r", { codes: ["421", "451"], enhanced: ["4.7.*"], stages: ["mail", "rcpt"], texts: ["limit", "slow"] }),
    ];
    expect(found(rules, {})).toBe("r");
    expect(found(rules, { code: 450 })).toBe("");
    expect(found(rules, { enhanced: "4.2.1" })).toBe("");
    expect(found(rules, { enhanced: "" })).toBe("");
    expect(found(rules, { stage: "dot" })).toBe("");
    expect(found(rules, { text: "please SLOW down" })).toBe("r");
    expect(found(rules, { text: "no" })).toBe("");
  });

  test.each([
    ["blocked*list", "You are Blocked by our LIST", true],
    ["blocked*list", "our list has blocked you", false],
    ["*rate*limit*", "the rate has a limit", true],
    ["lim*limit", "limit", false],
    ["[tss04]", "421 [TSS04] Messages", true],
    ["a.c", "abc", false],
  ])("text %j in %j: %s", (texts, text, expected) => {
    expect(found([rule("r", { texts: [texts] })], { text })).toBe(expected ? "r" : "");
  });
});

describe("examples", () => {
  test("an example is read as a reply: code, enhanced code, text; what it leaves out comes from the rule", () => {
    const match: ReplyMatch = { ...ANY, mx: ["*.google.com"], stages: ["dot"] };
    expect(exampleReply("421 4.7.28 Our system\nhas", match)).toEqual({
      stage: "dot",
      code: 421,
      enhanced: "4.7.28",
      text: "Our system\nhas",
      mx: "mx1.google.com",
    });
    expect(exampleReply("554 No SMTP service", ANY)).toMatchObject({
      code: 554,
      enhanced: "",
      text: "No SMTP service",
    });
    expect(exampleReply("connection refused", ANY)).toMatchObject({
      code: 0,
      enhanced: "",
      text: "connection refused",
    });
  });

  test("an example that its rule does not take, or that an earlier one takes, is a problem with its place", () => {
    const good = rule("good", { codes: ["421"] }, { examples: ["421 hello"] });
    expect(checkReplyRules([good])).toEqual([]);
    const wrong = rule("wrong", { codes: ["421"] }, { examples: ["451 hello"] });
    expect(checkReplyRules([wrong])).toEqual(["test:wrong: rule wrong: its example matches no rule: 451 hello"]);
    const late = rule("late", { codes: ["42?"] }, { examples: ["421 hello"] });
    expect(checkReplyRules([good, late])).toEqual([
      "test:late: rule late: its example is taken by rule good (test:good): 421 hello",
    ]);
    expect(checkReplyRules([good, late], new Set(["good"])), "an operator's rule may take it").toEqual([]);
    expect(checkReplyRules([rule("none", { codes: ["421"] })])).toEqual([
      "test:none: rule none: has no example of a reply it is for",
    ]);
  });
});

describe("rules that are dangerous are refused", () => {
  const problems = (match: Partial<ReplyMatch>, parts: Partial<ReplyRule> = {}): string =>
    checkReplyRules([rule("r", match, { examples: ["451 4.7.1 abcdefgh"], ...parts })]).join("; ");

  test.each<[string, Partial<ReplyMatch>, Partial<ReplyRule>]>([
    ["matches every reply", { mx: ["*"] }, {}],
    ["is in nearly every reply", { texts: ["a"] }, {}],
    ["is in nearly every reply", { texts: ["*a*b*"] }, {}],
    ["one site could stop a public id everywhere", { codes: ["451"] }, { scope: "ip" }],
    ["scope must be pair", { codes: ["451"] }, { scope: "site", remedy: { ...STOP!, action: "limits" } }],
    ["scope must be pair", { codes: ["451"] }, { scope: "site", remedy: { ...STOP!, action: "other-ip" } }],
    ["names no limit", { codes: ["451"] }, { remedy: { ...STOP!, action: "limits" } }],
    ["most is shorter than duration", { codes: ["451"] }, { remedy: { ...STOP!, mostMs: 1000 } }],
    [
      "longer than 6h",
      { codes: ["451"] },
      { threshold: { count: 1, share: 0, attempts: 0, sites: 1, windowMs: 21_600_001 } },
    ],
    [
      "at most 1h",
      { codes: ["451"] },
      { threshold: { count: 1, share: 0.5, attempts: 1, sites: 1, windowMs: 3_600_001 } },
    ],
  ])("%s", (expected, match, parts) => {
    expect(problems(match, parts)).toContain(expected);
  });

  test("two rules of one name", () => {
    const one = rule("r", { codes: ["421"] }, { examples: ["421 x"] });
    expect(checkReplyRules([one, { ...one }])[0]).toContain("there is another rule of this name");
  });
});
