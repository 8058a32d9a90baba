import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LANGUAGES, PAGE_NAMES, TEXTS } from "../../../src/redirector/pages/texts.ts";
import { handClock } from "../../support/clock.ts";
import { openTestRedirector, type TestRedirector, token } from "../../support/redirector.ts";

let folder: string;
let server: TestRedirector | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-pages-"));
});
afterEach(async () => {
  await server?.close();
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

test("every language says everything, and nothing that is markup", () => {
  for (const language of LANGUAGES) {
    for (const name of PAGE_NAMES) {
      const { title, text, button } = TEXTS[language][name];
      expect(`${title}${text}${button}`).not.toMatch(/[<>&"]/);
      expect(title.length).toBeGreaterThan(5);
      expect(text.length).toBeGreaterThan(20);
      expect(button !== "").toBe(name === "unsubscribe");
    }
  }
});

test("a page is valid by its own policy: its one style has the hash that is allowed", async () => {
  server = await openTestRedirector();
  for (const language of LANGUAGES) {
    const { headers, body } = await server.ask("/nothing", { headers: { "accept-language": language } });
    const style = /<style>([^]*)<\/style>/.exec(body)![1]!;
    const hash = createHash("sha256").update(style).digest("base64");
    expect(headers["content-security-policy"]).toContain(`style-src 'sha256-${hash}'`);
    expect(headers["content-language"]).toBe(language);
    expect(body).toContain(`<html lang="${language}">`);
    expect(body).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
    expect(body.match(/<h1>/g)).toHaveLength(1);
  }
});

test("the operator's pages take the place of ours, without scripts, and change while it runs", async () => {
  const clock = handClock();
  writeFileSync(join(folder, "unsubscribe.html"), "<h1>Leave us?</h1><form method=post><button>Yes</button></form>");
  server = await openTestRedirector({ settings: { pagesFolder: folder }, clock });
  const page = async (path: string, method = "GET"): Promise<string> => (await server!.ask(path, { method })).body;
  expect(await page(`/u/${token(1)}`)).toContain("Leave us?");
  const { headers } = await server.ask(`/u/${token(1)}`);
  expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'unsafe-inline' https:; img-src /);
  expect(headers["content-security-policy"]).not.toContain("script");
  // The others are still ours.
  expect(await page("/nothing")).toContain("This link does not work");
  writeFileSync(join(folder, "gone.html"), "<p>Nothing here");
  writeFileSync(join(folder, "unsubscribed.html"), "<p>Farewell");
  await clock.advance(5_000);
  expect(await server.ask("/nothing")).toMatchObject({ status: 404, body: "<p>Nothing here" });
  expect(await page(`/u/${token(1)}`, "POST")).toBe("<p>Farewell");
  rmSync(join(folder, "gone.html"));
  await clock.advance(5_000);
  expect(await page("/nothing")).toContain("This link does not work");
});

test("pages that cannot be read are a fault of the settings", async () => {
  writeFileSync(join(folder, "file"), "");
  const settings = { pagesFolder: join(folder, "file") };
  await expect(openTestRedirector({ settings })).rejects.toMatchObject({ code: "SETTINGS_INVALID" });
});
