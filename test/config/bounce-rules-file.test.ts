/** Files of bounce rules: bad ones first, then layers, then the file that comes along, then files that change while a process runs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import {
  inspectBounceRules,
  loadBounceRules,
  openBounceRules,
  problemText,
  readBounceRules,
} from "../../src/config/bounce-rules-file.ts";
import type { BounceRule } from "../../src/model/bounce-rules.ts";
import { readSaid } from "../../src/model/said.ts";
import { categoryOf } from "../../src/model/verdict.ts";
import { shippedBounces } from "../support/bounce-rules.ts";
import { handClock } from "../support/clock.ts";

const PHRASES = readFileSync(join(import.meta.dirname, "bounce-phrases.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => [line.slice(0, line.indexOf("|")), line.slice(line.indexOf("|") + 1)] as const);

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "postilion-bounces-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const read = (...texts: string[]): ReturnType<typeof readBounceRules> =>
  readBounceRules(texts.map((text, i) => ({ name: `file${i}`, text })));
const problems = (...texts: string[]): string =>
  read(...texts)
    .problems.map(problemText)
    .join("\n");

function rules(...texts: string[]): readonly BounceRule[] {
  const { table } = read(...texts);
  if (table === null) throw new Error(problems(...texts));
  return table.rules;
}

const FULL = `rules:
  - id: full
    texts: [mailbox is full]
    type: soft
    reason: mailbox-full
    examples: ["552 5.2.2 Mailbox is full"]
`;

describe("what is wrong is said with its line, and nothing throws", () => {
  test.each([
    ["file0:1:", "rules: ["],
    ["file0:1: the file is 'rules:' and a list", "- a"],
    ["file0:1: rules is not a list", "rules: 7"],
    ["file0:2: id:", "rules:\n  - id: Not A Name"],
    ["file0:4: type: ", "rules:\n  - id: x\n    codes: 550\n    type: very"],
    ["file0:3: reason: ", "rules:\n  - id: x\n    reason: bad-luck"],
    ["file0:3: scope: ", "rules:\n  - id: x\n    scope: world"],
    ["file0:3: source: ", "rules:\n  - id: x\n    source: rumour"],
    ["Unrecognized key", "rules:\n  - id: x\n    regex: '.*'"],
    ["file0:2: rule x: has no type", "rules:\n  - id: x\n    codes: 550\n    reason: refused\n    examples: ['550 a']"],
    ["file0:2: rule x: has no reason", "rules:\n  - id: x\n    codes: 550\n    type: soft\n    examples: ['550 a']"],
    ["another rule of this name in the file", `${FULL}${FULL.slice(7)}`],
    [
      "its example matches no rule",
      "rules:\n  - id: x\n    texts: abcd\n    type: soft\n    reason: refused\n    examples: ['550 efgh']",
    ],
    [
      'file0:2: rule x: "(a|b)(a|b)',
      `rules:\n  - id: x\n    texts: "${"(a|b)".repeat(40)}"\n    type: soft\n    reason: refused\n    examples: ['550 a']`,
    ],
    ["Excessive alias count", `a: &a [x, x]\nb: &b [${"*a, ".repeat(60)}*a]\nc: [${"*b, ".repeat(60)}*b]\nrules: []`],
  ])("%s", (expected, text) => {
    expect(problems(text)).toContain(expected);
    expect(read(text).table).toBeNull();
  });

  test("more texts than anybody reads, and texts that stand for millions", () => {
    const many = (count: number, text: string): string =>
      FULL.replace("[mailbox is full]", JSON.stringify(Array.from({ length: count }, (_, i) => `${text} x${i}`)));
    expect(problems(many(2001, "abcd"))).toContain("texts: are more than 2000");
    expect(problems(many(1500, "(a|b)(c|d)(e|f)(g|h)(i|k)(l|m)(n|o)(p|q) words"))).toContain("more than 1000000");
  });
});

describe("layers", () => {
  test("a rule over another changes what it names; another match needs examples of its own", () => {
    const [rule] = rules(FULL, "rules:\n  - id: full\n    type: ignored\n    advice: Wait.\n");
    expect(rule?.verdict).toEqual({ type: "ignored", reason: "mailbox-full", scope: "recipient", advice: "Wait." });
    expect(rule?.match.texts).toEqual(["mailbox is full"]);
    expect(rule?.origin).toBe("file1:2 over file0:2");
    expect(problems(FULL, "rules:\n  - id: full\n    texts: [no more room]\n")).toContain("has no example");
  });

  test("off takes a rule away; a new rule stands before all others and may take their examples", () => {
    expect(rules(FULL, "rules:\n  - id: full\n    off: true\n")).toEqual([]);
    const own =
      "rules:\n  - id: mine\n    texts: full\n    type: hard\n    reason: other\n    examples: ['550 full']\n";
    expect(rules(FULL, own).map(({ id }) => id)).toEqual(["mine", "full"]);
  });
});

describe("the rules that come along", () => {
  test("are proven, and none of their texts is of no use", () => {
    const { table, problems } = inspectBounceRules({ dataDir: dir, inmail: { rulesFile: "" } }, true);
    expect(problems.map(problemText)).toEqual([]);
    expect(table?.rules.length).toBeGreaterThan(30);
  });

  test.each([
    [
      "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in local recipient table",
      "user-unknown hard",
    ],
    ["550-5.1.1 The email account that you tried to reach does not exist.", "user-unknown hard"],
    ["550 5.4.1 Recipient address rejected: Access denied. [prod.protection.outlook.com]", "user-unknown hard"],
    ["550 5.7.1 Access denied, banned sending IP [192.0.2.1]", "refused soft"],
    ["550 Sender verify failed: no such user", "refused soft"],
    ["552 5.2.2 Your message could not be delivered: mailbox of a@example.com is over quota", "mailbox-full soft"],
    ["552 5.1.1 Mailbox full", "mailbox-full soft"],
    ["550 Your sending quota has been exceeded", "rate-limited soft"],
    ["452 4.2.2 mailbox is full, try again", "mailbox-full soft"],
    ["550 5.1.1 Message size exceeds fixed limit", "too-large soft"],
    ["550 5.2.1 The email account that you tried to reach is disabled.", "account-disabled hard"],
    ["550 account is temporarily locked", "account-disabled soft"],
    ["451 4.7.1 Greylisted, please try again in 300 seconds", "greylisted soft"],
    ["550 5.1.2 Host unknown", "invalid-domain soft"],
    ["450 4.1.8 Sender address rejected: Domain not found", "refused soft"],
    ["450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "refused soft"],
    ["550 5.7.26 This mail has been blocked because the sender is unauthenticated. SPF = did not pass", "refused soft"],
    ["554 5.7.1 <a@example.com>: Relay access denied", "refused soft"],
    ["550 Adresse d au moins un destinataire invalide. Invalid recipient.", "user-unknown hard"],
    ["550 Benutzer unbekannt", "user-unknown hard"],
    ["554 5.7.1 virus found", "refused soft"],
    ["451 4.3.0 Temporary server error. Please try again later", "unreachable soft"],
    ["550 5.1.1 zzzz", "user-unknown hard"],
    ["550 5.7.1 zzzz", "refused soft"],
    ["450 4.1.1 zzzz", "user-unknown soft"],
    ["550 zzzz", "unreachable soft"],
  ])("%s is %s", (line, expected) => {
    const { type, reason } = shippedBounces().judge({ ...readSaid(line), source: "reply", mx: "", stage: "rcpt" });
    expect(`${reason} ${type}`).toBe(expected);
  });

  test.each(PHRASES)("%s: %s", (category, text) => {
    const said = { ...readSaid(text), source: "bounce" as const, mx: "", stage: "" };
    expect(categoryOf(shippedBounces().judge(said).reason)).toBe(category);
  });

  test("a text that only a code or nobody knows waits to be qualified", () => {
    const judge = (line: string) =>
      shippedBounces().judge({ ...readSaid(line), source: "reply", mx: "", stage: "rcpt" });
    expect(judge("550 5.7.1 zzzz")).toMatchObject({ byText: false, rule: "code.refused" });
    expect(judge("550 zzzz")).toMatchObject({ byText: false, rule: "" });
    expect(judge("550 User unknown")).toMatchObject({ byText: true, rule: "user-unknown" });
  });
});

describe("from the disk", () => {
  const settings = (rulesFile = ""): Parameters<typeof loadBounceRules>[0] => ({ dataDir: dir, inmail: { rulesFile } });

  test("the operator's file in its place; a file named in the settings must be there; a bad one is a fault", () => {
    const shipped = loadBounceRules(settings()).version;
    expect(() => loadBounceRules(settings(join(dir, "nowhere.yaml")))).toThrow("nowhere.yaml");
    mkdirSync(join(dir, "rules"), { recursive: true });
    writeFileSync(join(dir, "rules/bounces.yaml"), FULL.replace("id: full", "id: mine"));
    expect(loadBounceRules(settings()).version).not.toBe(shipped);
    writeFileSync(join(dir, "rules/bounces.yaml"), "rules: 7");
    expect(() => loadBounceRules(settings())).toThrow("rules is not a list");
    rmSync(join(dir, "rules"), { recursive: true });
  });

  test("a file that changes is taken over; a bad one changes nothing until it is mended", async () => {
    const clock = handClock();
    const file = join(dir, "own.yaml");
    writeFileSync(file, FULL.replace("id: full", "id: mine"));
    const open = openBounceRules(settings(file), clock, silentLog);
    const first = open.table.version;
    const judged = (): string =>
      open.judge({ ...readSaid("552 Mailbox is full"), source: "reply", mx: "", stage: "" }).rule;
    expect(judged()).toBe("mine");
    writeFileSync(file, "rules: [");
    await clock.advance(10_000);
    expect(open.table.version).toBe(first);
    writeFileSync(file, FULL.replace("id: full", "id: other-name"));
    await clock.advance(10_000);
    expect(judged()).toBe("other-name");
    open.close();
  });
});
