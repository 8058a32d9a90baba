/** Delivery status as it is written, right and wrong. */
import { describe, expect, test } from "vitest";
import { type RecipientStatus, readStatus } from "../../../src/inmail/understand/status.ts";

const MESSAGE = "Reporting-MTA: dns; mail.example.org\nArrival-Date: Tue, 02 Jun 2026 09:59:58 +0000\n";
const read = (...blocks: string[]): readonly RecipientStatus[] =>
  readStatus([MESSAGE, ...blocks].join("\n")).recipients;

const FAILED = "Action: failed\nStatus: 5.1.1\n";

test("a recipient as RFC 3464 has it", () => {
  const [found, ...others] = read(
    "Original-Recipient: rfc822;ann@example.net\nFinal-Recipient: rfc822;ann@elsewhere.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx1.example.net (192.0.2.25)\nDiagnostic-Code: smtp; 550 5.1.1\n  User\n\tunknown\n",
  );
  expect(others).toEqual([]);
  expect(found).toEqual({
    recipient: "ann@example.net",
    finalRecipient: "ann@elsewhere.example",
    action: "failed",
    status: "5.1.1",
    diagnostic: "550 5.1.1 User unknown",
    remoteMta: "mx1.example.net",
  });
});

describe("addresses", () => {
  test.each([
    ["rfc822; ann@example.net", "ann@example.net"],
    ["RFC822;<ann@example.net>", "ann@example.net"],
    ["ann@example.net", "ann@example.net"],
    ["<ann@example.net> (Ann)", "ann@example.net"],
    ['rfc822; "ann smith"@example.net', '"ann smith"@example.net'],
    ["rfc822;ann+2Bnews@example.net", "ann+news@example.net"],
    ["utf-8; 用户@例子.example", "用户@例子.example"],
    ["utf-8; \\x{7528}\\x{6237}@example.net", "用户@example.net"],
    ["LOCAL; ann", "ann"],
    ["rfc822;", ""],
  ])("%s", (value, recipient) => {
    expect(read(`Final-Recipient: ${value}\n${FAILED}`)[0]?.recipient).toBe(recipient);
  });
});

describe("what many get wrong", () => {
  test.each<[string, string[], string[]]>([
    [
      "no empty line between recipients",
      ["Final-Recipient: rfc822; a@example.net\n" + FAILED + "Final-Recipient: rfc822; b@example.net\n" + FAILED],
      ["a@example.net", "b@example.net"],
    ],
    ["an empty line inside of a block", ["Final-Recipient: rfc822; a@example.net\n", FAILED], ["a@example.net"]],
    [
      "the address last",
      [`${FAILED}Final-Recipient: rfc822; a@example.net\n`, `${FAILED}Final-Recipient: rfc822; b@example.net\n`],
      ["a@example.net", "b@example.net"],
    ],
    ["nothing about the message", [`\n\nFinal-Recipient: rfc822; a@example.net\n${FAILED}`], ["a@example.net"]],
    ["no address", [FAILED], [""]],
    ["nothing about anybody", [""], []],
  ])("%s", (_, blocks, recipients) => {
    const found = read(...blocks);
    expect(found.map(({ recipient }) => recipient)).toEqual(recipients);
    for (const { action, status } of found) expect({ action, status }).toEqual({ action: "failed", status: "5.1.1" });
  });

  test.each([
    ["Action: Failed (fatal)\nStatus: 5.0.0", "failed"],
    ["Action: DELAYED", "delayed"],
    ["Action: delay", "delayed"],
    ["Action: deliverable\nStatus: 2.1.5", "delivered"],
    ["Status: 2.0.0", "delivered"],
    ["Status: 4.4.1", "failed"],
    ["Action: relayed", "relayed"],
  ])("%j", (fields, action) => {
    expect(read(`Final-Recipient: rfc822; a@example.net\n${fields}\n`)[0]?.action).toBe(action);
  });

  test.each([
    ["Status: 5.1.1 (bad destination mailbox address)", "5.1.1", "bad destination mailbox address"],
    ["Status: 5. 1. 1", "5.1.1", ""],
    ["Status: 511", "", ""],
    ['Diagnostic-Code: X-Postfix; unknown user: "ann"', "", 'unknown user: "ann"'],
    ["Diagnostic-Code: 550 no", "", "550 no"],
  ])("%j", (field, status, diagnostic) => {
    expect(read(`Final-Recipient: rfc822; a@example.net\n${field}\n`)[0]).toMatchObject({ status, diagnostic });
  });
});
