/** Bounce rules: hostile statements, then what matches what, then what the check and the lint say. */
import { describe, expect, test } from "vitest";
import { checkBounceRules } from "../../src/model/bounce-rules-check.ts";
import { lintBounceRules } from "../../src/model/bounce-rules-lint.ts";
import { type BounceMatch, type BounceRule, compileBounceRules } from "../../src/model/bounce-rules.ts";
import { textPattern } from "../../src/model/bounce-text.ts";
import { type Statement, enhancedIn, readSaid } from "../../src/model/said.ts";

const ANY: BounceMatch = { codes: [], enhanced: [], texts: [], all: [], not: [], mx: [], stages: [], sources: [] };

function rule(id: string, match: Partial<BounceMatch>, parts: Partial<BounceRule> = {}): BounceRule {
  return {
    id,
    match: { ...ANY, ...match },
    verdict: { type: "soft", reason: "refused", scope: "recipient", advice: "" },
    examples: [],
    origin: `test:${id}`,
    note: "",
    ...parts,
  };
}

const HARD: BounceRule["verdict"] = { type: "hard", reason: "user-unknown", scope: "recipient", advice: "" };

const said = (parts: Partial<Statement>): Statement => ({
  source: "reply",
  stage: "rcpt",
  code: 550,
  enhanced: "5.1.1",
  text: "User unknown",
  mx: "mx1.example.com",
  ...parts,
});
const found = (rules: BounceRule[], parts: Partial<Statement>): string =>
  compileBounceRules(rules).find(said(parts))?.id ?? "";

describe("hostile statements", () => {
  const rules = [rule("unknown", { texts: ["user unknown"] })];

  test("control characters, turned text, other letters that look alike in width", () => {
    for (const text of ["USER\r\n\tUNKNOWN", "\u202euser unknown", "ｕｓｅｒ　ｕｎｋｎｏｗｎ", "us\u00ader unknown"])
      expect(found(rules, { text }), JSON.stringify(text)).toBe("unknown");
    expect(found(rules, { text: "u.s.e.r unknown" })).toBe("");
  });

  test("a megabyte costs what 4,000 characters cost", () => {
    expect(found(rules, { text: `user unknown ${"x ".repeat(500_000)}` })).toBe("unknown");
    expect(found(rules, { text: `${"x ".repeat(500_000)} user unknown` }), "beyond what is looked at").toBe("");
  });

  test("words in an address say nothing", () => {
    expect(found([rule("full", { texts: ["mailbox full"] })], { text: "<mailbox-full@example.com>: no" })).toBe("");
  });

  test("codes and names that are none", () => {
    const none = [rule("none", { codes: ["000"] })];
    for (const code of [0, Number.NaN, -5, Infinity, 1.5]) expect(found(none, { code })).toBe("none");
    const google = [rule("google", { mx: ["*.google.com"] })];
    expect(found(google, { mx: `${"*.".repeat(50_000)}google.com` })).toBe("");
    expect(found(google, { mx: "ASPMX.L.GOOGLE.COM" })).toBe("google");
  });
});

describe("matching", () => {
  test("the first rule wins; none is soft, unreachable, and to be qualified", () => {
    const rules = [rule("one", { codes: ["55?"] }), rule("two", { codes: ["550"] }, { verdict: HARD })];
    expect(found(rules, {})).toBe("one");
    const table = compileBounceRules([...rules].reverse());
    expect(table.judge(said({}))).toEqual({ ...HARD, rule: "two", byText: false, version: table.version });
    expect(table.judge(said({ code: 421 }))).toMatchObject({ type: "soft", reason: "unreachable", rule: "" });
  });

  test("one of each list, every one of all, none of not", () => {
    const rules = [
      rule("r", {
        codes: ["550"],
        enhanced: ["5.1.*"],
        texts: ["user unknown", "no such user"],
        all: ["here"],
        not: ["spam"],
      }),
    ];
    expect(found(rules, { text: "no such user here" })).toBe("r");
    expect(found(rules, { text: "no such user" })).toBe("");
    expect(found(rules, { text: "no such user here: spam" })).toBe("");
    expect(found(rules, { text: "user unknown here", code: 551 })).toBe("");
    expect(found(rules, { text: "user unknown here", enhanced: "5.2.1" })).toBe("");
  });

  test("an enhanced code in the text counts when the reply has none of its own; one of another class does not", () => {
    const rules = [rule("full", { enhanced: ["5.2.2"] })];
    expect(found(rules, { enhanced: "", text: "sorry (#5.2.2)" })).toBe("full");
    expect(found(rules, { enhanced: "", text: "sorry (#4.2.2), then 5.2.2" })).toBe("full");
    expect(found(rules, { enhanced: "", text: "version 15.2.2 from 10.5.2.2" })).toBe("");
    expect(found(rules, { enhanced: "5.1.1", text: "sorry 5.2.2" })).toBe("");
  });

  test("a rule that names no source is for failures only", () => {
    expect(found([rule("r", { texts: ["user unknown"] })], { source: "bounce" })).toBe("r");
    expect(found([rule("r", { texts: ["user unknown"] })], { source: "auto-reply" })).toBe("");
    expect(found([rule("r", { sources: ["auto-reply"] })], { source: "auto-reply" })).toBe("r");
    expect(found([rule("r", { stages: ["dot"], codes: ["550"] })], {})).toBe("");
  });

  test("a pattern made of a text matches that text", () => {
    const text = "<ann@example.com>: user 4AB12C9D7E1F unknown at mx1.example.com [192.0.2.7]; 12:30:00";
    expect(found([rule("r", { texts: [textPattern(text)] })], { text })).toBe("r");
    expect(found([rule("r", { texts: [textPattern(text)] })], { text: text.replaceAll("mx1", "mx77") })).toBe("r");
  });
});

test("the version differs when something that decides does, and by nothing else", () => {
  const version = (one: BounceRule): string => compileBounceRules([one]).version;
  const base = rule("r", { codes: ["550"] });
  expect(version({ ...base, note: "x", examples: ["550 x"], origin: "elsewhere:1" })).toBe(version(base));
  expect(version({ ...base, verdict: HARD })).not.toBe(version(base));
  expect(version(rule("r", { codes: ["551"] }))).not.toBe(version(base));
  expect(version(base)).toMatch(/^[0-9a-f]{8}$/);
});

describe("the check", () => {
  const problems = (rules: BounceRule[], over: string[] = []): string =>
    checkBounceRules(compileBounceRules(rules), new Set(over))
      .map(({ rule, text }) => `${rule}: ${text}`)
      .join("\n");

  test("an example that its rule does not take, or that an earlier one takes", () => {
    const good = rule("good", { texts: ["user unknown"] }, { examples: ["550 5.1.1 User unknown"] });
    expect(problems([good])).toBe("");
    const late = rule("late", { codes: ["550"] }, { examples: ["550 user unknown"] });
    expect(problems([good, late])).toContain("late: its example is taken by rule good (test:good)");
    expect(problems([good, late], ["good"]), "an operator's rule may take it").toBe("");
    expect(problems([rule("wrong", { codes: ["551"] }, { examples: ["550 x"] })])).toContain("matches no rule");
    expect(problems([rule("none", { codes: ["551"] })])).toBe("none: has no example of what it is for");
    expect(problems([good, good])).toContain("there is another rule of this name");
  });

  test.each<[string, Partial<BounceMatch>, Partial<BounceRule>]>([
    ["matches every failure", { mx: ["*"] }, {}],
    ["matches every failure", { stages: ["rcpt"] }, {}],
    ["too short to mean anything", { texts: ["no"] }, {}],
    ["too short to mean anything", { texts: ["the"] }, {}],
    ["too short to mean anything", { texts: ["(user|a) unknown", "(abc|d)"] }, {}],
    ["in mails about every failure", { texts: ["delivered"] }, {}],
    ["in mails about every failure", { texts: ["recipients"] }, {}],
    ["in mails about every failure", { texts: ["message*delivered"] }, {}],
    ["for a code alone", { codes: ["550"] }, { verdict: HARD }],
    ["for a code alone", { enhanced: ["5.1.*"] }, { verdict: HARD }],
  ])("%s: %o", (expected, match, parts) => {
    expect(problems([rule("r", match, { examples: ["550 5.1.1 x"], ...parts })])).toContain(expected);
  });

  test("what is general and does no harm", () => {
    for (const match of [{ texts: [" spf "] }, { enhanced: ["5.1.1"] }, { texts: ["宛先"] }])
      expect(problems([rule("r", match, { verdict: HARD, examples: ["550 5.1.1 spf 宛先"] })])).toBe("");
    expect(problems([rule("r", { sources: ["complaint"] }, { verdict: HARD, examples: ["a complaint"] })])).toBe("");
  });
});

describe("the lint", () => {
  const told = (rules: BounceRule[], over: string[] = []): string[] =>
    lintBounceRules(rules, new Set(over)).map(({ severity, rule, text }) => `${severity} ${rule}: ${text}`);

  test("a rule that can never match", () => {
    const wide = rule("wide", { texts: ["unknown"] });
    expect(told([wide, rule("r", { texts: ["user unknown", "unknown user"] })])).toEqual([
      "error r: can never match: rule wide (test:wide) takes all of it",
    ]);
    expect(told([rule("codes", { codes: ["5??"] }), rule("r", { codes: ["550"], texts: ["abc"] })])[0]).toContain(
      "never",
    );
    expect(told([rule("r1", { all: ["one"] }), rule("r2", { all: ["one more", "two"] })])[0]).toContain("never");
  });

  test("one that is narrower, or may not match after all, takes nothing", () => {
    const r = rule("r", { texts: ["user unknown"] });
    for (const match of [
      { texts: ["unknown"], codes: ["550"] },
      { texts: ["unknown"], not: ["spam"] },
      { texts: ["unknown"], all: ["here"] },
      { texts: ["unknown"], stages: ["rcpt" as const] },
      { texts: ["unknown"], mx: ["*.example.com"] },
      { texts: ["unknown"], sources: ["reply" as const] },
      { texts: ["unknown user"] },
      { texts: ["user*unknown user"] },
    ])
      expect(told([rule("earlier", match), r]), JSON.stringify(match)).toEqual([]);
    expect(told([rule("mine", { texts: ["unknown"] }), r], ["mine"]), "an operator means it").toEqual([]);
  });

  test("texts of no use", () => {
    expect(told([rule("wide", { texts: ["unknown"] }), rule("r", { texts: ["user unknown", "no user"] })])).toEqual([
      'warning r: text "user unknown" is taken by rule wide (test:wide)',
    ]);
    expect(told([rule("r", { texts: ["no such user", "such user"] })])).toEqual([
      'warning r: text "no such user" adds nothing to "such user"',
    ]);
    expect(told([rule("r", { texts: ["(a|no) such user", "such user"] })])[0]).toContain("adds nothing");
    expect(told([rule("r", { texts: ["(no|any) user", "no user"] })])).toEqual([
      'warning r: text "no user" adds nothing to "(no|any) user"',
    ]);
  });
});

describe("a line is read as a reply", () => {
  test.each([
    ["550 5.1.1 User unknown", 550, "5.1.1", "User unknown"],
    ["550-5.1.1 User unknown", 550, "5.1.1", "User unknown"],
    ["550 #5.1.0 Address rejected", 550, "5.1.0", "Address rejected"],
    ["421", 421, "", ""],
    ["550 5.1.1", 550, "5.1.1", ""],
    ["4.4.7 Delivery time expired", 0, "4.4.7", "Delivery time expired"],
    ["no reply at all", 0, "", "no reply at all"],
    ["5501 is no code", 0, "", "5501 is no code"],
  ])("%s", (line, code, enhanced, text) => {
    expect(readSaid(line)).toEqual({ code, enhanced, text });
  });

  test("an enhanced code in a text", () => {
    expect(enhancedIn("sorry (#5.1.1)", 550)).toBe("5.1.1");
    expect(enhancedIn("5.1.1: sorry", 0)).toBe("5.1.1");
    expect(enhancedIn("10.5.1.1 is an address, 5.1.1.7 too, 15.1.1 a version", 0)).toBe("");
    expect(enhancedIn("4.7.1 later", 550)).toBe("");
  });
});
