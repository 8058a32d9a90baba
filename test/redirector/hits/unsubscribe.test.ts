/** Unsubscribing against the real server: what must not do it, then every shape in which it comes. */
import { connect } from "node:net";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { handClock } from "../../support/clock.ts";
import {
  type Answer,
  link,
  openTestRedirector,
  sayRaw,
  testKey,
  type TestRedirector,
  token,
} from "../../support/redirector.ts";
import { until } from "../../support/until.ts";

let server: TestRedirector;
beforeAll(async () => {
  server = await openTestRedirector({ settings: { visitorCookie: true } });
});
afterAll(() => server.close());

let message = 100;
/** A message nobody has unsubscribed from yet. */
const fresh = (): string => token(++message);
const hintsOf = async (): Promise<string[]> =>
  (await server.records()).filter((record) => record.message === message).map(({ kind, hint }) => `${kind} ${hint}`);

describe("nobody is unsubscribed", () => {
  afterEach(async () => {
    if ((await server.records()).length > 0) throw new Error("somebody was unsubscribed");
  });

  test("by looking at the page, by whatever looks", async () => {
    for (const headers of [{}, { purpose: "prefetch" }, { "user-agent": "BarracudaCentral" }])
      expect((await server.ask(`/u/${fresh()}`, { headers })).status).toBe(200);
    expect(await server.ask(`/u/${fresh()}`, { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    expect((await server.ask(`/u/${fresh()}?List-Unsubscribe=One-Click`)).status).toBe(200);
  });
  test("by a token that is none", async () => {
    for (const bad of [token(1, testKey(2)), `${fresh().slice(1)}a`, "-", "x", fresh() + fresh()]) {
      expect((await server.ask(`/u/${bad}`)).status).toBe(404);
      expect((await server.ask(`/u/${bad}`, { method: "POST", body: "List-Unsubscribe=One-Click" })).status).toBe(404);
    }
  });
  test("by other methods", async () => {
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const answer = await server.ask(`/u/${fresh()}`, { method });
      expect(answer).toMatchObject({ status: 405, headers: { allow: "GET, HEAD, POST, OPTIONS" } });
    }
  });
  test("by somebody who went away in the middle of saying so", async () => {
    const socket = connect(server.port, "127.0.0.1");
    socket.write(`POST /u/${fresh()} HTTP/1.1\r\nHost: t\r\nContent-Length: 26\r\n\r\nList-Uns`);
    await until(() => socket.bytesWritten > 0);
    socket.destroy();
    await until(() => socket.closed);
  });
});

const MULTIPART = [
  "--b_1",
  'Content-Disposition: form-data; name="List-Unsubscribe"',
  "",
  "One-Click",
  "--b_1--",
  "",
].join("\r\n");

describe("everybody is who posts", () => {
  test.each<[string, string, Record<string, string>, string]>([
    // As Gmail sends it, and as Yahoo and Apple do.
    [
      "urlencoded",
      "List-Unsubscribe=One-Click",
      { "content-type": "application/x-www-form-urlencoded", "user-agent": "Gmail-Unsubscribe" },
      "one-click",
    ],
    [
      "multipart",
      MULTIPART,
      { "content-type": "multipart/form-data; boundary=b_1", "user-agent": "YahooMailProxy" },
      "one-click",
    ],
    ["in other cases, encoded", "list-unsubscribe%3Done-click", {}, "one-click"],
    ["without any body", "", { "content-length": "0" }, "one-click"],
    ["of another type", '{"List-Unsubscribe":"One-Click"}', { "content-type": "application/json" }, "one-click"],
    ["with a type that is none", "\x00\xff", { "content-type": ";;;" }, "one-click"],
    [
      "from our page",
      "page=1",
      { "content-type": "application/x-www-form-urlencoded", "sec-fetch-mode": "navigate" },
      "page",
    ],
    ["from our page, by a browser that says nothing of itself", "page=1", {}, "page"],
    ["from a page of the operator's", "", { "sec-fetch-mode": "navigate", "content-length": "0" }, "page"],
  ])("%s", async (_what, body, headers, hint) => {
    const answer = await server.ask(`/u/${fresh()}`, { method: "POST", body, headers });
    expect(answer.status).toBe(200);
    // RFC 8058 §3.1: no redirect, no cookie.
    expect(answer.headers.location).toBeUndefined();
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(answer.body).toContain("You are unsubscribed");
    expect(await hintsOf()).toEqual([`unsubscribe ${hint}`]);
  });

  test("in chunks, over HTTP/1.0, with Expect, to an address that was changed on the way", async () => {
    const chunked = `POST /u/${fresh()} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
    expect(await sayRaw(server.port, `${chunked}1a\r\nList-Unsubscribe=One-Click\r\n0\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 200 /,
    );
    expect(await hintsOf()).toEqual(["unsubscribe one-click"]);
    const old = `POST /u/${fresh()} HTTP/1.0\r\nContent-Length: 26\r\n\r\nList-Unsubscribe=One-Click`;
    expect(await sayRaw(server.port, old)).toMatch(/^HTTP\/1.1 200 /);
    expect(await hintsOf()).toEqual(["unsubscribe one-click"]);
    const expecting = `POST /u/${fresh()} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 26\r\nConnection: close\r\n\r\n`;
    expect(await sayRaw(server.port, `${expecting}List-Unsubscribe=One-Click`)).toMatch(
      /100 Continue\r\n\r\nHTTP\/1.1 200 /,
    );
    const changed = `/U/${fresh().toUpperCase()}/?utm_source=x`;
    expect((await server.ask(changed, { method: "POST", body: "List-Unsubscribe=One-Click" })).status).toBe(200);
    expect(await hintsOf()).toEqual(["unsubscribe one-click"]);
  });

  // Each of them took a second, in which nobody else was served.
  test("a body of line ends, by the hundred", async () => {
    const body = `list-unsubscribe${"\n".repeat(16_000)}`;
    for (let i = 0; i < 100; i++)
      expect((await server.ask(`/u/${fresh()}`, { method: "POST", body })).status).toBe(200);
    expect(await hintsOf()).toEqual(["unsubscribe one-click"]);
  });

  test("a megabyte is not read, and unsubscribes all the same", async () => {
    const head = `POST /u/${fresh()} HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n`;
    const heard = await sayRaw(server.port, head + "x".repeat(100_000));
    expect(heard).toMatch(/^HTTP\/1.1 200 [^]*connection: close/i);
    expect(await hintsOf()).toEqual(["unsubscribe one-click"]);
  });

  test("a body that does not come is not waited for", async () => {
    const clock = handClock();
    const other = await openTestRedirector({ clock });
    let heard = "";
    const saying = sayRaw(other.port, `POST /u/${fresh()} HTTP/1.1\r\nHost: t\r\nContent-Length: 26\r\n\r\nList`);
    void saying.then((text) => (heard = text));
    await until(async () => (await clock.advance(1_000), heard !== ""));
    expect(heard).toMatch(/^HTTP\/1.1 200 [^]*connection: close/i);
    expect(await other.records()).toMatchObject([{ kind: "unsubscribe", hint: "one-click" }]);
    await other.close();
  });
});

test("the page asks, in the reader's language, without a script, and says nothing of the reader", async () => {
  const answer = await server.ask(`/u/${fresh()}`, { headers: { "accept-language": "de-AT,de;q=0.9,en;q=0.5" } });
  expect(answer.headers).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "content-language": "de",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
  const policy = String(answer.headers["content-security-policy"]);
  expect(policy).toMatch(
    /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
  );
  expect(answer.body).toContain('<form method="post">');
  expect(answer.body).not.toMatch(/<script|javascript:|\son\w+=|src=|\w@\w/i);
});

test("what cannot be written down is not promised: 503, and 200 when it can be", async () => {
  const other = await openTestRedirector({ settings: { segmentBytes: 1 } });
  const post = (): Promise<Answer> =>
    other.ask(`/u/${fresh()}`, { method: "POST", body: "List-Unsubscribe=One-Click" });
  expect((await post()).status).toBe(200);
  // The next segment has no folder to be in.
  const segments = join(other.folder, "segments");
  renameSync(segments, `${segments}-away`);
  expect(await post()).toMatchObject({ status: 503, headers: { "retry-after": "60" } });
  // A reader who clicks is not made to suffer for it.
  expect((await other.ask(`/r/${token(1)}/${link()}`)).status).toBe(302);
  expect(JSON.parse((await other.ask("/r/test")).body)).toMatchObject({ status: "log-failing", lost: 2 });
  renameSync(`${segments}-away`, segments);
  await until(async () => (await post()).status === 200, { what: "the log to be written again" });
  expect(JSON.parse((await other.ask("/r/test")).body)).toMatchObject({ status: "ok" });
  await other.close();
});
