/** `postilion stat check`: the files of the settings or one file, rules on replies too, as text and as JSON, with an exit code for scripts. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type CheckedRules, checkRules, checkedText } from "../../src/cli/stat-check.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { parseSettings } from "../../src/config/settings.ts";

const launcher = join(import.meta.dirname, "../../ops/postilion");
const folder = mkdtempSync(join(tmpdir(), "postilion-stat-check-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;

function file(text: string): string {
  const path = join(folder, `${++count}.yaml`);
  writeFileSync(path, text);
  return path;
}

const nothing = parseSettings({ dataDir: join(folder, "nothing-here") });
const lines = ({ findings }: CheckedRules): string[] =>
  findings.map(({ kind, severity, at, text }) => `${kind} ${severity} ${at}: ${text}`);

test("what comes along is in order: MX rules and rules on replies", () => {
  const checked = checkRules(nothing, "");
  expect(checked.findings).toEqual([]);
  expect(checked.ok).toBe(true);
  expect(checked.mxRules?.checked).toBeGreaterThan(50);
  expect(checked.replyRules?.checked).toBeGreaterThan(10);
  expect(checkedText(checked)).toMatch(
    /^\d+ MX rules checked: \d+ in ops\/rules\/mx\.yaml\n\d+ rules on replies checked\nnothing is wrong$/,
  );
});

describe("one file", () => {
  test("of MX rules: in place of the operator's, over the shipped ones", () => {
    const path = file("rules:\n  - mx: gmail.com\n  - id: google\n    conections: 3\n");
    const checked = checkRules(nothing, path);
    expect(checked.ok).toBe(false);
    expect(checked.replyRules).toBeNull();
    expect(lines(checked)).toEqual([
      `mx error ${path}:4: rules[1].conections: no such field; did you mean connections?`,
      expect.stringContaining(`mx warning ${path}:2: gmail.com: gmail.com is a domain of recipients`),
    ]);
    const text = checkedText(checked).split("\n");
    expect(text[0]).toBe(`error    ${path}:4: rules[1].conections: no such field; did you mean connections?`);
    expect(text.at(-1)).toBe("1 error, 1 warning, 0 notes");
  });
  test("of rules on replies: known by what stands in it", () => {
    const good = file(
      "rules:\n  - id: slow-down\n    codes: 421\n    texts: please slow down\n    action: limits\n    limits: {connections: 1}\n    examples: ['421 please slow down']\n",
    );
    expect(checkRules(nothing, good)).toMatchObject({ ok: true, mxRules: null, findings: [] });
    const bad = file("rules:\n  - id: slow-down\n    codes: 421\n    action: explode\n");
    const checked = checkRules(nothing, bad);
    expect(checked.ok).toBe(false);
    expect(lines(checked)[0]).toMatch(/^reply error .*\d\.yaml:4: action: /);
  });
  test("that is not there, and one that is no YAML", () => {
    expect(() => checkRules(nothing, join(folder, "none.yaml"))).toThrow(UsageError);
    const checked = checkRules(nothing, file("rules: [1, 2\n"));
    expect(checked.ok).toBe(false);
    expect(lines(checked)[0]).toMatch(/mx error : .*\.yaml:\d+: /);
  });
});

test("the files of the settings: those under dataDir, and the settings' own rules", () => {
  const dataDir = mkdtempSync(join(folder, "data-"));
  mkdirSync(join(dataDir, "rules"));
  writeFileSync(join(dataDir, "rules/mx.yaml"), "rules:\n  - mx: '*.a.example'\n    messagesPerHour: 5\n");
  writeFileSync(join(dataDir, "rules/replies.yaml"), "rules:\n  - id: x\n    codes: 421\n");
  const checked = checkRules(parseSettings({ dataDir, stat: { rules: [{ mx: "mx 1.example" }] } }), "");
  const found = lines(checked).join("\n");
  expect(found).toContain("mx error settings stat.rules[0]: ");
  expect(found).toContain(`mx warning ${join(dataDir, "rules/mx.yaml")}:3: *.a.example: 5 messages an hour`);
  expect(found).toMatch(/reply error .*rules\/replies\.yaml:2: .*has no action/);
  expect(checked.ok).toBe(false);
});

test("rules and warm-up for public ids that no affinity has", () => {
  const settings = parseSettings({
    dataDir: join(folder, "nothing-here"),
    mta: { affinities: [{ name: "a", ips: [{ publicId: 3 }, { publicId: 7 }] }] },
    stat: {
      rules: [
        { mx: "a.example", publicIds: "4-6" },
        { mx: "b.example", publicIds: "4-7" },
      ],
      warmUp: [{ publicId: 7, mx: "*.google.com" }, { publicId: 8 }],
    },
  });
  const checked = checkRules(settings, "");
  expect(lines(checked)).toEqual([
    "mx note settings stat.rules[0]: a.example 4-6: no affinity of these settings has a public id from 4 to 6",
    "mx warning settings stat.warmUp[1]: no affinity of these settings has public id 8",
  ]);
  expect(checked.ok).toBe(true);
});

test("a file that only changes what replies lead to is one of rules on replies", () => {
  for (const change of ["off: true", "duration: 2h", "most: 1d", "probe: 3", "step: 1m"]) {
    const checked = checkRules(parseSettings({}), file(`rules:\n  - id: google.rate\n    ${change}\n`));
    expect(checked, change).toMatchObject({ ok: true, mxRules: null });
  }
});

describe("as a command", () => {
  const call = (args: readonly string[]): { code: number | null; out: string; err: string } => {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_")));
    const done = spawnSync(launcher, ["stat", "check", ...args], { cwd: folder, encoding: "utf8", env });
    return { code: done.status, out: done.stdout, err: done.stderr };
  };
  test("0 when doubts are all there is, 1 when something is wrong, 2 for a file that is not there", () => {
    expect(call([file("rules:\n  - mx: gmail.com\n")])).toMatchObject({
      code: 0,
      out: expect.stringContaining("0 errors, 1 warning, 0 notes"),
    });
    expect(call([file("rules:\n  - mx: gmail.com\n    tsl: required\n")])).toMatchObject({
      code: 1,
      out: expect.stringContaining("did you mean tls?"),
    });
    const absent = call(["none.yaml"]);
    expect(absent).toMatchObject({ code: 2, err: expect.stringContaining("none.yaml cannot be read") });
    expect(absent.err).not.toMatch(/^ +at /m);
  });
  test("--json is one line", () => {
    const { code, out } = call([file("rules:\n  - mx: gmail.com\n"), "--json"]);
    expect(code).toBe(0);
    expect(out.trim().split("\n")).toHaveLength(1);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      mxRules: { checked: expect.any(Number), sources: expect.any(Array) },
      findings: [{ kind: "mx", severity: "warning", rule: "gmail.com" }],
    });
  });
});
