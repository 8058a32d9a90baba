/** Where the servers of tracking are, and the secret between them: what an operator may write, and what would lead to nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { checkSettings, parseSettings } from "../../src/config/settings.ts";
import { loadTrackingSecret, redirectorsOf, webOf } from "../../src/config/tracking-place.ts";

test("a slash at the end of an address is no part of it: it would be asked for a page that nobody has", () => {
  const settings = parseSettings({
    redirector: { web: "http://192.0.2.10:8080/" },
    workflow: { redirectors: ["http://a.example", "http://a.example/", "https://b.example/tracking//"] },
  });
  expect(webOf(settings)).toBe("http://192.0.2.10:8080");
  expect(redirectorsOf(settings)).toEqual(["http://a.example", "https://b.example/tracking"]);
});

test.each<[string, object]>([
  ["tracking.url", { tracking: { url: "https://t.example.com:99999" } }],
  ["tracking.url", { tracking: { url: "https://t.example.com/r" } }],
  ["tracking.domains.0", { tracking: { domains: ["https://:"] } }],
  ["redirector.web", { redirector: { web: "web.example:8080" } }],
  ["redirector.web", { redirector: { web: "file:///etc/passwd" } }],
  ["workflow.redirectors.0", { workflow: { redirectors: ["https://user:password@t.example"] } }],
  ["workflow.redirectors.0", { workflow: { redirectors: ["https://t.example/?a=b"] } }],
  ["workflow.redirectors.1", { workflow: { redirectors: ["https://t.example", ""] } }],
  // Nothing but asking.
  ["redirector.stopsMs", { redirector: { stopsMs: 0 } }],
  ["redirector.segmentMs", { redirector: { segmentMs: 0 } }],
  ["workflow.leaderMs", { workflow: { leaderMs: 0 } }],
])("%s is refused: %j", (path, given) => {
  const checked = checkSettings(given);
  const problems = "problems" in checked ? checked.problems.map((problem) => problem.path.join(".")) : [];
  expect(problems).toEqual([path]);
});

test.each([
  "with a space in it 0123456789 0123456789",
  "two\nlines of 0123456789012345678901234567",
  "ü".repeat(40),
  "x".repeat(201),
])("a secret that no header holds is a fault at the start: %j", (secret) => {
  const folder = mkdtempSync(join(tmpdir(), "postilion-secret-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const secretFile = join(folder, "secret");
  writeFileSync(secretFile, secret, { mode: 0o600 });
  const load = (): unknown => loadTrackingSecret(parseSettings({ dataDir: folder, tracking: { secretFile } }));
  expect(load).toThrow(expect.objectContaining({ code: "KEY_UNREADABLE" }));
  expect(load).not.toThrow(secret);
});
