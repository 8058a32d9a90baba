/**
 * A reader with a real browser: the mail as the mta makes it, a click that goes through the redirection server to a shop, unsubscribing by a button,
 * the mirror page. Database, web module, redirection server and shop are real and on loopback.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { Content, Tracking } from "../../src/model/delivery.ts";
import { signToken } from "../../src/model/token.ts";
import { compileContent } from "../../src/render/compose.ts";
import { openTestApi, type TestApi } from "../support/api.ts";
import { CHROMIUM, openTestBrowser, type TestBrowser, type Visitor, type VisitorOptions } from "../support/browser.ts";
import { putDelivery, testContent } from "../support/ledger.ts";
import { KEY, openTestRedirector, SECRET, type TestRedirector } from "../support/redirector.ts";
import { openShop, type Shop } from "../support/shop.ts";
import { until } from "../support/until.ts";

if (CHROMIUM === "") console.log("skipped: there is no chromium here (apt-get install chromium)");

describe.skipIf(CHROMIUM === "")("a reader with a browser", () => {
  let browser: TestBrowser;
  let api: TestApi;
  let redirector: TestRedirector;
  let shop: Shop;
  beforeAll(async () => {
    browser = await openTestBrowser();
    api = await openTestApi({}, { servers: { secret: () => Buffer.from(SECRET), tokenKeys: () => [KEY] } }, silentLog);
    redirector = await openTestRedirector({ settings: { web: await api.listen() } });
    shop = await openShop(mails);
  });
  afterAll(async () => {
    await browser?.close();
    await redirector?.close();
    await shop?.close();
  });
  /** What the reader's mail program shows, by path. */
  const mails = new Map<string, string>();

  async function visitor(options?: VisitorOptions): Promise<Visitor> {
    const one = await browser.visitor(options);
    onTestFinished(() => one.close());
    return one;
  }

  /** A message of a tracked content: its token, and where a browser finds its HTML. */
  async function mail(html: string): Promise<{ token: string; id: number; url: string }> {
    const tracking: Tracking = {
      url: redirector.url,
      clicks: true,
      opens: true,
      textLinks: false,
      urlLabels: false,
      anonymous: false,
      trap: true,
      single: false,
    };
    const content: Content = testContent({ html: html.replaceAll("SHOP", shop.url), tracking });
    const markup = `<script>fetch("${shop.url}/ran-by-variable")</script>`;
    const variables = { name: "Ann <script>window.ran = 1</script>", sku: "k 17&more", markup };
    const put = await putDelivery(api.db.sql, { addresses: ["ann@x.example"], variables: [variables], content });
    const composer = compileContent(content, { token: [KEY], dkim: [] });
    const job = {
      id: put.firstId,
      delivery: put.id,
      address: "ann@x.example",
      variables: JSON.stringify(variables),
    };
    const made = composer.preview(job, Date.now());
    if (typeof made === "string") throw new Error(made);
    mails.set(`/mail/${put.firstId}`, made.html);
    return { token: signToken(KEY, put.firstId), id: put.firstId, url: `${shop.url}/mail/${put.firstId}` };
  }

  /** Hits of a message, as they were written down. */
  async function hits(id: number): Promise<string[]> {
    const records = (await redirector.records()).filter(({ message }) => message === id);
    return records.map(({ kind, link, hint }) => `${kind} ${link} ${hint}`.trimEnd());
  }

  const LETTER = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Spring picks</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body style="margin:0;background:#f4f4f4;font:16px/1.5 Arial"><table role="presentation" width="100%" style="max-width:600px" align="center" bgcolor="#fff"><tr><td style="padding:16px">
<h1>Good morning, {{name}}!</h1><p><a id="shop" href="SHOP/p/spring?a=1&amp;b=2#top">To the spring picks</a></p>
<p><a id="own" href="SHOP/p/{{urlEncode sku}}">Your own pick</a> <a id="plain" data-track="off" href="SHOP/legal">Legal notice</a></p>
<p><img src="SHOP/i/a.svg" alt="A scarf" width="120" height="60"></p>
<p><a id="mirror" href="{{mirrorUrl}}">In the browser</a> <a id="unsubscribe" href="{{unsubscribeUrl}}">Unsubscribe</a></p>
</td></tr></table></body></html>`;

  test("opens the mail, clicks, and is in the shop: open and click are written down, the trap is not to be seen", async () => {
    const { url, id } = await mail(LETTER);
    const { page, complaints, outside, picture } = await visitor();
    await page.goto(url, { waitUntil: "load" });
    await picture("mail");
    expect(await page.locator("a").count()).toBe(6);
    expect(await page.locator("a:visible").count()).toBe(5);
    await page.click("#shop");
    await page.waitForURL(`${shop.url}/p/spring?a=1&b=2#top`);
    expect(await page.textContent("#path")).toBe("/p/spring?a=1&b=2");
    await picture("shop");
    expect(await hits(id)).toEqual(["open 0", "click 1"]);
    await page.goBack({ waitUntil: "load" });
    await page.click("#own");
    await page.waitForURL(`${shop.url}/p/k%2017%26more`);
    expect((await hits(id)).filter((hit) => hit !== "open 0")).toEqual(["click 1", "click 2"]);
    expect(complaints).toEqual([]);
    expect(outside).toEqual([]);
  });

  test.each([
    ["en-GB", "en", "Unsubscribe", "You are unsubscribed", {}],
    ["de-AT", "de", "Abmelden", "Sie sind abgemeldet", {}],
    ["de-DE", "de", "Abmelden", "Sie sind abgemeldet", { width: 360, height: 640 }],
    ["fr-FR", "fr", "Se désabonner", "Désabonnement enregistré", { width: 360, height: 640, dark: true }],
  ] as [string, string, string, string, VisitorOptions][])(
    "unsubscribes by the button of the page, %s",
    async (locale, language, button, result, options) => {
      const { url, id, token } = await mail(LETTER);
      const { page, complaints, outside, picture } = await visitor({ locale, ...options });
      const name = `${locale}${options.width === undefined ? "" : "-phone"}${options.dark === true ? "-dark" : ""}`;
      await page.goto(url, { waitUntil: "load" });
      await page.click("#unsubscribe");
      await page.waitForURL(`${redirector.url}/u/${token}`);
      expect(await page.getAttribute("html", "lang")).toBe(language);
      await picture(`unsubscribe-${name}`);
      // To look at the page is not to unsubscribe.
      expect(await hits(id)).toEqual(["open 0"]);
      const wide = () => page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      expect(await wide()).toBeLessThanOrEqual(0);
      const box = await page.getByRole("button", { name: button, exact: true }).boundingBox();
      // Large enough for a thumb.
      expect(box?.height).toBeGreaterThanOrEqual(44);
      await page.getByRole("button", { name: button, exact: true }).click();
      await page.getByRole("heading", { name: result }).waitFor();
      await picture(`unsubscribed-${name}`);
      expect(await wide()).toBeLessThanOrEqual(0);
      expect(await page.locator("button").count()).toBe(0);
      expect(await hits(id)).toEqual(["open 0", "unsubscribe 0 page"]);
      expect(await page.context().cookies()).toEqual([]);
      expect(complaints).toEqual([]);
      expect(outside).toEqual([]);
    },
  );

  /** A letter that would run scripts if anybody let it, of the sender's own and by way of a recipient's variables. */
  const ACTIVE = LETTER.replace(
    "</table>",
    `</table><div id="said">quiet</div><img src="SHOP/none.html" alt="" onerror="document.getElementById('said').textContent='loud';fetch('SHOP/ran-by-error')">
<script>document.getElementById("said").textContent = "loud"; fetch("SHOP/ran-by-script");</script>{{{markup}}}
<form action="SHOP/sent" method="post"><button id="send">Send</button></form><iframe src="SHOP/framed"></iframe>`,
  );

  const ran = (): string[] => shop.asked.map(({ path }) => path).filter((path) => /ran-by|sent|framed/.test(path));

  test("a browser would run the letter's scripts, were it not kept from it", async () => {
    shop.asked.length = 0;
    const { url } = await mail(ACTIVE);
    const { page } = await visitor();
    await page.goto(url, { waitUntil: "load" });
    expect(await page.textContent("#said")).toBe("loud");
    await until(() => new Set(ran()).size === 4, { what: "all that asks for something by itself" });
  });

  test("the mirror page shows the letter, runs none of its scripts, and its links lead to the shop", async () => {
    shop.asked.length = 0;
    const { id, token } = await mail(ACTIVE);
    const { page, outside, picture } = await visitor({ width: 600 });
    await page.goto(`${redirector.url}/m/${token}`, { waitUntil: "load" });
    await picture("mirror");
    expect(await page.getByRole("heading").textContent()).toBe("Good morning, Ann <script>window.ran = 1</script>!");
    expect(shop.asked.map(({ path }) => path)).toContain("/i/a.svg");
    await page.click("#send");
    expect(page.url()).toBe(`${redirector.url}/m/${token}`);
    expect(await page.textContent("#said")).toBe("quiet");
    expect(ran()).toEqual([]);
    await page.click("#shop");
    await page.waitForURL(`${shop.url}/p/spring?a=1&b=2#top`);
    // The address of the mirror page would open the mail to who reads the shop's log.
    expect(shop.asked.find(({ path }) => path.startsWith("/p/spring"))?.referer).toBe("");
    expect(await hits(id)).toEqual(["mirror 0", "click 1"]);
    expect(outside).toEqual([]);
  });

  test("the mirror page on a phone, and of a letter that is text only", async () => {
    const { url, id, token } = await mail(LETTER);
    const { page, complaints, picture } = await visitor({ width: 360, height: 640 });
    await page.goto(url, { waitUntil: "load" });
    await page.click("#mirror");
    await page.waitForURL(`${redirector.url}/m/${token}`, { waitUntil: "load" });
    await picture("mirror-phone");
    expect(await page.locator("a:visible").count()).toBe(5);
    // It is not an open of its own: there is no pixel in it.
    expect(await hits(id)).toEqual(["open 0", "mirror 0"]);
    const text = testContent({ html: "", text: `Dear {{name}},\n\n${"a word ".repeat(60)}\n\n<b>not bold</b>` });
    const put = await putDelivery(api.db.sql, {
      addresses: ["bob@x.example"],
      variables: [{ name: "Bob <img src=x onerror=alert(1)>" }],
      content: text,
    });
    await page.goto(`${redirector.url}/m/${signToken(KEY, put.firstId)}`);
    await picture("mirror-text-phone");
    expect(await page.locator("body").textContent()).toContain("Dear Bob <img src=x onerror=alert(1)>,");
    expect(await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
    expect(complaints).toEqual([]);
  });

  test.each([
    [
      "tampered",
      "This link does not work",
      404,
      (url: string) => url.replace(/.(?=.{5}$)/, (c) => (c === "a" ? "b" : "a")),
    ],
    ["with something appended", "Shop", 200, (url: string) => `${url}&utm_source=x.`],
    [
      "in capitals",
      "Shop",
      200,
      (url: string) => url.replace(/\/r\/.*/, (path) => path.toUpperCase().replace("/R/", "/r/")),
    ],
  ] as const)("a link %s: %s", async (name, title, status, change) => {
    const { url } = await mail(LETTER);
    const { page, outside, picture } = await visitor({ width: 360, height: 640 });
    await page.goto(url, { waitUntil: "load" });
    const link = change((await page.getAttribute("#shop", "href")) ?? "");
    const answer = await page.goto(link);
    expect(await page.textContent("h1")).toBe(title);
    expect(answer?.status()).toBe(status);
    if (status === 404) {
      expect(new URL(page.url()).origin).toBe(redirector.url);
      await picture(`link-${name}`);
    }
    expect(outside).toEqual([]);
  });
});
