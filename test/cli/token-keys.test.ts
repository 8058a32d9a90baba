/** `postilion keys`: what was signed goes on verifying, a file is never half written, and what people mistype changes nothing. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { listText, retireText, rotateText } from "../../src/cli/token-keys.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { loadTokenKeys } from "../../src/config/keys.ts";
import { parseSettings, type Settings } from "../../src/config/settings.ts";
import { signToken, verifyToken } from "../../src/model/token.ts";

const folder = mkdtempSync(join(tmpdir(), "postilion-token-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));
const NOW = Date.parse("2026-05-01T12:00:00Z");

let count = 0;
/** A machine whose keys were made by its first start. */
function machine(more: object = {}): { settings: Settings; file: string; ring(): ReturnType<typeof loadTokenKeys> } {
  const settings = parseSettings({ dataDir: join(folder, String(++count)), ...more });
  loadTokenKeys(settings);
  return { settings, file: join(settings.dataDir, "keys/token.json"), ring: () => loadTokenKeys(settings) };
}
const ids = (ring: ReturnType<typeof loadTokenKeys>): number[] => ring.map(({ id }) => id);

test("rotated: the new one signs, what the old one signed verifies until it is retired", () => {
  const { settings, ring, file } = machine();
  const old = signToken(ring()[0]!, 4711);
  const said = rotateText(settings, {}, NOW);
  expect(said).toContain("Key 2 signs from now on");
  expect(said).toContain("Verifying besides: 1.");
  expect(said).toContain(file);
  expect(ids(ring())).toEqual([2, 1]);
  const fresh = signToken(ring()[0]!, 4711);
  expect(verifyToken(ring(), old)).toBe(4711);
  expect(verifyToken(ring(), fresh)).toBe(4711);
  expect(retireText(settings, "1")).toContain("Key 1 is retired");
  expect(verifyToken(ring(), old)).toBeNull();
  expect(verifyToken(ring(), fresh)).toBe(4711);
  rotateText(settings, { retire: "2" }, NOW);
  expect(ids(ring())).toEqual([3]);
});

test("the list shows states, and nothing of a secret", () => {
  const { settings, ring, file } = machine();
  rotateText(settings, {}, NOW);
  rotateText(settings, { prepare: true }, NOW);
  const list = listText(settings);
  expect(list.split("\n").map((line) => line.trim().split(/ {2,}/).slice(0, 3))).toMatchObject([
    ["key", "state", "made"],
    ["2", "signs", "2026-05-01T12:00:00.000Z"],
    ["1", "verifies", "-"],
    ["3", "prepared", "2026-05-01T12:00:00.000Z"],
    [""],
    [file],
  ]);
  const said = [list, rotateText(settings, {}, NOW), retireText(settings, "1")].join();
  for (const { secret } of ring())
    for (const spelling of ["base64", "base64url", "hex"] as const)
      expect(said).not.toContain(Buffer.from(secret).toString(spelling).slice(0, 20));
});

test("where other machines redirect: prepared first, and then that very key signs", () => {
  const { settings, ring } = machine({
    workflow: { redirectors: ["https://t1.example.com", "http://127.0.0.1:8081", "http://[::1]:8081"] },
  });
  expect(() => rotateText(settings, {}, NOW)).toThrow(/^https:\/\/t1\.example\.com: .*--prepare/);
  expect(ids(ring())).toEqual([1]);
  expect(rotateText(settings, { prepare: true }, NOW)).toContain("Key 2 is prepared");
  expect(ids(ring())).toEqual([1, 2]);
  // A server that has the copy knows what will be signed.
  const copied = ring();
  rotateText(settings, {}, NOW);
  expect(ids(ring())).toEqual([2, 1]);
  expect(verifyToken(copied, signToken(ring()[0]!, 5))).toBe(5);
  expect(rotateText(settings, { now: true }, NOW)).toContain("Key 3 signs");
});

test.each<[string, (settings: Settings) => unknown, string]>([
  ["the signing key retired", (s) => retireText(s, "1"), "key 1 signs"],
  ["a key there is not", (s) => retireText(s, "9"), "there is no key 9"],
  ["no number", (s) => retireText(s, "first"), "there is no key first"],
  ["nothing", (s) => retireText(s, ""), "there is no key"],
  ["rotated and retired what is not there", (s) => rotateText(s, { retire: "7" }, NOW), "there is no key 7"],
  ["two at once", (s) => rotateText(s, { prepare: true, retire: "1" }, NOW), "--prepare stands alone"],
  [
    "prepared twice",
    (s) => (rotateText(s, { prepare: true }, NOW), rotateText(s, { prepare: true }, NOW)),
    "prepared already",
  ],
])("%s is refused", (_, work, text) => {
  const { settings, ring } = machine();
  expect(() => work(settings)).toThrow(UsageError);
  expect(() => work(machine().settings)).toThrow(text);
  expect(ring()[0]!.id).toBe(1);
  expect(readdirSync(join(settings.dataDir, "keys"))).toEqual(["token.json"]);
});

test("mode kept, a link stays a link, nothing is left beside", () => {
  const { settings, file, ring } = machine();
  const real = join(folder, "elsewhere.json");
  writeFileSync(real, readFileSync(file));
  chmodSync(real, 0o640);
  rmSync(file);
  symlinkSync(real, file);
  rotateText(settings, {}, NOW);
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
  expect(statSync(real).mode & 0o777).toBe(0o640);
  expect(ids(ring())).toEqual([2, 1]);
  expect(existsSync(`${real}.change`)).toBe(false);
});

test("two at once: one is told so; one that was killed half-way blocks nobody for ever", () => {
  const { settings, file, ring } = machine();
  const left = `${file}.change`;
  writeFileSync(left, "half a fi");
  expect(() => rotateText(settings, {}, NOW)).toThrow(
    expect.objectContaining({ code: "KEY_UNREADABLE", message: expect.stringContaining("somebody else") }),
  );
  expect(ids(ring())).toEqual([1]);
  const long = Date.now() / 1000 - 120;
  utimesSync(left, long, long);
  rotateText(settings, {}, NOW);
  expect(ids(ring())).toEqual([2, 1]);
  expect(existsSync(left)).toBe(false);
});

test("a broken file is not repaired, and none is made where there is none", () => {
  const { settings, file } = machine();
  writeFileSync(file, "{");
  for (const work of [() => rotateText(settings, {}, NOW), () => listText(settings), () => retireText(settings, "1")])
    expect(work).toThrow(expect.objectContaining({ code: "KEY_UNREADABLE" }));
  expect(readFileSync(file, "utf8")).toBe("{");
  const none = parseSettings({ dataDir: join(folder, "none") });
  for (const work of [() => rotateText(none, {}, NOW), () => listText(none)])
    expect(work).toThrow(/there are no keys yet/);
  expect(existsSync(join(folder, "none"))).toBe(false);
});

test("numbers go up, go on behind 255, and end when all are taken", () => {
  const { settings, file, ring } = machine();
  const key = (id: number): object => ({ id, secret: Buffer.alloc(32, id).toString("base64") });
  mkdirSync(join(settings.dataDir, "keys"), { recursive: true });
  writeFileSync(file, JSON.stringify({ keys: [key(255), key(1)] }), { mode: 0o600 });
  rotateText(settings, {}, NOW);
  expect(ids(ring())).toEqual([2, 255, 1]);
  writeFileSync(file, JSON.stringify({ keys: Array.from({ length: 255 }, (_, i) => key(i + 1)) }), { mode: 0o600 });
  expect(() => rotateText(settings, {}, NOW)).toThrow("retire some");
});
