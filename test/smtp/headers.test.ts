import { parseMail } from "../support/mail.ts";
import { describe, expect, test } from "vitest";
import { dateHeader, headerNameRefusal, mailbox, unstructured } from "../../src/smtp/headers.ts";

/** What holds for every value: foldings are CRLF and a space before text, nothing but printable ASCII, no line too long. */
function expectSound(name: string, value: string): void {
  const header = `${name}: ${value}`;
  expect(header).toMatch(/^(?:[\x20-\x7e]|\r\n(?= [\x21-\x7e]))*$/);
  for (const line of header.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
}

async function subjectOf(value: string): Promise<string> {
  const { subject } = await parseMail(`Subject: ${value}\r\n\r\n`);
  return subject ?? "";
}

describe("unstructured", () => {
  test.each([
    ["plain subject", "plain subject"],
    ["", ""],
    ["  a   b  ", "a b"],
    ["Grüße", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?="],
    ["Hello Grüße to you", "Hello =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= to you"],
    ["=?UTF-8?Q?x?=", "=?UTF-8?Q?=3D=3FUTF-8=3FQ=3Fx=3F=3D?="],
    ["日本語のニュース", "=?UTF-8?B?5pel5pys6Kqe44Gu44OL44Ol44O844K5?="],
    ["a\x1bb", "=?UTF-8?Q?a=1Bb?="],
    ["a\tb", "a b"],
  ])("%j is written %j", (text, expected) => {
    expect(unstructured("Subject", text)).toBe(expected);
  });

  test.each([
    "x".repeat(77),
    "x".repeat(998),
    "x".repeat(5000),
    `a ${"x".repeat(950)} b`,
    "word ".repeat(400),
    "wörd ".repeat(200),
    "日本語".repeat(200),
    "😀".repeat(300),
    `${"plain words ".repeat(10)}é ${"plain words ".repeat(10)}`,
    `é ${"plain words ".repeat(10)}é`,
    "a =?UTF-8?Q?b?= c",
    "=?".repeat(300),
    " ".repeat(3000) + "x" + " ".repeat(3000) + "y",
    "é".repeat(36) + " a",
    "\u0000\u0001\u007f\u0085\u2028",
  ])("%.30j… comes back as it was", async (text) => {
    const value = unstructured("Subject", text);
    expectSound("Subject", value);
    for (const word of value.match(/=\?[^?]*\?[QB]\?[^?]*\?=/g) ?? []) expect(word.length).toBeLessThanOrEqual(75);
    expect(await subjectOf(value)).toBe(text.replace(/[\0 ]+/g, " ").replace(/^ | $/g, ""));
  });

  test.each([
    "a\r\nBcc: x@y.z",
    "a\nb",
    "a\r\r\nb",
    "a\r\n\r\nbody",
    "\r\n",
    "a\0b",
    "é\r\nBcc: x",
    "\ud800x\udc00",
    "a\r\n b",
  ])("%j cannot begin another header", (text) => {
    const value = unstructured("X-Own", text);
    expectSound("X-Own", value);
    expect(value.split("\r\n").some((line) => /^(?:Bcc|body|b)/.test(line))).toBe(false);
  });

  test("lines are folded at 78 where there is a space to fold at", () => {
    const value = unstructured("Subject", "seven7 ".repeat(60).trim());
    for (const line of `Subject: ${value}`.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
    expect(value.split("\r\n").length).toBeLessThan(8);
  });
});

describe("mailbox", () => {
  test.each([
    ["", "a@b.example", "a@b.example"],
    ["Anna Lind", "a@b.example", "Anna Lind <a@b.example>"],
    ["Lind, Anna", "a@b.example", '"Lind, Anna" <a@b.example>'],
    ['Anna "the" \\ Lind', "a@b.example", '"Anna \\"the\\" \\\\ Lind" <a@b.example>'],
    ["x@y.example", "a@b.example", '"x@y.example" <a@b.example>'],
    ["Jürgen", "a@b.example", "=?UTF-8?Q?J=C3=BCrgen?= <a@b.example>"],
    [
      "Jürgen, (CEO) <x@evil.example>",
      "a@b.example",
      "=?UTF-8?Q?J=C3=BCrgen=2C_=28CEO=29_=3Cx=40evil=2Eexample=3E?=\r\n <a@b.example>",
    ],
  ])("%j %s", (name, address, expected) => {
    expect(mailbox("From", name, address)).toBe(expected);
  });

  test.each([
    "a\r\nBcc: x@y.z",
    'x" <evil@evil.example>, "y',
    "x <evil@evil.example>,",
    "é <evil@evil.example>,",
    "a; b: c,",
    "\\",
    '"',
    "=?UTF-8?Q?=2C?=",
    "x".repeat(3000),
    "é ".repeat(1000),
    "(comment",
    "\ud800",
    "@",
  ])("the name %.40j stays one name", async (name) => {
    const value = mailbox("To", name, "anna@example.com");
    expectSound("To", value);
    const { to, headers } = await parseMail(`To: ${value}\r\n\r\n`);
    expect(headers.has("bcc")).toBe(false);
    const list = Array.isArray(to) ? to.flatMap((t) => t.value) : (to?.value ?? []);
    expect(list).toHaveLength(1);
    expect(list[0]?.address).toBe("anna@example.com");
    expect(list[0]?.name).toBe(
      name
        .toWellFormed()
        .replace(/[\r\n ]+/g, " ")
        .replace(/^ | $/g, ""),
    );
  });
});

test.each([
  ["X-Own", ""],
  ["List-Id", ""],
  ["", "is not a valid"],
  [".X", "is not a valid"],
  ["X:Y", "is not a valid"],
  ["X Y", "is not a valid"],
  ["X\r\nY", "is not a valid"],
  ["Xé", "is not a valid"],
  ["-X", "is not a valid"],
  ["X".repeat(77), "longer than"],
  ["FROM", "is set by"],
  ["dkim-signature", "is set by"],
  ["Resent-To", "is set by"],
  ["Received", "is set by"],
])("header name %j: %s", (name, refused) => {
  if (refused === "") expect(headerNameRefusal(name)).toBe("");
  else expect(headerNameRefusal(name)).toContain(refused);
});

test("the date of RFC 5322", () => {
  expect(dateHeader(Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toBe("Fri, 02 Jan 2026 03:04:05 +0000");
  expect(dateHeader(0)).toBe("Thu, 01 Jan 1970 00:00:00 +0000");
});
