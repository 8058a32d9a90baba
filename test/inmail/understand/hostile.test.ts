/** Mails made to break whoever reads them: each is understood as something, within bounds, and the next one is too. */
import { describe, expect, test } from "vitest";
import type { Understood } from "../../../src/inmail/understand/contract.ts";
import { RECIPIENTS_MOST } from "../../../src/inmail/understand/status.ts";
import { understand } from "../../../src/inmail/understand/understand.ts";
import { shippedBounces } from "../../support/bounce-rules.ts";

const HEAD =
  "Return-Path: <>\nFrom: MAILER-DAEMON@example.org\nTo: <b@example.com>\nSubject: Undelivered Mail\nMIME-Version: 1.0\n";
const REPORT = `${HEAD}Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nUser unknown\n`;
const STATUS = "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; example.org\n\n";

function read(...parts: readonly (string | Uint8Array)[]): Understood {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
  return understand(bytes, shippedBounces());
}

describe("size", () => {
  test("50 MB of attachment behind a report: the report is read, the rest is not", () => {
    const report = `${REPORT}${STATUS}Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\n\n--b\nContent-Type: application/zip\n\n`;
    const { kind, results, cut } = read(report, Buffer.alloc(50 * 1024 * 1024, "A"));
    expect({ kind, cut }).toEqual({ kind: "report", cut: true });
    expect(results[0]?.recipient).toBe("ann@example.net");
  });

  test("one line of 50 MB; nothing but line ends; nothing but blanks; nothing at all", () => {
    for (const text of ["x", "\n", "\r", " ", "\0", ":", "=", "<", "@"])
      expect(read(HEAD, "\n", Buffer.alloc(2 * 1024 * 1024, text)).results.length, JSON.stringify(text)).toBeLessThan(
        2,
      );
    expect(read("").kind).toBe("other");
  });
});

describe("structure", () => {
  test("10,000 parts inside each other, and 10,000 messages inside each other", () => {
    let parts = HEAD;
    for (let i = 0; i < 10_000; i++) parts += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`;
    expect(read(parts).cut).toBe(true);
    expect(read(HEAD, "Content-Type: message/rfc822\n\n".repeat(10_000)).cut).toBe(true);
  });

  test("10,000 parts beside each other", () => {
    const { cut, kind } = read(REPORT, `${STATUS}`, "--b\nContent-Type: text/plain\n\nx\n".repeat(10_000), "--b--\n");
    expect({ cut, kind }).toEqual({ cut: true, kind: "bounce" });
  });

  test.each([
    [
      "a boundary that never comes",
      `${HEAD}Content-Type: multipart/mixed; boundary=never\n\n<ann@example.net>: User unknown\n`,
    ],
    ["no boundary at all", `${HEAD}Content-Type: multipart/mixed\n\n<ann@example.net>: User unknown\n`],
    ["an empty one", `${HEAD}Content-Type: multipart/mixed; boundary=""\n\n<ann@example.net>: User unknown\n`],
    ["a type that is none", `${HEAD}Content-Type: ????\n\n<ann@example.net>: User unknown\n`],
    ["bare CR for line ends", `${HEAD}\n<ann@example.net>: User unknown\n`.replaceAll("\n", "\r")],
    [
      "a mailbox's first line",
      `From MAILER-DAEMON Tue Jun  2 10:00:00 2026\n${HEAD}\n<ann@example.net>: User unknown\n`,
    ],
    ["no end", REPORT.replace("User unknown", "<ann@example.net>: User unknown").trimEnd()],
  ])("%s", (_, text) => {
    expect(read(text).results[0]).toMatchObject({ recipient: "ann@example.net", verdict: { reason: "user-unknown" } });
  });

  test("a boundary that another begins with", () => {
    const text = `${HEAD}Content-Type: multipart/mixed; boundary=b\n\n--bb\n\nno part\n--b\n\n<ann@example.net>: User unknown\n--b--\n`;
    expect(read(text).results).toHaveLength(1);
  });
});

describe("headers", () => {
  test("100,000 of them, one of a megabyte, one folded 100,000 times", () => {
    const body = "\n<ann@example.net>: User unknown\n";
    expect(read(HEAD, "X-Bomb: x\n".repeat(100_000), body).kind).toBe("bounce");
    expect(read(HEAD, `X-Bomb: ${"x".repeat(1_000_000)}\n`, body).kind).toBe("bounce");
    expect(read(HEAD, `X-Bomb: a\n${" b\n".repeat(100_000)}`, body).kind).toBe("bounce");
  });

  test("encoded words without end, of no character set, of one nobody knows", () => {
    for (const word of ["=?utf-8?B?", "=?x-none?Q?=41?= ", "=?utf-8?Q?".padEnd(2000, "="), "=?=?=?=?"])
      expect(read(`Subject: ${word.repeat(500)}\nFrom: ${word.repeat(500)} <a@example.com>\n\nhello`).results).toEqual(
        [],
      );
  });

  test("10,000 addresses in each", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `a${i}@example.net`).join(", ");
    const { results } = read(`${HEAD}X-Failed-Recipients: ${many}\n\nUser unknown\n`);
    expect(results.length).toBeLessThanOrEqual(100);
    expect(read(`From: ${many}\nTo: ${many}\nSubject: hello\n\nhello`).kind).toBe("person");
  });
});

describe("what it says", () => {
  test("100,000 recipients in a report: the first thousand, and said so", () => {
    const status = Array.from(
      { length: 100_000 },
      (_, i) => `Final-Recipient: rfc822; a${i}@example.net\nAction: failed\nStatus: 5.1.1\n\n`,
    ).join("");
    const { results, cut } = read(REPORT, STATUS, status, "--b--\n");
    expect(results).toHaveLength(RECIPIENTS_MOST);
    expect(cut).toBe(true);
  });

  test("100,000 recipients in a text", () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `<a${i}@example.net>: User unknown\n`).join("");
    expect(read(HEAD, "\n", text).results.length).toBeLessThanOrEqual(200);
  });

  test.each([
    ["text made for rules that look back", "mailbox * is full ".repeat(50_000)],
    ["the beginnings of all rules", "user recipient mailbox account address ".repeat(30_000)],
    ["addresses that nearly are", "a@".repeat(300_000)],
    ["marks of addresses", "<".repeat(300_000)],
    ["a tag that never ends", `<html>${"<div ".repeat(200_000)}`],
    ["entities", "&amp;&#38;&#x26;".repeat(50_000)],
    ["headers over headers", "From: a\nTo: b\nSubject: c\n".repeat(30_000)],
    ["indented headers", "  Received: x\n".repeat(50_000)],
    ["reply codes", "550 ".repeat(200_000)],
    ["reasons", "reason: reason: ".repeat(50_000)],
    ["empty lines", "\n \n\t\n".repeat(100_000)],
    ["braces", `{"notificationType":${"{".repeat(200_000)}`],
    ["equals signs", "=\n".repeat(200_000)],
  ])("%s", (_, text) => {
    for (const type of ["text/plain", "text/html", "message/delivery-status", "message/feedback-report"]) {
      const { results } = read(HEAD, `Content-Type: ${type}\nContent-Transfer-Encoding: quoted-printable\n\n`, text);
      expect(results.length).toBeLessThanOrEqual(RECIPIENTS_MOST);
      for (const result of results) expect(result.text.length).toBeLessThanOrEqual(500);
    }
  });

  test("what is told of it moves no cursor and starts no line", () => {
    const { results, subject } = read(
      `Subject: a\u001b[2Jb\r\n${HEAD.replace(/Subject.*\n/, "")}\n<ann@example.net>: User\u001b[2J unknown\u0007\n`,
    );
    expect(`${subject}${results[0]?.text}`).not.toMatch(/[\u0000-\u001f]/);
  });
});
