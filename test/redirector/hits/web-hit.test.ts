/** Web tracking against the real server: anybody may say anything, and little of it is believed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MOST_RECORD } from "../../../src/model/tracking.ts";
import {
  type Answer,
  link,
  openTestRedirector,
  testKey,
  type TestRedirector,
  token,
} from "../../support/redirector.ts";

let server: TestRedirector;
beforeAll(async () => {
  const settings = { visitorCookie: true, strayVisits: true };
  server = await openTestRedirector({ settings, tracking: { url: "https://t.example.com" } });
});
afterAll(() => server.close());

const lately = async (before: number) => (await server.records()).slice(before);
const count = async (): Promise<number> => (await server.records()).length;
const post = (path: string, body: string, type = "application/x-www-form-urlencoded"): Promise<Answer> =>
  server.ask(path, { method: "POST", body, headers: { "content-type": type } });

test.each<[string, number]>([
  ["", 400],
  ["?", 400],
  ["?tag=", 400],
  [`?tag=${"a".repeat(101)}`, 400],
  ["?tag=a&type=order", 400],
  ["?tag=a&amount=NaN", 400],
  ["?tag=a&amount=1e9", 400],
  ["?tag=a&amount=Infinity", 400],
  ["?tag=a&amount=0x10", 400],
  ["?tag=a&amount=1.000,50", 400],
  ["?tag=a&amount=", 400],
  [`?tag=a&amount=${"9".repeat(13)}`, 400],
  ["?tag=a&amount=1%00", 400],
  ["?tag=a&articles=1.5", 400],
  ["?tag=a&articles=-1", 400],
  ["?tag=a&articles=10000000", 400],
  ["?tag=a&token=forged", 404],
  [`?tag=a&token=${token(1, testKey(9))}`, 404],
])("%s is not written down", async (query, status) => {
  const answer = await server.ask(`/t${query}`);
  expect(answer.status).toBe(status);
  expect(answer.headers["content-type"]).not.toBe("image/gif");
  expect(await server.records()).toEqual([]);
});

describe("a page and a purchase", () => {
  test("by an image, with a token", async () => {
    const before = await count();
    const query = `tag=Basket%20%E2%82%AC&type=transaction&token=${token(7)}&amount=1234.565&articles=3&color=red&size=%C3%BC`;
    const answer = await server.ask(`/t?${query}`);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "image/gif" } });
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(await server.ask("/t?tag=home&amount=-12%2C5")).toMatchObject({ status: 200 });
    expect(await lately(before)).toMatchObject([
      {
        kind: "transaction",
        message: 7,
        delivery: 0,
        link: 0,
        web: {
          tag: "Basket €",
          amount: 1234.57,
          articles: 3,
          more: [
            ["color", "red"],
            ["size", "ü"],
          ],
        },
      },
      { kind: "page", message: 0, web: { tag: "home", amount: -12.5, articles: 0, more: [] } },
    ]);
  });

  test("by a beacon, with the parameters in the address or in the body", async () => {
    const before = await count();
    const parameters = `tag=thanks&type=transaction&token=${token(8)}&amount=20`;
    expect(await post("/t", parameters)).toMatchObject({ status: 204, body: "" });
    expect(await post("/t", parameters, "text/plain;charset=UTF-8")).toMatchObject({ status: 204 });
    expect(await post(`/t?${parameters}`, "")).toMatchObject({ status: 204 });
    const records = await lately(before);
    expect(records).toHaveLength(3);
    for (const record of records) expect(record).toMatchObject({ message: 8, method: "POST", web: { amount: 20 } });
  });

  test("more than a record holds is left out, from the end", async () => {
    const before = await count();
    const more = Array.from({ length: 60 }, (_, i) => `n${i}${"n".repeat(100)}=${encodeURIComponent("ü".repeat(300))}`);
    await post(`/t?tag=big`, more.join("&").slice(0, 16_000));
    await server.ask(`/t?tag=small&${Array.from({ length: 30 }, (_, i) => `n${i}=${i}`).join("&")}`);
    const [big, small] = await lately(before);
    expect(big!.web!.more.length).toBeGreaterThan(3);
    for (const [name, value] of big!.web!.more) expect([name.length, value.length]).toEqual([64, 256]);
    expect(Buffer.byteLength(JSON.stringify(big))).toBeLessThan(MOST_RECORD + 200);
    expect(small!.web!.more).toHaveLength(20);
    expect((await post("/t", `tag=a&x=${"x".repeat(20_000)}`)).status).toBe(413);
    expect(await count()).toBe(before + 2);
  });
});

describe("the session of a click", () => {
  test("tells later visits apart and whose they are, in cookies nobody else can read", async () => {
    const before = await count();
    const click = await server.ask(`/r/${token(9)}/${link()}`);
    const set = click.headers["set-cookie"] ?? [];
    expect(set).toEqual([
      expect.stringMatching(
        /^postilion-visitor=[\w-]{22}; Max-Age=31536000; Path=\/; HttpOnly; Secure; SameSite=None$/,
      ),
      `postilion-session=${token(9)}; Path=/; HttpOnly; Secure; SameSite=None`,
    ]);
    const cookie = set.map((each) => each.split(";")[0]).join("; ");
    const visitor = /postilion-visitor=([\w-]+)/.exec(cookie)![1];
    await server.ask("/t?tag=basket", { headers: { cookie: `a=b; ${cookie}; c=d` } });
    expect(await lately(before)).toMatchObject([
      { kind: "click", message: 9, visitor },
      { kind: "page", message: 9, visitor },
    ]);
  });

  test("is no part of anonymous hits: the visitor of an earlier mail would say whose they are", async () => {
    const before = await count();
    const set = (await server.ask(`/r/${token(9)}/${link()}`)).headers["set-cookie"] ?? [];
    const headers = { cookie: set.map((each) => each.split(";")[0]).join("; ") };
    const click = await server.ask(`/r/-/${link()}`, { headers });
    expect(click).toMatchObject({ status: 302 });
    expect(click.headers["set-cookie"]).toBeUndefined();
    await server.ask(`/o/-/${link({ kind: "open", number: 0, url: "" })}.gif`, { headers });
    // What a template makes of {{messageToken}} then.
    expect((await server.ask("/t?tag=basket&token=-", { headers })).status).toBe(200);
    const [first, ...anonymous] = await lately(before);
    expect(first!.visitor).toMatch(/./);
    expect(anonymous.map(({ kind, message, visitor }) => [kind, message, visitor])).toEqual([
      ["click", 0, ""],
      ["open", 0, ""],
      ["page", 0, ""],
    ]);
  });

  test("cookies of a stranger's making are not believed, and hurt nobody", async () => {
    const before = await count();
    for (const cookie of [
      `postilion-session=${token(9, testKey(9))}; postilion-visitor=x`,
      "postilion-session=; postilion-visitor=<script>",
      "postilion-visitor",
      "=;;=; ;",
    ]) {
      expect((await server.ask("/t?tag=x", { headers: { cookie } })).status).toBe(200);
    }
    for (const record of await lately(before)) expect(record).toMatchObject({ message: 0, visitor: "" });
  });

  test("no cookie without the setting; SameSite=Lax without HTTPS", async () => {
    const without = await openTestRedirector();
    const path = `/r/${token(9)}/${link()}`;
    expect((await without.ask(path)).headers["set-cookie"]).toBeUndefined();
    // Nobody's visit: it is answered, and not written down.
    const { length } = await without.records();
    const cookie = `postilion-session=${token(9)}; postilion-visitor=${"v".repeat(22)}`;
    for (const path of ["/t?tag=x", "/t?tag=x&type=transaction&amount=5", "/t?tag=x&token=-"])
      expect((await without.ask(path, { headers: { cookie } })).status).toBe(200);
    expect((await without.ask("/t?tag=x", { method: "POST" })).status).toBe(204);
    expect(await without.records()).toHaveLength(length);
    await without.ask(`/t?tag=x&token=${token(9)}`, { headers: { cookie } });
    expect((await without.records()).at(-1)).toMatchObject({ message: 9, visitor: "" });
    await without.close();
    const plain = await openTestRedirector({ settings: { visitorCookie: true } });
    expect((await plain.ask(path)).headers["set-cookie"]![0]).toMatch(/HttpOnly; SameSite=Lax$/);
    await plain.close();
  });
});
