/** Key files: made once, private, and refused with the file's name when they are not what they should be. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Log, silentLog } from "../../src/base/log.ts";
import { loadDkimKeys, loadTokenKeys, rereadTokenKeys } from "../../src/config/keys.ts";
import { type Settings, parseSettings } from "../../src/config/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

function settings(name: string, dkim: Settings["dkim"] = []): Settings {
  return parseSettings({ dataDir: join(folder, name), dkim });
}

function listeningLog(): Log & { warned: string[] } {
  const warned: string[] = [];
  return { ...silentLog, warned, warn: (_fields, text) => void warned.push(text) };
}

describe("token keys", () => {
  test("are made at first use, private, and are the same afterwards", () => {
    const first = loadTokenKeys(settings("fresh"));
    expect(first).toHaveLength(1);
    expect(first[0]?.secret).toHaveLength(32);
    expect(loadTokenKeys(settings("fresh"))).toEqual(first);
    expect(statSync(join(folder, "fresh/keys/token.json")).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "fresh/keys")).mode & 0o777).toBe(0o700);
    // Another user's PostgreSQL has to get through dataDir itself.
    expect(statSync(join(folder, "fresh")).mode & 0o011).not.toBe(0);
    expect(loadTokenKeys(settings("other"))[0]?.secret).not.toEqual(first[0]?.secret);
  });

  test("that are gone while a process runs are not replaced: links signed with them would die", () => {
    const running = settings("running");
    const ring = loadTokenKeys(running);
    expect(rereadTokenKeys(running)).toEqual(ring);
    rmSync(join(folder, "running/keys/token.json"));
    expect(() => rereadTokenKeys(running)).toThrow(expect.objectContaining({ code: "KEY_UNREADABLE" }));
  });

  const secret = Buffer.alloc(32, 7).toString("base64");
  test.each([
    ["not json", "is not JSON"],
    ["null", 'no "keys"'],
    ['{"keys":[]}', 'no "keys"'],
    [`{"keys":[{"id":256,"secret":"${secret}"}]}`, "0 to 255"],
    ['{"keys":[{"id":1,"secret":"c2hvcnQ="}]}', "shorter than 32"],
    [`{"keys":[{"id":1,"secret":"${secret}"},{"id":1,"secret":"${secret}"}]}`, "same id"],
  ])("%s is refused, without a word of the secret", (text, why) => {
    const bad = settings(`bad-${why.replaceAll(/\W/g, "")}`);
    mkdirSync(join(bad.dataDir, "keys"), { recursive: true });
    const file = join(bad.dataDir, "keys/token.json");
    writeFileSync(file, text, { mode: 0o600 });
    expect(() => loadTokenKeys(bad)).toThrow(
      expect.objectContaining({ code: "KEY_UNREADABLE", message: expect.stringContaining(why) }),
    );
    expect(() => loadTokenKeys(bad)).not.toThrow(secret);
    expect(readFileSync(file, "utf8")).toBe(text); // never overwritten
  });
});

describe("DKIM keys", () => {
  const file = (name: string, text: string, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
    return path;
  };
  const pem = (type: "rsa" | "ed25519" | "x25519"): string => {
    const options = {
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    } as const;
    if (type === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048, ...options }).privateKey;
    if (type === "ed25519") return generateKeyPairSync("ed25519", options).privateKey;
    return generateKeyPairSync("x25519", options).privateKey;
  };
  const one = (keyFile: string) => settings("dkim", [{ domain: "Example.COM", selector: "s1", keyFile }]);

  test("RSA and Ed25519 are read", () => {
    for (const type of ["rsa", "ed25519"] as const) {
      const text = pem(type);
      expect(loadDkimKeys(one(file(`${type}.pem`, text)))).toEqual([
        { domain: "example.com", selector: "s1", pem: text },
      ]);
    }
  });
  test("a file that others can read is used and complained of", () => {
    const log = listeningLog();
    expect(loadDkimKeys(one(file("open.pem", pem("ed25519"), 0o644)), log)).toHaveLength(1);
    expect(log.warned).toEqual([expect.stringContaining("read by other users")]);
  });
  test.each([
    ["missing.pem", null, "is not there"],
    ["text.pem", "hello", "no private key"],
    ["x25519.pem", pem("x25519"), "cannot sign DKIM"],
  ])("%s is refused by name", (name, text, why) => {
    const path = text === null ? join(folder, name) : file(name, text);
    const pattern = new RegExp(`${name}.*${why}`);
    expect(() => loadDkimKeys(one(path))).toThrow(
      expect.objectContaining({ code: "KEY_UNREADABLE", message: expect.stringMatching(pattern) }),
    );
  });
});
