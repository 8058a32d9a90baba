/** Mirror pages against the real server and a web beside it that is scripted, away, slow or wrong. */
import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { MOST_SENDING } from "../../../src/redirector/mirror/sending.ts";
import { handClock } from "../../support/clock.ts";
import {
  link,
  openTestRedirector,
  openTestWeb,
  SECRET,
  testKey,
  type TestRedirector,
  token,
} from "../../support/redirector.ts";
import { until } from "../../support/until.ts";

const HTML = "<!doctype html><p>Hello <b>Ann</b> &amp; <script>alert(1)</script>";
const OURS = "default-src 'none'; style-src 'unsafe-inline'";
let server: TestRedirector;
let web: Awaited<ReturnType<typeof openTestWeb>>;
let asked: string[];
/** What web says; a test changes it. */
let say: { status: number; type: string; body: string; headers: Record<string, string> };
/** Requests that are held until they are let go. */
let held: (() => void)[] | null;

beforeEach(async () => {
  asked = [];
  held = null;
  say = { status: 200, type: "text/html; charset=utf-8", body: HTML, headers: { "x-delivery": "7" } };
  web = await openTestWeb((request, response) => {
    if (request.url?.startsWith("/v1/mirror/") !== true) return void response.writeHead(404).end();
    asked.push(`${request.headers.authorization} ${request.url}`);
    const answer = (): void => {
      response.writeHead(say.status, { "content-type": say.type, ...say.headers }).end(say.body);
    };
    if (held === null) answer();
    else held.push(answer);
  });
  server = await openTestRedirector({ settings: { web: web.url } });
});
afterEach(async () => {
  await server.close();
  await web.close();
});

const cached = (): string[] => readdirSync(join(server.folder, "mirror"));

describe("there is no page", () => {
  test("for a token that is none, and web is not asked", async () => {
    for (const bad of [token(1, testKey(9)), "-", "x", "..%2f..%2fetc%2fpasswd"])
      expect((await server.ask(`/m/${bad}`)).status).toBe(404);
    expect(asked).toEqual([]);
  });
  test("for what web does not know (any more), or what was stopped: also what was cached is gone then", async () => {
    say.status = 404;
    expect((await server.ask(`/m/${token(1)}`)).status).toBe(404);
    await server.close();
    say.status = 200;
    server = await openTestRedirector({ settings: { web: web.url, mirrorCacheMs: 0 } });
    expect((await server.ask(`/m/${token(1)}`)).status).toBe(200);
    expect(cached()).toHaveLength(1);
    say.status = 410;
    expect((await server.ask(`/m/${token(1)}`)).status).toBe(410);
    expect(cached()).toEqual([]);
  });
  test("when web is away and it was never seen: try again later, said at once the second time", async () => {
    await web.close();
    for (let i = 0; i < 3; i++)
      expect(await server.ask(`/m/${token(1)}`)).toMatchObject({ status: 503, headers: { "retry-after": "60" } });
    expect(await server.records()).toEqual([]);
  });
  test("when web is busy: it is left alone as long as it asks for", async () => {
    const clock = handClock(Date.now());
    const other = await openTestRedirector({ settings: { web: web.url }, clock });
    onTestFinished(() => other.close());
    Object.assign(say, { status: 503, type: "application/problem+json", headers: { "retry-after": "1" } });
    for (let i = 1; i <= 5; i++) expect((await other.ask(`/m/${token(i)}`)).status).toBe(503);
    expect(asked).toHaveLength(1);
    await clock.advance(1000);
    say.headers = {};
    for (let i = 1; i <= 5; i++) await other.ask(`/m/${token(i)}`);
    expect(asked).toHaveLength(6);
  });
  test.each<[string, () => void]>([
    ["a redirect", () => Object.assign(say, { status: 302, headers: { location: "http://evil.example/" } })],
    ["an error", () => Object.assign(say, { status: 500 })],
    ["no HTML", () => Object.assign(say, { type: "application/json" })],
    ["17 MB", () => Object.assign(say, { body: "x".repeat(17 * 1024 * 1024) })],
  ])("when web answers with %s", async (_what, change) => {
    change();
    expect((await server.ask(`/m/${token(1)}`)).status).toBe(503);
    expect(cached()).toEqual([]);
  });
  test("when too many are being fetched", async () => {
    held = [];
    const first = Array.from({ length: 32 }, (_, i) => server.ask(`/m/${token(i + 1)}`));
    // Eight connections to web; the others wait for one.
    await until(() => held!.length === 8);
    expect((await server.ask(`/m/${token(99)}`)).status).toBe(503);
    const release = held;
    held = null;
    for (const answer of release) answer();
    for (const answer of await Promise.all(first)) expect(answer.status).toBe(200);
  });
});

describe("there is one", () => {
  test("fetched with the secret, shown without a script and in a sandbox, and written down", async () => {
    const answer = await server.ask(`/m/${token(1)}`);
    expect(answer).toMatchObject({
      status: 200,
      body: HTML,
      headers: {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "content-security-policy":
          "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; " +
          "script-src 'none'; object-src 'none'; frame-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
      },
    });
    expect(asked).toEqual([`Bearer ${SECRET} /v1/mirror/${token(1)}`]);
    expect(await server.ask(`/M/${token(1).toUpperCase()}/?x=1`, { method: "HEAD" })).toMatchObject({
      status: 200,
      body: "",
    });
    expect(asked).toHaveLength(1);
    expect(await server.records()).toMatchObject([
      { kind: "mirror", message: 1, delivery: 7, method: "GET" },
      { kind: "mirror", message: 1, delivery: 7, method: "HEAD" },
    ]);
  });

  test("what web says of its page holds too, now and from the cache; nonsense does not", async () => {
    say.headers["content-security-policy"] = OURS;
    say.headers["x-delivery"] = "x";
    for (let i = 0; i < 2; i++) {
      const { headers } = await server.ask(`/m/${token(1)}`);
      expect(headers["content-security-policy"]).toMatch(
        /^sandbox [^]*base-uri 'none', default-src 'none'; style-src 'unsafe-inline'$/,
      );
    }
    expect(asked).toHaveLength(1);
    expect((await server.records())[0]).toMatchObject({ delivery: 0 });
  });

  test("of an anonymous delivery, which is counted and does not say who looked, now and from the cache", async () => {
    say.headers["x-anonymous"] = "1";
    for (let i = 0; i < 2; i++) expect((await server.ask(`/m/${token(1)}`)).status).toBe(200);
    expect(asked).toHaveLength(1);
    const records = await server.records();
    expect(records.map(({ kind, message, delivery }) => [kind, message, delivery])).toEqual([
      ["mirror", 0, 7],
      ["mirror", 0, 7],
    ]);
  });

  test("to nobody more while those who do not read theirs hold what memory there is for it", async () => {
    const clock = handClock(Date.now());
    const slow = await openTestRedirector({ settings: { web: web.url }, clock });
    onTestFinished(() => slow.close());
    say.body = HTML.padEnd(12 * 1024 * 1024);
    await slow.ask(`/m/${token(1)}`);
    const readers = Array.from({ length: Math.floor(MOST_SENDING / say.body.length) }, () => {
      const socket = connect(slow.port, "127.0.0.1").pause();
      onTestFinished(() => void socket.destroy());
      socket.write(`GET /m/${token(1)} HTTP/1.1\r\nHost: t\r\n\r\n`);
      return socket;
    });
    await until(async () => (await slow.records()).length > readers.length, { what: "them to hold it" });
    const turnedAway = async (): Promise<boolean> => (await slow.ask(`/m/${token(1)}`)).status === 503;
    expect(await turnedAway()).toBe(true);
    // Everybody else is served.
    expect((await slow.ask(`/r/${token(1)}/${link()}`)).status).toBe(302);
    await clock.advance(60_000);
    await until(async () => !(await turnedAway()), { what: "them to be sent away" });
  });

  test("asked for by many at the same time, fetched once", async () => {
    held = [];
    const answers = Array.from({ length: 20 }, () => server.ask(`/m/${token(1)}`));
    await until(() => held!.length === 1);
    held[0]!();
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ status: 200, body: HTML });
    expect(asked).toHaveLength(1);
  });

  test("however old, while web is away; after a restart too; and a new one when it is back", async () => {
    await server.ask(`/m/${token(1)}`);
    const old = new Date(Date.now() - 30 * 86_400_000);
    utimesSync(join(server.folder, "mirror", cached()[0]!), old, old);
    writeFileSync(join(server.folder, "mirror/17.new"), "half a page");
    await server.restart();
    expect(cached()).toHaveLength(1);
    say = { ...say, status: 503, body: "busy", type: "application/problem+json" };
    expect(await server.ask(`/m/${token(1)}`)).toMatchObject({ status: 200, body: HTML });
    say = { ...say, status: 200, body: "<p>new", type: "text/html" };
    expect(await server.ask(`/m/${token(1)}`)).toMatchObject({ status: 200, body: "<p>new" });
    await web.close();
    expect(await server.ask(`/m/${token(1)}`)).toMatchObject({ status: 200, body: "<p>new" });
  });

  test("a cached file that somebody damaged is fetched again", async () => {
    await server.ask(`/m/${token(1)}`);
    writeFileSync(join(server.folder, "mirror", cached()[0]!), "no page at all");
    expect(await server.ask(`/m/${token(1)}`)).toMatchObject({ status: 200, body: HTML });
    expect(asked).toHaveLength(2);
  });
});

test("the cache is bounded: the least recently used go, and one page is not the whole of it", async () => {
  await server.close();
  say.body = "x".repeat(1000);
  server = await openTestRedirector({ settings: { web: web.url, mirrorCacheBytes: 5000 } });
  const ask = async (message: number): Promise<void> =>
    void expect((await server.ask(`/m/${token(message)}`)).status).toBe(200);
  for (const message of [1, 2, 3, 4]) await ask(message);
  await ask(1); // used again
  await ask(5);
  await until(() => cached().length === 4);
  expect(cached().sort()).toEqual([1, 3, 4, 5].map((message) => `${token(message)}.page`).sort());
  say.body = "x".repeat(2000);
  await ask(6);
  expect(cached()).toHaveLength(4);
});
