/** Web and a redirection server, both real: what is said to the one is done by the other, and goes on being done when web is away. */
import { afterAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { Tracking } from "../../src/model/delivery.ts";
import { signLink } from "../../src/model/link.ts";
import { signToken } from "../../src/model/token.ts";
import { openTestApi } from "../support/api.ts";
import { putDelivery } from "../support/ledger.ts";
import { KEY, openTestRedirector, SECRET } from "../support/redirector.ts";
import { until } from "../support/until.ts";

const TRACKING: Tracking = {
  url: "http://t.example.com",
  clicks: true,
  opens: true,
  textLinks: false,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};
const api = await openTestApi(
  { tracking: { url: TRACKING.url } },
  { servers: { secret: () => Buffer.from(SECRET), tokenKeys: () => [KEY] } },
  silentLog,
);
const server = await openTestRedirector({
  settings: { web: await api.listen(), stopsMs: 50, mirrorCacheMs: 0 },
});
afterAll(() => server.close());

async function message(html: string): Promise<{ deliveryId: number; token: string; click(url: string): string }> {
  const { id, firstId } = await putDelivery(api.db.sql, {
    addresses: ["ann@x.example"],
    variables: [{ name: "<Ann>" }],
    content: { html, tracking: TRACKING },
  });
  const links = [{ number: 1, part: "html", url: "https://shop.example/1", untracked: "" }];
  await api.db
    .sql`update content set links = ${api.db.sql.json(links as never)} where hash = (select content_hash from delivery where id = ${id})`;
  const token = signToken(KEY, firstId);
  return {
    deliveryId: id,
    token,
    click: (url) => `/r/${token}/${signLink(KEY, { kind: "click", delivery: id, number: 1, url })}`,
  };
}

test("a link is stopped, corrected and let go again, where readers click", async () => {
  const { deliveryId, click } = await message("<p>stops</p>");
  const path = click("https://shop.example/1");
  const target = async (): Promise<string> => {
    const { status, headers } = await server.ask(path);
    return `${status} ${headers.location ?? ""}`.trim();
  };
  const url = `/v1/deliveries/${deliveryId}/links/1`;
  expect(await target()).toBe("302 https://shop.example/1");
  await api.call("PUT", url, { disabled: true });
  await until(async () => (await target()) === "410");
  await api.call("PUT", url, { url: "https://shop.example/right" });
  await until(async () => (await target()) === "302 https://shop.example/right");
  await api.call("PUT", `/v1/deliveries/${deliveryId}/tracking`, { expiresAt: "2026-01-01T00:00:00Z" });
  await until(async () => (await target()) === "410");
  await api.call("DELETE", `/v1/deliveries/${deliveryId}/tracking`);
  await api.call("DELETE", url);
  await until(async () => (await target()) === "302 https://shop.example/1");
});

test("the mirror page of a mail leads through the redirection server, and runs nothing a recipient brought", async () => {
  const { deliveryId, token } = await message('<p>{{name}} {{{name}}}</p><a href="https://shop.example/1">x</a>');
  const page = await server.ask(`/m/${token}`);
  expect(page.status).toBe(200);
  expect(page.body).toContain("<p>&lt;Ann&gt; <Ann></p>");
  const [, link] = /href="http:\/\/t\.example\.com(\/r\/[^"]+)"/.exec(page.body) ?? [];
  expect((await server.ask(link!)).headers.location).toBe("https://shop.example/1");
  expect(page.headers["content-security-policy"]).toMatch(/script-src 'none'/);
  const records = await server.records();
  expect(records.filter(({ delivery }) => delivery === deliveryId).map(({ kind }) => kind)).toEqual([
    "mirror",
    "click",
  ]);
  await api.call("PUT", `/v1/deliveries/${deliveryId}/tracking`, { disabled: true });
  await until(async () => (await server.ask(`/m/${token}`)).status === 410);
});

test("with web away stopped links stay stopped, also after a restart, and the others lead where they say", async () => {
  const stopped = await message("<p>stopped</p>");
  const other = await message("<p>other</p>");
  await api.call("PUT", `/v1/deliveries/${stopped.deliveryId}/tracking`, { disabled: true });
  const path = stopped.click("https://shop.example/1");
  await until(async () => (await server.ask(path)).status === 410);
  await api.server.close();
  await server.restart();
  expect((await server.ask(path)).status).toBe(410);
  expect((await server.ask(other.click("https://shop.example/2"))).headers.location).toBe("https://shop.example/2");
});
