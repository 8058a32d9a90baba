/**
 * Mails that come back, one pair of files each in test/inmail/fixtures: `x.eml` as it arrives, `x.json` what it must be understood as. Written for this
 * project after how the programs are known to write; what is not named in the JSON is not asked.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Understood } from "../../../src/inmail/understand/contract.ts";
import { understand } from "../../../src/inmail/understand/understand.ts";
import { signToken } from "../../../src/model/token.ts";
import { categoryOf } from "../../../src/model/verdict.ts";
import { shippedBounces } from "../../support/bounce-rules.ts";

const folder = join(import.meta.dirname, "../fixtures");
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".eml"))
  .map((name) => name.slice(0, -4));

function fixture(name: string): Understood {
  return understand(readFileSync(join(folder, `${name}.eml`)), shippedBounces());
}

interface Expected {
  readonly kind: string;
  readonly feedbackType?: string;
  readonly results: readonly Readonly<Record<string, string>>[];
}

test.each(names)("%s", (name) => {
  const expected = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Expected;
  const { kind, results, feedbackType } = fixture(name);
  const found = {
    kind,
    feedbackType,
    results: results.map(({ recipient, verdict, status }) => ({
      recipient,
      type: verdict.type,
      category: categoryOf(verdict.reason),
      status,
    })),
  };
  expect(found.results).toHaveLength(expected.results.length);
  expect(found).toMatchObject(expected);
});

describe("what else is told", () => {
  test("server, codes, words, rule and its version", () => {
    const [result] = fixture("postfix-unknown").results;
    expect(result).toMatchObject({
      action: "failed",
      status: "5.1.1",
      replyCode: "550",
      mx: "mx1.example.net",
      verdict: { rule: "user-unknown", byText: true, version: shippedBounces().version },
    });
    expect(result?.text).toContain("User unknown in virtual mailbox table");
  });

  test("a recipient who forwards: the address we sent to, and where it ended", () => {
    expect(fixture("report-forwarded-recipient").results[0]).toMatchObject({
      recipient: "ann+news@example.net",
      finalRecipient: "ann@elsewhere.example",
    });
  });

  test("the message it is about", () => {
    expect(fixture("postfix-unknown").about).toEqual({
      messageId: "token@example.com",
      subject: "Our news in June",
      from: "News <news@example.com>",
      to: "ann@example.net",
      date: "Tue, 02 Jun 2026 09:59:57 +0000",
    });
    expect(fixture("away-rfc3834").about.messageId).toBe("token@example.com");
  });
});

describe("tokens", () => {
  const token = signToken({ id: 1, secret: new Uint8Array(32).fill(7) }, 42);
  const other = signToken({ id: 1, secret: new Uint8Array(32).fill(7) }, 43);
  const mail = (text: string): Understood["tokens"] =>
    understand(Buffer.from(text.replaceAll("\n", "\r\n")), shippedBounces(), `b+${token}@bounces.example.com`).tokens;

  test("the envelope comes first, then headers, what is returned, the text, the subject; each once, in small letters", () => {
    const text = readFileSync(join(folder, "postfix-unknown.eml"), "utf8").replaceAll(
      "b+token@",
      `B+${token.toUpperCase()}@`,
    );
    expect(mail(text.replaceAll("<token@", `<${other}@`))).toEqual([
      { token, where: "envelope" },
      { token: other, where: "returned" },
    ]);
    expect(mail(`Subject: ${other}\nTo: <u+${token}@example.com>\n\nhello`)).toEqual([
      { token, where: "envelope" },
      { token: other, where: "subject" },
    ]);
  });

  test("behind a rewriting forwarder; not inside of a longer word", () => {
    const found = understand(
      Buffer.from(`To: SRS0=AbCd=XY=example.com=b+${other}@forwarder.example\n\n${token}a x${token}`),
      shippedBounces(),
    ).tokens;
    expect(found).toEqual([{ token: other, where: "header" }]);
  });

  test("a mail of nothing else gives twenty", () => {
    const many = Array.from({ length: 1000 }, (_, i) => signToken({ id: 1, secret: new Uint8Array(32) }, i)).join(" ");
    expect(mail(`Subject: x\n\n${many}`)).toHaveLength(20);
  });
});
