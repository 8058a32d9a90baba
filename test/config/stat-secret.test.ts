import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Log, silentLog } from "../../src/base/log.ts";
import { loadStatSecret } from "../../src/config/stat-secret.ts";
import { statSettingsSchema } from "../../src/config/stat-settings.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "postilion-secret-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const settings = (secretFile = "") => ({ dataDir, stat: statSettingsSchema.parse({ secretFile }) });

test("is made once, for its owner only, and is the same ever after", () => {
  const first = loadStatSecret(settings());
  expect(first.length).toBeGreaterThanOrEqual(32);
  expect(loadStatSecret(settings())).toEqual(first);
  const file = join(dataDir, "keys/stat.secret");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(dataDir, "keys")).mode & 0o777).toBe(0o700);
  expect(readFileSync(file, "utf8").trim()).toBe(first.toString());
});

test("copied to another machine with another line end it is the same", () => {
  const file = join(dataDir, "copied");
  writeFileSync(file, `${loadStatSecret(settings()).toString()}\r\n`, { mode: 0o600 });
  expect(loadStatSecret(settings(file))).toEqual(loadStatSecret(settings()));
});

test("one that the settings name must be there, and long enough", () => {
  const missing = join(dataDir, "missing");
  expect(() => loadStatSecret(settings(missing))).toThrow(/stat\.secretFile.*not there/);
  const short = join(dataDir, "short");
  writeFileSync(short, "password\n", { mode: 0o600 });
  expect(() => loadStatSecret(settings(short))).toThrow(/at least 32/);
  expect(() => loadStatSecret(settings(short))).not.toThrow(/password/);
});

test("one that others can read is complained of", () => {
  loadStatSecret(settings());
  chmodSync(join(dataDir, "keys/stat.secret"), 0o644);
  const told: string[] = [];
  const log: Log = { ...silentLog, warn: (_fields, text) => void told.push(text) };
  loadStatSecret(settings(), log);
  expect(told).toEqual([expect.stringContaining("chmod 600")]);
});
