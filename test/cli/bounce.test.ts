/** `postilion bounce …` as a person calls it: without a database, with mistakes, in a pipe that ends early. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const main = join(import.meta.dirname, "../../src/main.ts");
const folder = mkdtempSync(join(tmpdir(), "postilion-bounce-"));
afterAll(() => rmSync(folder, { recursive: true }));

function call(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const done = spawnSync(process.execPath, [main, "bounce", ...args], { cwd: folder, encoding: "utf8" });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("bounce replies", () => {
  const replies = file(
    "replies.jsonl",
    [
      '{"id":"a","reply":"550 5.1.1 No such user"}',
      "nonsense",
      '{"id":7,"reply":"452 4.2.2 Mailbox full"}',
      '{"id":"b"}',
      "",
    ].join("\n"),
  );

  test("a line each; what is no line is told with its number and is no reason to stop", () => {
    const { code, out, err } = call("replies", "--json", replies);
    const lines = out
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(lines).toMatchObject([
      { id: "a", type: "hard", category: "user_unknown", status: "5.1.1", replyCode: "550", rule: "user-unknown" },
      { id: 7, type: "soft", category: "mailbox_full", status: "4.2.2", replyCode: "452", rule: "mailbox-full" },
    ]);
    expect(err).toContain("replies.jsonl:2: ");
    expect(err).toContain("replies.jsonl:4: ");
    expect(code).toBe(1);
  });

  test("for people a table; a file that is not there is a mistake of the command", () => {
    expect(call("replies", replies).out).toContain("user_unknown  user-unknown  550 5.1.1 No such user");
    expect(call("replies", "nowhere.jsonl")).toMatchObject({ code: 2, err: expect.stringContaining("nowhere.jsonl") });
  });

  test("somebody who reads one line of many is no failure", () => {
    const many = file("many.jsonl", '{"id":1,"reply":"550 5.1.1 No such user"}\n'.repeat(20_000));
    const done = spawnSync(
      "sh",
      ["-c", `"${process.execPath}" "${main}" bounce replies --json "${many}" | head -n 1`],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );
    expect(done.stdout).toContain("user_unknown");
    expect(done.stderr).toBe("");
  });
});

describe("bounce classify", () => {
  const mails = join(import.meta.dirname, "../inmail/fixtures");

  test("a line a mail, in the order of the files, named relative to the folder", () => {
    const { code, out } = call("classify", "--json", mails);
    expect(code).toBe(0);
    const lines = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { file: string; kind: string; results: unknown[] });
    expect(lines.map(({ file }) => file)).toEqual(lines.map(({ file }) => file).toSorted());
    expect(lines.find(({ file }) => file === "qmail.eml")).toMatchObject({
      kind: "bounce",
      results: [
        {
          recipient: "ann@example.net",
          type: "hard",
          category: "user_unknown",
          reason: "user-unknown",
          action: "failed",
        },
        { recipient: "bob@example.org", type: "soft", category: "invalid_domain", status: "5.1.2" },
        { recipient: "cas@example.com", type: "soft", category: "unreachable", status: "4.4.2" },
      ],
    });
    expect(lines.find(({ file }) => file === "person.eml")).toEqual({
      file: "person.eml",
      kind: "person",
      results: [],
    });
    expect(lines.find(({ file }) => file === "complaint-redacted.eml")?.results).toMatchObject([{ recipient: null }]);
  });

  test("single files, as a table for people; one that is not there is a mistake of the command", () => {
    expect(call("classify", join(mails, "exim.eml")).out).toMatch(/exim.eml +bounce +ann@example.net +soft +refused/);
    expect(call("classify", "nowhere")).toMatchObject({ code: 2, err: expect.stringContaining("nowhere") });
  });
});

describe("bounce rules check", () => {
  test("those that come along are right; a file is checked as the operator's", () => {
    expect(call("rules", "check")).toMatchObject({ code: 0, out: expect.stringContaining("nothing is wrong") });
    const own = file(
      "own.yaml",
      "rules:\n  - id: mine\n    texts: [user unknown]\n    type: hard\n    reason: refused\n",
    );
    const { code, out } = call("rules", "check", "--json", own);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [{ severity: "error", rule: "mine", text: "has no example of what it is for" }],
    });
  });
});
