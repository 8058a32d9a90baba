/**
 * Web tracking in a real browser: a reader clicks in a mail, looks at a page of the shop and buys; the shop's page has what ops/tracking.md says a shop's page
 * should have. With the cookies, and without.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CHROMIUM, openTestBrowser, type TestBrowser, type Visitor } from "../support/browser.ts";
import { link, openTestRedirector, type TestRedirector, token } from "../support/redirector.ts";
import { openShop, type Shop } from "../support/shop.ts";
import { ROOT } from "../support/source.ts";
import { until } from "../support/until.ts";

if (CHROMIUM === "") console.log("skipped: there is no chromium here (apt-get install chromium)");

const page = readFileSync(join(ROOT, "ops/tracking.md"), "utf8");
const SNIPPET = /```html\n([^]*?)```/.exec(page)?.[1] ?? "";

describe.skipIf(CHROMIUM === "")("a shop's page", () => {
  let browser: TestBrowser;
  let shop: Shop;
  const pages = new Map<string, string>();
  beforeAll(async () => {
    browser = await openTestBrowser();
    shop = await openShop(pages);
  });
  afterAll(async () => {
    await browser?.close();
    await shop?.close();
  });

  async function visitor(): Promise<Visitor> {
    const one = await browser.visitor();
    onTestFinished(() => one.close());
    return one;
  }

  /** What was written down of web tracking: kind, message, tag, and the rest. */
  async function visits(server: TestRedirector): Promise<string[]> {
    const told = await until(
      async () => {
        const records = (await server.records()).filter(({ web }) => web !== null);
        return records.length === 2 ? records : null;
      },
      { what: "page and transaction to be written down" },
    );
    return (told ?? [])
      .map(({ kind, message, web }) => `${kind} ${message} ${web!.tag} ${web!.amount} ${web!.articles} ${web!.more}`)
      .sort();
  }

  test.each([
    [true, 7],
    [false, 0],
  ])("tells of a visit and a purchase; cookies: %s", async (visitorCookie, message) => {
    const server = await openTestRedirector({ settings: { visitorCookie, strayVisits: true } });
    onTestFinished(() => server.close());
    const base = "https://t.example.com";
    expect(SNIPPET.split(base)).toHaveLength(3);
    pages.set(
      "/thanks",
      `<!doctype html><title>Thanks</title><h1>Thank you</h1>${SNIPPET.replaceAll(base, server.url)}`,
    );
    const { page, complaints, outside } = await visitor();
    await page.goto(`${server.url}/r/${token(7)}/${link({ url: `${shop.url}/thanks` })}`, { waitUntil: "load" });
    expect(page.url()).toBe(`${shop.url}/thanks`);
    expect(await visits(server)).toEqual([
      `page ${message} product 0 0 sku,k17`,
      `transaction ${message} order 59.9 2 order,4711`,
    ]);
    expect((await page.context().cookies()).map(({ name }) => name).sort()).toEqual(
      visitorCookie ? ["postilion-session", "postilion-visitor"] : [],
    );
    expect(complaints).toEqual([]);
    expect(outside).toEqual([]);
  });
});
