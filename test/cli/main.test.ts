/** The command line through its launcher, as a person calls it: from another folder, through a link, with mistakes. */
import { spawnSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { strings } from "../../src/cli/dkim.ts";
import { type TestDatabase, openTestDatabase } from "../support/database.ts";

const launcher = join(import.meta.dirname, "../../ops/postilion");
const folder = mkdtempSync(join(tmpdir(), "postilion-cli-"));
let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(async () => {
  await db.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function call(args: readonly string[], env: Record<string, string> = {}, program: string = launcher): Answer {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("POSTILION_")));
  const done = spawnSync(program, args, { cwd: folder, encoding: "utf8", env: { ...clean, ...env } });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

describe("the launcher", () => {
  test("works through a link to a link from anywhere, without any Node in the path", () => {
    mkdirSync(join(folder, "bin"));
    symlinkSync(launcher, join(folder, "bin/absolute"));
    symlinkSync("absolute", join(folder, "bin/relative"));
    const bare = { PATH: "/usr/bin:/bin" };
    expect(call(["--version"], bare, join(folder, "bin/relative"))).toMatchObject({
      code: 0,
      out: `${manifest.version}\n`,
    });
  });
  test("in a checkout where nothing is installed it says what to do", () => {
    mkdirSync(join(folder, "fresh/ops"), { recursive: true });
    writeFileSync(join(folder, "fresh/ops/postilion"), readFileSync(launcher), { mode: 0o755 });
    expect(call(["--version"], {}, join(folder, "fresh/ops/postilion"))).toMatchObject({
      code: 1,
      err: expect.stringContaining("npm ci"),
    });
  });
});

describe("mistakes", () => {
  test.each([
    [["strart"], "Did you mean start?"],
    [["config", "chek"], "Did you mean check?"],
    [["run", "weeb"], "did you mean web?"],
    [["run", "mta", "--slot", "-1"], "--slot"],
    [["token", "create", "x", "--scopes", "deliveries:reed"], "did you mean deliveries:read?"],
    [["token", "revoke", "first"], "is not the number of a token"],
    [["keys", "rotate"], "there are no keys yet"],
    [["dkim", "keygen", "../../etc", "s1"], "is not a domain name"],
    [["dkim", "keygen", "example.com", "a/b"], "is not a domain name"],
    [["dkim", "keygen", "example.com", "s1", "--type", "dsa"], "--type"],
    [["dkim", "keygen", "example.com", "s1", "--bits", "512"], "--bits"],
  ])("%j: exit code 2, no stack", (args, text) => {
    const answer = call(args);
    expect(answer).toMatchObject({ code: 2, err: expect.stringContaining(text) });
    expect(answer.err).not.toMatch(/^ +at /m);
  });
  test("wrong settings: exit code 78, place and nearest name", () => {
    writeFileSync(join(folder, "bad.yaml"), "web:\n  prot: 1\n");
    for (const command of [["config", "check"], ["config", "show"], ["run", "web"], ["start"]]) {
      const text = "bad.yaml:2: web.prot: no such setting; did you mean port?";
      expect(call(["--config", "bad.yaml", ...command])).toMatchObject({
        code: 78,
        err: expect.stringContaining(text),
      });
    }
    expect(call(["config", "check", "-c", "none.yaml"])).toMatchObject({
      code: 78,
      err: expect.stringContaining("none.yaml"),
    });
  });
});

test("help names every command", () => {
  const { code, out } = call(["--help"]);
  expect(code).toBe(0);
  for (const name of ["start", "run", "migrate", "config", "dkim", "keys", "stat", "token", "tracking"])
    expect(out).toMatch(new RegExp(`^  ${name}\\b`, "m"));
});

test("config: check, show with a masked secret, example", () => {
  expect(call(["config", "check"]).out).toContain("in order");
  const shown = call(["config", "show"], { POSTILION_MTA__RELAY__PASSWORD: "hunter2" });
  expect(shown.out).toContain("********");
  expect(shown.out).not.toContain("hunter2");
  expect(call(["config", "example"]).out).toContain("# port: 8080");
  expect(call(["config", "example", "--markdown"]).out).toContain("| `web.port` | `8080` |");
});

test("token: the text alone on standard output, listed, revoked once", () => {
  const env = { POSTILION_DATABASE__URL: db.url };
  const made = call(["token", "create", "shop", "--scopes", "deliveries:read, messages:write"], env);
  expect(made.out).toMatch(/^pst_[\w-]{43}\n$/);
  const line =
    call(["token", "list"], env)
      .out.split("\n")
      .find((text) => text.includes("\tshop\t")) ?? "";
  expect(line).toMatch(/in force\tdeliveries:read,messages:write$/);
  const id = line.split("\t")[0] ?? "";
  expect(call(["token", "revoke", id], env).code).toBe(0);
  expect(call(["token", "revoke", id], env).code).toBe(2);
});

test("tracking show: where nothing is tracked nothing is wrong; a server that was never read is", () => {
  const env = { POSTILION_DATABASE__URL: db.url };
  const quiet = call(["tracking", "show"], env);
  expect(quiet).toMatchObject({ code: 0, out: expect.stringContaining("No redirection server") });
  const wanted = { ...env, POSTILION_WORKFLOW__REDIRECTORS: '["http://127.0.0.1:9"]' };
  const alarm = call(["tracking", "show", "--json"], wanted);
  expect(alarm.code).toBe(1);
  expect(JSON.parse(alarm.out)).toMatchObject({ well: false, leader: null, wanted: ["http://127.0.0.1:9"] });
});

describe("dkim keygen", () => {
  test("writes a private key, prints the record in strings of 255, and does not overwrite", () => {
    const args = ["dkim", "keygen", "Example.com", "s1"];
    const { code, out } = call(args);
    expect(code).toBe(0);
    const file = join(folder, "var/keys/dkim/example.com.s1.pem");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, "utf8");
    expect(createPrivateKey(text).asymmetricKeyDetails?.modulusLength).toBe(2048);
    const pieces = [...out.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("")).toMatch(/^v=DKIM1; ?k=rsa; ?p=[A-Za-z0-9+/=]+$/);
    expect(out).toContain("s1._domainkey.Example.com. IN TXT (");
    expect(call(args)).toMatchObject({ code: 2, err: expect.stringContaining("not overwritten") });
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(readdirSync(join(folder, "var/keys/dkim"))).toHaveLength(1);

    writeFileSync(join(folder, "dkim.yaml"), out.slice(out.indexOf("dkim:")));
    expect(call(["-c", "dkim.yaml", "config", "check"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("DKIM keys: 1"),
    });
  });
  test("Ed25519 fits one string", () => {
    const { out } = call(["dkim", "keygen", "example.com", "e1", "--type", "ed25519", "--out", "e1.pem"]);
    expect(out).toMatch(/"v=DKIM1; ?k=ed25519; ?p=[A-Za-z0-9+/=]{44}"/);
  });
  test("strings cuts at 255", () => {
    expect(strings("a".repeat(600)).map((text) => text.length)).toEqual([257, 257, 92]);
  });
});
