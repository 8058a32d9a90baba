/** Links stopped after they were sent, and the list redirection servers pull: who may, what is refused, what they make of it. */
import { expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { putStop } from "../../src/db/link-stops.ts";
import type { ContentLink } from "../../src/model/delivery.ts";
import { openStops, type StopsList, verifyStops } from "../../src/model/stops.ts";
import { openServers } from "../../src/web/servers.ts";
import { CONTENT, openTestApi } from "../support/api.ts";
import { handClock } from "../support/clock.ts";

const SECRET = "a secret of redirection servers".replaceAll(" ", "-").padEnd(40, "x");
const KEY = { id: 7, secret: Buffer.alloc(32, 7) };
const said: object[] = [];
const api = await openTestApi(
  { tracking: { url: "https://t.example.com", domains: ["https://t.example.net"] } },
  { servers: { secret: () => Buffer.from(SECRET), tokenKeys: () => [KEY] } },
  { ...silentLog, info: (fields) => void said.push(fields) },
);
const LIST = "/v1/tracking/stops";

let count = 0;
/** A delivery with two tracked links and one that is not. */
async function delivery(tracking: object | null = { single: false }): Promise<number> {
  const id = await api.delivery({ content: { ...CONTENT, text: `Content ${++count}` } });
  const link = (number: number, untracked = ""): ContentLink => ({
    number,
    part: "html",
    url: `https://shop.example/${number}`,
    personalised: false,
    label: `Link ${number}`,
    category: "",
    untracked,
  });
  const links = [link(1), link(2), link(3, "its label is a URL")];
  await api.db.sql`
    update content set links = ${api.db.sql.json(links as never)},
      body = json_strip_nulls((body::jsonb || jsonb_build_object('tracking', ${api.db.sql.json(tracking as never)}::jsonb))::json)::text
    where hash = (select content_hash from delivery where id = ${id})`;
  return id;
}

async function list(): Promise<StopsList> {
  const answer = await api.call("GET", LIST, undefined, { token: SECRET });
  expect(answer.status).toBe(200);
  const verified = verifyStops([KEY], answer.text);
  if (typeof verified === "string") throw new Error(verified);
  return verified;
}

test("the list is for redirection servers: no token opens it, and their secret opens nothing else", async () => {
  for (const token of [
    api.token,
    null,
    "",
    SECRET.slice(1),
    `${SECRET}x`,
    SECRET.toUpperCase(),
    "x".repeat(190),
    "x".repeat(5000),
  ]) {
    const refused = await api.call("GET", LIST, undefined, { token });
    expect(refused).toMatchObject({ status: 401, body: { status: 401 } });
    expect(refused.text).not.toContain("mac");
  }
  expect((await api.call("GET", LIST, undefined, { token: SECRET })).status).toBe(200);
  for (const url of ["/v1/deliveries", "/v1/suppressions", "/v1/deliveries/1/tracking"])
    expect((await api.call("GET", url, undefined, { token: SECRET })).status).toBe(401);
});

test.each<[string, object, string]>([
  ["nothing", {}, "disabled"],
  ["nothing in three fields", { disabled: false, expiresAt: null, url: "" }, "disabled"],
  ["a script", { url: "javascript:alert(1)" }, "url"],
  ["data", { url: "data:text/html,x" }, "url"],
  ["another host behind a user", { url: "https://good.example@evil.example/" }, "url"],
  ["another line", { url: "https://a.example/\r\nSet-Cookie: a=b" }, "url"],
  ["no scheme", { url: "//evil.example" }, "url"],
  ["a relative place", { url: "/r/x" }, "url"],
  ["a backslash", { url: "https:\\\\evil.example" }, "url"],
  ["10 KB", { url: `https://a.example/${"x".repeat(9_000)}` }, "url"],
  ["too long to look at", { url: `https://a.example/${"x".repeat(50_000)}` }, "url"],
  ["a reader's own link", { url: "https://t.example.com/r/abc/def" }, "url"],
  ["the same on another domain of ours", { url: "https://T.example.net:443/r/abc/def" }, "url"],
  ["a time without its offset", { expiresAt: "2030-01-01T00:00:00" }, "expiresAt"],
  ["a number", { expiresAt: 5 }, "expiresAt"],
  ["a misspelt field", { disable: true }, "disable"],
])("%s is refused", async (_, body, path) => {
  const id = await delivery();
  for (const url of [`/v1/deliveries/${id}/tracking`, `/v1/deliveries/${id}/links/1`])
    expect(await api.call("PUT", url, body)).toMatchObject({ status: 400, body: { errors: [{ path }] } });
  expect((await api.get(`/v1/deliveries/${id}/tracking`)).body).toMatchObject({ changedAt: null, links: [] });
});

test("a link the delivery has not, one that is not tracked, a delivery there is not", async () => {
  const id = await delivery();
  const stop = { disabled: true };
  for (const number of ["0", "4", "999999999"])
    for (const method of ["GET", "PUT", "DELETE"])
      expect(
        (await api.call(method, `/v1/deliveries/${id}/links/${number}`, method === "PUT" ? stop : undefined)).status,
      ).toBe(404);
  for (const number of ["-1", "1e0", "1%20", "9999999999", "one"])
    expect((await api.call("PUT", `/v1/deliveries/${id}/links/${number}`, stop)).status).toBe(400);
  expect(await api.call("PUT", `/v1/deliveries/${id}/links/3`, stop)).toMatchObject({
    status: 409,
    body: { detail: "the link is not tracked: its label is a URL" },
  });
  for (const url of ["/v1/deliveries/999999/tracking", "/v1/deliveries/999999/links/1"])
    for (const method of ["GET", "PUT", "DELETE"])
      expect((await api.call(method, url, method === "PUT" ? stop : undefined)).status).toBe(404);
  expect((await list()).stops.filter(({ delivery }) => delivery === id)).toEqual([]);
});

test("what no redirection server could obey is refused: links of a single message, of a delivery that is not tracked", async () => {
  for (const [tracking, text] of [
    [{ single: true }, "name no delivery"],
    [null, "is not tracked"],
  ] as const) {
    const id = await delivery(tracking);
    for (const url of [`/v1/deliveries/${id}/tracking`, `/v1/deliveries/${id}/links/1`])
      expect(await api.call("PUT", url, { disabled: true })).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining(text) },
      });
    expect((await api.get(`/v1/deliveries/${id}/tracking`)).body).toMatchObject({ disabled: false, links: [] });
  }
});

test("a link is stopped, leads elsewhere, and back: with who and when, and servers obey", async () => {
  const id = await delivery();
  const url = `/v1/deliveries/${id}/links/2`;
  const before = await api.get(url);
  expect(before.body).toMatchObject({ leads: "as-written", by: "", changedAt: null, link: { label: "Link 2" } });
  const began = Date.now();
  expect((await api.call("PUT", url, { disabled: true })).body).toMatchObject({ leads: "nowhere", by: "test" });
  const corrected = await api.call("PUT", url, { url: "https://shop.example/right?a=1#b" });
  expect(corrected).toMatchObject({
    status: 200,
    body: { leads: "elsewhere", leadsTo: "https://shop.example/right?a=1#b", disabled: false, by: "test" },
  });
  expect(Date.parse(corrected.body["changedAt"])).toBeGreaterThan(began - 60_000);
  const stops = openStops(await list());
  expect(stops.direction(id, 2, Date.now())).toEqual({ kind: "elsewhere", url: "https://shop.example/right?a=1#b" });
  expect(stops.direction(id, 1, Date.now())).toEqual({ kind: "go" });
  expect((await api.get(`/v1/deliveries/${id}/tracking`)).body).toMatchObject({
    disabled: false,
    changedAt: null,
    links: [{ number: 2, leads: "elsewhere" }],
  });
  for (let i = 0; i < 2; i++) expect((await api.call("DELETE", url)).status).toBe(204);
  expect((await api.get(url)).body).toMatchObject({ leads: "as-written", changedAt: null });
  expect(openStops(await list()).direction(id, 2, Date.now())).toEqual({ kind: "go" });
  const told = said.filter((line) => (line as { delivery?: number }).delivery === id);
  expect(told).toMatchObject([
    { link: 2, disabled: true, by: "test" },
    { link: 2, url: "https://shop.example/right?a=1#b", by: "test" },
    { link: 2, by: "test", was: { url: "https://shop.example/right?a=1#b" } },
  ]);
});

test("the kill switch is above what is said of a link; expiry holds from its time on", async () => {
  const id = await delivery();
  const whole = `/v1/deliveries/${id}/tracking`;
  await api.call("PUT", `/v1/deliveries/${id}/links/1`, { url: "https://shop.example/right" });
  const at = Date.now() + 3_600_000;
  const answer = await api.call("PUT", whole, { expiresAt: new Date(at).toISOString() });
  expect(answer.body).toMatchObject({ disabled: false, links: [{ number: 1, leads: "elsewhere" }] });
  const stops = openStops(await list());
  expect(stops.direction(id, 2, at - 1)).toEqual({ kind: "go" });
  expect(stops.direction(id, 1, at)).toEqual({ kind: "gone" });
  await api.call("PUT", whole, { disabled: true, url: "https://shop.example/sorry" });
  expect((await api.get(`/v1/deliveries/${id}/links/1`)).body).toMatchObject({
    leads: "elsewhere",
    leadsTo: "https://shop.example/sorry",
    url: "https://shop.example/right",
  });
  await api.call("DELETE", whole);
  expect((await api.get(whole)).body).toMatchObject({ disabled: false, links: [{ number: 1 }] });
});

test("each list is later than the one before", async () => {
  const first = await list();
  const second = await list();
  expect(second.at).toBeGreaterThanOrEqual(first.at);
  expect(Math.abs(second.at - Date.now())).toBeLessThan(60_000);
});

test("scopes: reading is not stopping", async () => {
  const id = await delivery();
  const url = `/v1/deliveries/${id}/tracking`;
  const reader = await api.makeToken(["tracking:read", "deliveries:write"]);
  const writer = await api.makeToken(["tracking:write"]);
  expect((await api.call("PUT", url, { disabled: true }, { token: reader })).status).toBe(403);
  expect((await api.call("DELETE", url, undefined, { token: reader })).status).toBe(403);
  expect((await api.call("GET", url, undefined, { token: writer })).status).toBe(403);
  expect((await api.call("PUT", url, { disabled: true }, { token: writer })).status).toBe(200);
});

test("their number is bounded; those that are there can still be changed", async () => {
  const { sql } = api.db;
  await sql`insert into link_stop (delivery_id, link, disabled, by_whom) select 1000000 + n, -1, true, 'x' from generate_series(1, 100000) n`;
  const id = await delivery();
  expect((await api.call("PUT", `/v1/deliveries/${id}/tracking`, { disabled: true })).status).toBe(409);
  const old = { delivery: 1_000_001, link: -1, disabled: false, expiresAt: 5, url: "" };
  expect(await putStop(sql, old, "y")).toMatchObject({ disabled: false, by: "y" });
  expect((await list()).stops.length).toBeGreaterThan(100_000);
  await sql`delete from link_stop where delivery_id > 1000000`;
});

test("files that cannot be read: 503 at first, and later the last that were good", async () => {
  const clock = handClock(Date.now());
  let broken = true;
  let secret = "first".padEnd(40, "x");
  const other = await openTestApi(
    {},
    {
      servers: openServers({
        clock,
        log: silentLog,
        readSecret() {
          if (broken) throw new Error("unreadable");
          return Buffer.from(secret);
        },
        readKeys: () => [KEY],
      }),
    },
    silentLog,
  );
  const status = async (token: string): Promise<number> => (await other.call("GET", LIST, undefined, { token })).status;
  expect(await status(secret)).toBe(503);
  broken = false;
  expect(await status(secret)).toBe(200);
  const old = secret;
  secret = "second".padEnd(40, "x");
  expect([await status(old), await status(secret)]).toEqual([200, 401]);
  await clock.advance(10_001);
  expect([await status(old), await status(secret)]).toEqual([401, 200]);
  broken = true;
  await clock.advance(10_001);
  expect(await status(secret)).toBe(200);
});

test("without redirection servers there is no list", async () => {
  const none = await openTestApi();
  expect((await none.call("GET", LIST, undefined, { token: "" })).status).toBe(404);
});
