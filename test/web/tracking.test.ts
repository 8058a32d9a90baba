/** The field `tracking` of a delivery and of a message, what settings say without it, and the links of a delivery. */
import { describe, expect, test } from "vitest";
import { contentOfDelivery } from "../../src/db/deliveries.ts";
import type { Content } from "../../src/model/delivery.ts";
import { CONTENT, openTestApi } from "../support/api.ts";

const api = await openTestApi({ tracking: { url: "https://t.example.com", domains: ["https://t.other.example"] } });
const untracked = await openTestApi();
const quiet = await openTestApi({ tracking: { url: "https://t.example.com", clicks: false, opens: false } });

const from = "News <news@example.com>";
const html =
  '<a href="https://x.example/{{id}}">Shop</a> <a href="https://y.example/" data-track-name="y" data-track-category="c">Y</a> <a href="mailto:a@b.example">Mail</a>';

async function contentOf(where: typeof api, id: number): Promise<Content> {
  return JSON.parse((await contentOfDelivery(where.db.sql, id)) ?? "") as Content;
}

async function trackingOf(where: typeof api, more: object): Promise<Content["tracking"] | string> {
  const made = await where.post("/v1/deliveries", { content: CONTENT, from, ...more });
  return made.status === 201
    ? (await contentOf(where, made.body["id"])).tracking
    : `${made.status} ${made.body["detail"]}`;
}

async function ofMessage(where: typeof api, more: object): Promise<Content["tracking"] | string> {
  const made = await where.post("/v1/messages", { to: "ann@example.net", from, subject: "s", html, ...more });
  if (made.status !== 202) return `${made.status} ${made.body["detail"]}`;
  return (await contentOf(where, made.body["deliveryId"])).tracking;
}

const ALL = {
  url: "https://t.example.com",
  clicks: true,
  opens: true,
  textLinks: false,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};
const NO_SERVER = "400 tracking: there is no redirection server: tracking.url is not set in the settings";

describe("what a delivery asks for", () => {
  test.each<[string, object, object | undefined | string]>([
    ["nothing: the settings decide", {}, ALL],
    ["true", { tracking: true }, ALL],
    ["false", { tracking: false }, undefined],
    ["one thing less", { tracking: { opens: false } }, { ...ALL, opens: false }],
    [
      "all there is",
      { tracking: { clicks: true, opens: true, textLinks: true, urlLabels: true, anonymous: true, trap: true } },
      { ...ALL, textLinks: true, urlLabels: true, anonymous: true, trap: true },
    ],
    [
      "another of our domains",
      { tracking: { url: "https://t.other.example/" } },
      { ...ALL, url: "https://t.other.example" },
    ],
    [
      "a domain that is not ours",
      { tracking: { url: "https://evil.example" } },
      "400 tracking.url: is neither tracking.url of the settings nor one of tracking.domains",
    ],
    ["what there is not", { tracking: { click: true } }, expect.stringContaining("400 tracking")],
    ["nonsense", { tracking: "yes" }, "400 tracking: must be true, false, or an object"],
  ])("%s", async (_, more, expected) => {
    expect(await trackingOf(api, more)).toEqual(expected);
  });

  test("without a redirection server it cannot be had, and is not by default", async () => {
    expect(await trackingOf(untracked, {})).toBe(undefined);
    expect(await trackingOf(untracked, { tracking: false })).toBe(undefined);
    for (const tracking of [true, {}, { clicks: false, url: "https://t.example.com" }]) {
      expect(await trackingOf(untracked, { tracking })).toBe(NO_SERVER);
    }
    const refused = await untracked.post("/v1/deliveries", { content: CONTENT, from, tracking: true });
    expect(refused.body["errors"]).toMatchObject([{ path: "tracking" }]);
  });

  test("settings that track nothing by themselves still know the addresses; true means it", async () => {
    expect(await trackingOf(quiet, {})).toEqual({ ...ALL, clicks: false, opens: false });
    expect(await trackingOf(quiet, { tracking: true })).toEqual(ALL);
    expect(await trackingOf(quiet, { tracking: { clicks: true } })).toEqual({ ...ALL, opens: false });
  });

  test("the one-click address is on the domain of the delivery", async () => {
    const id = await api.delivery({ tracking: { url: "https://t.other.example" }, listUnsubscribe: true });
    expect((await contentOf(api, id)).listUnsubscribe?.url).toBe("https://t.other.example");
  });
});

describe("what a single message asks for", () => {
  test.each<[string, object, object | undefined]>([
    ["nothing", {}, undefined],
    ["false", { tracking: false }, undefined],
    ["true", { tracking: true }, { ...ALL, single: true }],
    ["clicks only", { tracking: { opens: false } }, { ...ALL, opens: false, single: true }],
  ])("%s", async (_, more, expected) => {
    expect(await ofMessage(api, more)).toEqual(expected);
  });

  test("what there is not", async () => {
    expect(await ofMessage(untracked, { tracking: true })).toBe(NO_SERVER);
  });
});

describe("links of a delivery", () => {
  const SHOP = {
    number: 1,
    part: "html",
    url: "https://x.example/{{id}}",
    personalised: true,
    label: "Shop",
    category: "",
  };
  const Y = { number: 2, part: "html", url: "https://y.example/", personalised: false, label: "y", category: "c" };
  const MAIL = { number: 3, part: "html", url: "mailto:a@b.example", personalised: false, label: "Mail", category: "" };
  const mail = { ...MAIL, tracked: false, untracked: "has the scheme mailto:" };
  const links = async (where: typeof api, id: number): Promise<unknown> =>
    (await where.get(`/v1/deliveries/${id}/links`)).body;
  const content = { ...CONTENT, html };

  test("are kept with the content and listed", async () => {
    const id = await api.delivery({ content });
    expect(await links(api, id)).toEqual({
      links: [{ ...SHOP, tracked: true, untracked: null }, { ...Y, tracked: true, untracked: null }, mail],
    });
    const [kept] = await api.db
      .sql`select jsonb_array_length(c.links) as links from delivery d join content c on c.hash = d.content_hash where d.id = ${id}`;
    expect(kept).toEqual({ links: 3 });
  });

  test("are what they were when it was made, whatever a later version finds", async () => {
    const id = await api.delivery({ content: { ...content, subject: "old" } });
    await api.db
      .sql`update content set links = jsonb_build_array(links -> 1) where hash = (select content_hash from delivery where id = ${id})`;
    expect(await links(api, id)).toEqual({ links: [{ ...Y, tracked: true, untracked: null }] });
  });

  test("are found when they were not kept", async () => {
    const id = await api.delivery({ content: { ...content, subject: "older" } });
    await api.db.sql`update content set links = null where hash = (select content_hash from delivery where id = ${id})`;
    expect(await links(api, id)).toMatchObject({ links: [{ ...SHOP, tracked: true }, { ...Y, tracked: true }, mail] });
  });

  test("of one that is not tracked say so", async () => {
    const not = { tracked: false, untracked: "clicks are not tracked" };
    const expected = { links: [{ ...SHOP, ...not }, { ...Y, ...not }, mail] };
    expect(await links(api, await api.delivery({ content, tracking: false }))).toEqual(expected);
    expect(await links(api, await api.delivery({ content, tracking: { clicks: false } }))).toEqual(expected);
    expect(await links(untracked, await untracked.delivery({ content }))).toEqual(expected);
  });

  test("of single messages are kept once, and again when the content was taken away meanwhile", async () => {
    const send = async (): Promise<number> => {
      const more = { to: "ann@example.net", from, subject: "again", html, tracking: true };
      return (await api.post("/v1/messages", more)).body["deliveryId"] as number;
    };
    const ids = [await send(), await send()];
    for (const id of ids)
      expect(await links(api, id)).toMatchObject({ links: [{ number: 1, tracked: true }, {}, mail] });
    const hashes = await api.db.sql`
      select distinct encode(content_hash, 'hex') as hash, (select count(*)::int from content where links is null and hash = content_hash) as without
      from delivery where id = any(${ids})`;
    expect(hashes).toMatchObject([{ without: 0 }]);
  });

  test("of what is not there are 404, and nobody's without the scope", async () => {
    expect((await api.get("/v1/deliveries/999999/links")).status).toBe(404);
    const token = await api.makeToken(["messages:write"]);
    expect((await api.call("GET", "/v1/deliveries/1/links", undefined, { token })).status).toBe(403);
  });
});

describe("a preview", () => {
  const preview = async (more: object): Promise<{ html: string; text: string; amp?: string }> => {
    const id = await api.delivery(more);
    return (await api.post(`/v1/deliveries/${id}/preview`, { address: "ann@example.net", variables: { id: 1 } }))
      .body as never;
  };
  test("shows tracked links and the pixel where the delivery is tracked", async () => {
    const made = await preview({ content: { ...CONTENT, html, amp: "<html amp4email><body></body></html>" } });
    expect(made.html.match(/https:\/\/t\.example\.com\/r\/[a-z2-7]{31}\/[a-z2-7]+"/g)).toHaveLength(2);
    expect(made.html).toMatch(/<img src="https:\/\/t\.example\.com\/o\/[a-z2-7]{31}\/[a-z2-7]+\.gif"/);
    expect(made.amp).toContain("<amp-img");
  });
  test("shows none where it is not", async () => {
    const made = await preview({ content: { ...CONTENT, html }, tracking: false });
    expect(made.html).toBe(html.replace("{{id}}", "1"));
    expect(made).not.toHaveProperty("amp");
  });
});

test("what is wrong with an AMP part is told with its place", async () => {
  const refused = await api.post("/v1/deliveries", { content: { ...CONTENT, amp: "<p>\n{{#if" }, from });
  expect(refused).toMatchObject({ status: 400, body: { errors: [{ path: "content.amp", line: 2 }] } });
});
