import { describe, expect, test } from "vitest";
import { parseStsPolicy, stsAllows, stsRecordId, type StsPolicy } from "../../src/smtp/mta-sts.ts";

describe("the TXT record", () => {
  test.each([
    [["v=STSv1; id=20160831085700Z;"], "20160831085700Z"],
    [["v=STSv1;id=1"], "1"],
    [["v=STSv1 ; id=a1 ; more=x.y"], "a1"],
    [["google-site-verification=abc", "v=STSv1; id=7", "v=spf1 -all"], "7"],
    [["v=STSv1; more=1; id=7; id=8"], "7"],
    // None, two, and what is not one.
    [[], ""],
    [["v=STSv1; id=1", "v=STSv1; id=1"], ""],
    [["v=STSv1; id=1", "v=STSv1; id=bad id"], ""],
    [["v=STSv1"], ""],
    [["v=STSv1;"], ""],
    [["v=STSv2; id=1"], ""],
    [["v=STSv10; id=1"], ""],
    [["id=1; v=STSv1"], ""],
    [[" v=STSv1; id=1"], ""],
    [["v=stsv1; id=1"], ""],
    [["v=STSv1; id="], ""],
    [["v=STSv1; id=a-b"], ""],
    [[`v=STSv1; id=${"a".repeat(33)}`], ""],
    [["v=STSv1;; id=1"], ""],
    [["v=STSv1; id=1 2"], ""],
    [["v=STSv1; nonsense; id=1"], ""],
    [["v=STSv1; id=1; -x=1"], ""],
  ])("%j: %j", (records, id) => {
    expect(stsRecordId(records)).toBe(id);
  });
});

const TEXT = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n";

describe("the policy", () => {
  test.each([
    ["as in the RFC", TEXT],
    ["with CRLF", TEXT.replaceAll("\n", "\r\n")],
    ["without the last end of line", TEXT.trimEnd()],
    [
      "in another order, spaced",
      "max_age : 604800 \nmx:\tMail.Example.com\nmx: *.EXAMPLE.net\nmode:enforce\nversion:STSv1",
    ],
    ["with fields of the future", `${TEXT}new_field: whatever ü\n`],
    ["twice the mode: the first", `${TEXT}mode: none\n`],
    ["the same mx twice", `${TEXT}mx: mail.example.com\n`],
  ])("%s", (_name, text) => {
    expect(parseStsPolicy(text)).toEqual({
      mode: "enforce",
      maxAgeMs: 604_800_000,
      mx: ["mail.example.com", "*.example.net"],
    });
  });

  test("mode none needs no mx; a year is the most", () => {
    expect(parseStsPolicy("version: STSv1\nmode: none\nmax_age: 0")).toEqual({ mode: "none", maxAgeMs: 0, mx: [] });
    const long = parseStsPolicy(TEXT.replace("604800", "9999999999")) as StsPolicy;
    expect(long.maxAgeMs).toBe(31_557_600_000);
  });

  test.each([
    ["empty", "", /not a field/],
    ["a page", "<html><body>404</body></html>", /not a field|version/],
    ["another version", TEXT.replace("STSv1", "STSv2"), /version/],
    ["no version", TEXT.replace("version: STSv1\n", ""), /version/],
    ["no mode", TEXT.replace("mode: enforce\n", ""), /mode/],
    ["an unknown mode", TEXT.replace("enforce", "report"), /mode/],
    ["no max_age", TEXT.replace("max_age: 604800\n", ""), /max_age/],
    ["a negative age", TEXT.replace("604800", "-1"), /max_age/],
    ["an age of 11 digits", TEXT.replace("604800", "10000000000"), /max_age/],
    ["no mx", TEXT.replaceAll(/mx: .*\n/g, ""), /no mx/],
    ["an address", TEXT.replace("mail.example.com", "192.0.2.1:25"), /not an exchanger/],
    ["only a star", TEXT.replace("mail.example.com", "*"), /not an exchanger/],
    ["a star for all", TEXT.replace("mail.example.com", "*."), /not an exchanger/],
    ["a star in a label", TEXT.replace("mail.example.com", "mx*.example.com"), /not an exchanger/],
    ["a star further in", TEXT.replace("mail.example.com", "mx.*.example.com"), /not an exchanger/],
    ["two stars", TEXT.replace("mail.example.com", "*.*.example.com"), /not an exchanger/],
    ["an empty mx", TEXT.replace("mail.example.com", ""), /not an exchanger/],
    ["two in one line", TEXT.replace("mail.example.com", "a.example, b.example"), /not an exchanger/],
    ["a dot at the end", TEXT.replace("mail.example.com", "mail.example.com."), /not an exchanger/],
    ["a name too long", TEXT.replace("mail.example.com", `${"a.".repeat(130)}a`), /not an exchanger/],
    ["an empty line within", TEXT.replace("\nmx", "\n\nmx"), /not a field/],
    ["control characters", TEXT.replace("enforce", "enforce\u0000"), /not a field/],
    ["a bare CR", TEXT.replace("enforce\n", "enforce\r"), /not a field/],
  ])("%s: none", (_name, text, why) => {
    expect(parseStsPolicy(text)).toMatch(why);
  });

  test("a megabyte of one line, of many lines, of blanks", () => {
    for (const text of [
      "x".repeat(1e6),
      "mx: a.example\n".repeat(70_000),
      " ".repeat(1e6),
      `mode:${"\t".repeat(1e6)}x`,
    ])
      expect(typeof parseStsPolicy(text)).toBe("string");
  });
});

describe("which exchangers it allows", () => {
  const policy: StsPolicy = { mode: "enforce", maxAgeMs: 1, mx: ["mail.example.com", "*.example.net"] };
  test.each([
    ["mail.example.com", true],
    ["MAIL.example.com.", true],
    ["mx.example.net", true],
    ["a.mx.example.net", false],
    ["example.net", false],
    [".example.net", false],
    ["x.mail.example.com", false],
    ["mail.example.com.evil.test", false],
    ["evilexample.net", false],
    ["", false],
  ])("%s: %s", (name, allowed) => {
    expect(stsAllows(policy, name)).toBe(allowed);
  });
});
