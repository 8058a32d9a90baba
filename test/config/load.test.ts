/** Loading settings: every mistake is named with its place, all at once; the environment wins over the file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Fault } from "../../src/base/faults.ts";
import { loadSettings } from "../../src/config/load.ts";
import { nearest } from "../../src/config/nearest.ts";
import { parseSettings } from "../../src/config/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;

function file(text: string): string {
  const path = join(folder, `${++count}.yaml`);
  writeFileSync(path, text);
  return path;
}

function refusal(text: string, env: Record<string, string> = {}): string {
  const path = file(text);
  try {
    loadSettings(path, env);
  } catch (error) {
    if (error instanceof Fault && error.code === "SETTINGS_INVALID") return error.message.replaceAll(path, "FILE");
    throw error;
  }
  throw new Error("nothing was wrong");
}

describe("mistakes", () => {
  test("all of them at once, each with line, path and the name that was meant", () => {
    const text =
      "web:\n  prot: 8081\n  port: 99999\nmta:\n  smtp:\n    dotms: 5\nstat:\n  rules:\n    - mx: '*'\n      tls: always\nlgo: {}\n";
    const lines = refusal(text).split("\n").slice(1);
    expect(lines).toHaveLength(5);
    expect(lines).toContain("  FILE:2: web.prot: no such setting; did you mean port?");
    expect(lines.find((line) => line.includes("web.port"))).toMatch(/FILE:3: web\.port: .*65535/);
    expect(lines).toContain("  FILE:6: mta.smtp.dotms: no such setting; did you mean dotMs?");
    expect(lines.find((line) => line.includes("tls"))).toMatch(/FILE:10: stat\.rules\[0\]\.tls: .*opportunistic/);
    expect(lines).toContain("  FILE:11: lgo: no such setting; did you mean log?");
  });
  test("a warm-up whose mask matches nothing, or that is there twice, would be none", () => {
    const text =
      'stat:\n  warmUp:\n    - publicId: 7\n      mx: "@gmail.com"\n    - publicId: 8\n    - publicId: 7\n    - publicId: 8\n      mx: "*"\n';
    expect(refusal(text).split("\n").slice(1)).toEqual([
      '  FILE:4: stat.warmUp[0].mx: "@gmail.com" holds "@", which is in no name of a host',
      "  FILE:8: stat.warmUp[3].mx: there is another plan for it above",
    ]);
  });
  test("a name like no other: the known ones are listed", () => {
    expect(refusal("log:\n  xyzzy: 1\n")).toContain("FILE:2: log.xyzzy: no such setting; known here: level, pretty");
  });
  test("what is not YAML, a list, a twice given name, a bomb of aliases", () => {
    expect(refusal("web: [1, 2\n")).toMatch(/FILE:\d+: /);
    expect(refusal("- a\n- b\n")).toContain("FILE:1: settings are 'name: value' lines");
    expect(refusal("web:\n  port: 1\nweb:\n  port: 2\n")).toMatch(/FILE:3: .*unique/i);
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefgh"
      .split("")
      .map((n, i) => `${n}: &${n} [${Array(9).fill(`*${"abcdefg"[i]}`).join(",")}]`)
      .join("\n")}\n`;
    expect(() => loadSettings(file(bomb), {})).toThrow(/alias/i);
  });
  test("prototype names are just unknown", () => {
    expect(refusal('web:\n  "__proto__": {port: 1}\n  constructor: 1\n')).toContain("web.constructor: no such setting");
    expect(parseSettings({}).web.port).toBe(8080);
  });
  test("a file that is named and is not there", () => {
    expect(() => loadSettings(join(folder, "none.yaml"), {})).toThrow(/none\.yaml/);
  });
});

describe("sources", () => {
  test("no file: the defaults, with absolute paths", () => {
    const settings = loadSettings(file(""), {});
    const expected = parseSettings({});
    expect(settings).toEqual({
      ...expected,
      dataDir: join(process.cwd(), "var"),
      tokenKeyFile: join(process.cwd(), "var/keys/token.json"),
    });
  });
  test("a group whose settings are all commented out is the default", () => {
    expect(loadSettings(file("web:\n  # port: 1\nmta:\n  smtp:\n"), {}).mta.smtp).toEqual(parseSettings({}).mta.smtp);
  });
  test("$POSTILION_CONFIG names the file, --config goes before it", () => {
    const env = { POSTILION_CONFIG: file("web: {port: 1111}") };
    expect(loadSettings(undefined, env).web.port).toBe(1111);
    expect(loadSettings(file("web: {port: 2222}"), env).web.port).toBe(2222);
  });
  test("the environment wins, whatever the case; numbers, switches, lists; text stays text", () => {
    const settings = loadSettings(file("web: {port: 1111, host: 0.0.0.0}\n"), {
      POSTILION_WEB__PORT: "9000",
      POSTILION_WEB__BODY_LIMIT_BYTES: "1000",
      POSTILION_MTA__VERIFYMODE: "true",
      POSTILION_MTA__HELO: "123",
      POSTILION_MTA__RELAY__PASSWORD: "no",
      POSTILION_MTA__DNS__SERVERS: '["127.0.0.1:5353"]',
      POSTILION_MACHINE: "m1",
    });
    expect(settings.web).toMatchObject({ port: 9000, bodyLimitBytes: 1000, host: "0.0.0.0" });
    expect(settings.mta).toMatchObject({ verifyMode: true, helo: "123", dns: { servers: ["127.0.0.1:5353"] } });
    expect(settings.mta.relay.password).toBe("no");
    expect(settings.machine).toBe("m1");
  });
  test("mistakes in the environment name the variable; names that are not ours are left alone", () => {
    const said = refusal("", {
      POSTILION_WEB__PROT: "1",
      POSTILION_WEB__PORT: "many",
      POSTILION_SERVICE_HOST: "10.0.0.1",
    });
    expect(said).toContain("POSTILION_WEB__PROT: no setting web.PROT; did you mean port?");
    expect(said).toMatch(/POSTILION_WEB__PORT: web\.port: /);
    expect(said).not.toContain("SERVICE_HOST");
  });
});

describe("nearest", () => {
  test.each([
    ["prot", ["port", "host", "processes"], "port"],
    ["bodylimitbytes", ["bodyLimitBytes", "uploads"], "bodyLimitBytes"],
    ["zzzzz", ["port", "host"], ""],
    ["x", [], ""],
    ["p".repeat(100_000), ["port"], ""],
  ])("%.20s", (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected);
  });
});
