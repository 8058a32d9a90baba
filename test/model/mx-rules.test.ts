import { describe, expect, test } from "vitest";
import { BUILT_IN, LIMIT_NAMES, type MxRule, builtInRule, isCatchAll, matchRule } from "../../src/model/mx-rules.ts";

function rule(id: string, mx: readonly string[], publicIds: readonly [number, number] | null = null): MxRule {
  return { ...builtInRule(id), mx, publicIds };
}

const rules = [
  rule("google-new-ips", ["*.google.com", "*.googlemail.com"], [10, 12]),
  rule("google", ["*.google.com", "*.googlemail.com"]),
  rule("one-host", ["mx1.google.com"]),
  rule("orange", ["smtp-in.orange.fr"], [5, 5]),
  builtInRule("*"),
];
const idOf = (mx: string, publicId: number): string => matchRule(rules, mx, publicId).id;

describe("the first rule wins", () => {
  test.each([
    ["aspmx.l.google.com", 1, "google"],
    ["aspmx.l.google.com", 9, "google"],
    ["aspmx.l.google.com", 10, "google-new-ips"],
    ["aspmx.l.google.com", 12, "google-new-ips"],
    ["aspmx.l.google.com", 13, "google"],
    ["alt1.googlemail.com", 11, "google-new-ips"],
    ["ALT1.GoogleMail.com", 11, "google-new-ips"],
    ["mx1.google.com", 0, "google"],
    ["smtp-in.orange.fr", 5, "orange"],
    ["smtp-in.orange.fr", 6, "*"],
    ["mail.example", 0, "*"],
    ["", 0, "*"],
    ["__proto__", 0, "*"],
  ])("%s from %i: %s", (mx, publicId, id) => {
    expect(idOf(mx, publicId)).toBe(id);
    // What was remembered says the same.
    expect(idOf(mx, publicId)).toBe(id);
  });
});

test("another array is another set of rules", () => {
  expect(idOf("aspmx.l.google.com", 1)).toBe("google");
  const changed = rules.filter(({ id }) => id !== "google");
  expect(matchRule(changed, "aspmx.l.google.com", 1).id).toBe("*");
  expect(idOf("aspmx.l.google.com", 1)).toBe("google");
});

test("rules without a last one, or none at all: the built-in one", () => {
  expect(matchRule([], "mail.example", 3)).toMatchObject({
    id: "*",
    limits: { ...BUILT_IN, rule: "*", scope: "path" },
  });
  expect(matchRule([rule("orange", ["smtp-in.orange.fr"])], "mail.example", 3).origin).toBe("built in");
});

test("more exchangers than are remembered are all found right", () => {
  for (let i = 0; i < 45_000; i++) {
    const mx = i % 3 === 0 ? `mx${i}.google.com` : `mx${i}.example`;
    if (idOf(mx, 1) !== (i % 3 === 0 ? "google" : "*")) throw new Error(mx);
  }
  expect(idOf("mx3.google.com", 10)).toBe("google-new-ips");
});

test("the built-in rule says of each limit that it is built in, and names itself", () => {
  const built = builtInRule("last");
  expect(built.limits.rule).toBe("last");
  expect(Object.keys(built.origins).toSorted()).toEqual([...LIMIT_NAMES].toSorted());
  expect(new Set(Object.values(built.origins))).toEqual(new Set(["built in"]));
});

test("what is for everything", () => {
  expect(isCatchAll(rule("a", ["*"]))).toBe(true);
  expect(isCatchAll(rule("a", ["*.x", "**"]))).toBe(true);
  expect(isCatchAll(rule("a", ["*"], [1, 2]))).toBe(false);
  expect(isCatchAll(rule("a", ["*.*"]))).toBe(false);
});
