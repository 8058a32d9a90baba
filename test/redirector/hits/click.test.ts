/** Clicks against the real server: where nobody may be sent, then where everybody is. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signLink } from "../../../src/model/link.ts";
import { handClock } from "../../support/clock.ts";
import { link, openTestRedirector, sayRaw, testKey, type TestRedirector, token } from "../../support/redirector.ts";

let server: TestRedirector;
beforeAll(async () => {
  server = await openTestRedirector({ keys: [testKey(1), testKey(2)] });
});
afterAll(() => server.close());

const T = token(42);
const L = link();
const URL_ = "https://www.example.com/shop?a=b";

/** Changes one character into another of the alphabet. */
function flipped(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`;
}

describe("nobody is sent anywhere", () => {
  const forged = (url: string): string => signLink(testKey(1), { kind: "click", delivery: 7, number: 3, url });

  test("by a link or token of which any one character was changed", async () => {
    for (let at = 0; at < L.length; at++) expect((await server.ask(`/r/${T}/${flipped(L, at)}`)).status).toBe(404);
    for (let at = 0; at < T.length; at++) expect((await server.ask(`/r/${flipped(T, at)}/${L}`)).status).toBe(404);
  });

  test.each<[string, string]>([
    ["a retired key", `/r/${T}/${link({}, testKey(3))}`],
    ["a token of a retired key", `/r/${token(42, testKey(3))}/${L}`],
    ["a token that was cut", `/r/${T.slice(0, -1)}/${L}`],
    ["a link that was cut", `/r/${T}/${L.slice(0, -1)}`],
    ["a link with a letter more", `/r/${T}/${L}a`],
    ["no token", `/r//${L}`],
    ["an open pixel taken for a link", `/r/${T}/${link({ kind: "open", number: 0, url: "" })}`],
    ["a link taken for a token", `/r/${L}/${L}`],
    ["another URL in its place", `/r/${T}/https%3A%2F%2Fevil.example%2F`],
    ["another URL appended", `/r/${T}//evil.example/`],
    ["another URL as a parameter", `/r/?url=https://evil.example/`],
    ["a path that is a host", `//evil.example/`],
    ["10 KB", `/r/${T}/${"a".repeat(10_000)}`],
  ])("by %s", async (_what, path) => {
    const answer = await server.ask(path);
    expect(answer.status).toBe(404);
    expect(answer.headers.location).toBeUndefined();
    expect(answer.body).not.toContain("evil");
  });

  // As if a key had leaked, or an older version of us had signed anything: verified, and yet not followed.
  test.each([
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/",
    "/relative",
    "",
    "https://",
    "https://user@evil.example/",
    "https://www.example.com@evil.example/",
    "https://www.example.com:pass@evil.example/",
    "https://evil.example\\@www.example.com/",
    "https://www.example.com/\r\nSet-Cookie: a=b",
    "https://www.example.com/\nx",
    "https://www.example.com/ x",
    "ftp://www.example.com/",
    "file:///etc/passwd",
    "https://[::1",
  ])("though it is signed: %j", async (url) => {
    const answer = await server.ask(`/r/${T}/${forged(url)}`);
    expect(answer.status).toBe(410);
    expect(answer.headers.location).toBeUndefined();
    expect(answer.headers["set-cookie"]).toBeUndefined();
  });

  test("and none of it is a click", async () => {
    expect(await server.records()).toEqual([]);
  });
});

describe("everybody is sent where the link says", () => {
  test.each<[string, string]>([
    ["as it was made", `/r/${T}/${L}`],
    ["upper case", `/R/${T.toUpperCase()}/${L.toUpperCase()}`],
    ["encoded again", `/r%2F${[...T].map((c) => `%${c.charCodeAt(0).toString(16)}`).join("")}/${L}`],
    ["parameters appended", `/r/${T}/${L}?utm_source=x&url=https://evil.example/`],
    ["parameters appended without a question mark", `/r/${T}/${L}&fbclid=1`],
    ["a slash and a bracket", `/r/${T}/${L}/)`],
    ["doubled slashes", `//r//${T}//${L}`],
    ["absolute form of another host", `http://evil.example/r/${T}/${L}`],
    ["a key that does not sign any more", `/r/${token(42, testKey(2))}/${link({}, testKey(2))}`],
  ])("%s", async (_what, path) => {
    const answer = await server.ask(path);
    expect(answer).toMatchObject({ status: 302, body: "", headers: { location: URL_, "cache-control": "no-store" } });
    expect(answer.headers["set-cookie"]).toBeUndefined();
  });

  test.each([
    "https://xn--bcher-kva.example/caf%C3%A9",
    "http://www.example.com:8080/?a=%0d%0aSet-Cookie:x",
    "https://example.com?x=https://evil.example/#frag@ment",
    "https://example.com/a@b",
    "http://[2001:db8::1]/",
    "HTTPS://EXAMPLE.COM/",
  ])("exactly: %s", async (url) => {
    const answer = await server.ask(`/r/${T}/${link({ url })}`);
    expect(answer).toMatchObject({ status: 302, headers: { location: url } });
  });

  test("the longest there may be", async () => {
    const url = `https://www.example.com/${"a".repeat(4096 - 24)}`;
    expect(await server.ask(`/r/${T}/${link({ url })}`)).toMatchObject({ status: 302, headers: { location: url } });
  });

  test("HEAD is answered as GET, without a body, and so says the record", async () => {
    const before = (await server.records()).length;
    expect(await server.ask(`/r/${T}/${L}`, { method: "HEAD" })).toMatchObject({
      status: 302,
      headers: { location: URL_ },
    });
    expect((await server.records()).slice(before)).toMatchObject([{ kind: "click", method: "HEAD" }]);
  });

  test("HTTP/1.0, ten at one blow over one connection, each answered in its turn", async () => {
    const one = `GET /r/${T}/${L} HTTP/1.0\r\n\r\n`;
    expect(await sayRaw(server.port, one)).toContain(`location: ${URL_}`);
    const links = Array.from({ length: 10 }, (_, n) => link({ number: n + 1, url: `https://example.com/${n}` }));
    const many = links.map((each) => `GET /r/${T}/${each} HTTP/1.1\r\nHost: t\r\n`).join("\r\n");
    const heard = await sayRaw(server.port, `${many}Connection: close\r\n\r\n`);
    const locations = [...heard.matchAll(/location: https:\/\/example.com\/(\d)/g)].map((match) => Number(match[1]));
    expect(locations).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test("a browser that offers another protocol is answered in this one", async () => {
  const upgrade =
    "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
  expect(await sayRaw(server.port, `GET /r/${T}/${L} HTTP/1.1\r\nHost: t\r\n${upgrade}`)).toContain(
    `location: ${URL_}`,
  );
});

describe("what is written down", () => {
  test("who, what, when, and how it was asked", async () => {
    const before = (await server.records()).length;
    const began = Date.now();
    const agent = `Mozilla/5.0 "x" \\ é ${"a".repeat(1000)}`;
    await server.ask(`/r/${T}/${L}`, { headers: { "user-agent": agent, purpose: "prefetch" } });
    await server.ask(`/r/-/${link({ number: 4 })}`, { headers: { "sec-purpose": "prefetch;prerender" } });
    await server.ask(`/r/${T}/${link({ kind: "trap", number: 9, url: "https://example.com/trap" })}`);
    await server.ask(`/r/${token(43)}/${link({ delivery: 8 })}`);
    const records = (await server.records()).slice(before);
    expect(records).toMatchObject([
      {
        kind: "click",
        message: 42,
        delivery: 7,
        link: 3,
        method: "GET",
        hint: "prefetch",
        ip: "127.0.0.0",
        visitor: "",
      },
      { message: 0, delivery: 7, link: 4, hint: "prefetch", userAgent: "" },
      { message: 42, link: 9, hint: "trap" },
      // Token and link of two mails: both are genuine, and who counts will see that they do not belong together.
      { message: 43, delivery: 8, hint: "" },
    ]);
    expect(records[0]!.userAgent).toBe(agent.slice(0, 400));
    for (const { at } of records) expect(Math.abs(at - began)).toBeLessThan(60_000);
  });

  test("a trap that leads nowhere is answered with nothing", async () => {
    const path = `/r/${T}/${link({ kind: "trap", number: 9, url: "" })}`;
    expect(await server.ask(path)).toMatchObject({ status: 204, body: "" });
    expect((await server.records()).at(-1)).toMatchObject({ hint: "trap" });
  });
});

test("other methods are refused, with those that are not", async () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE"]) {
    const answer = await server.ask(`/r/${T}/${L}`, { method });
    expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, "GET, HEAD, OPTIONS"]);
  }
  expect(await server.ask(`/r/${T}/${L}`, { method: "OPTIONS" })).toMatchObject({ status: 204 });
});

test("307 when the settings say so", async () => {
  const other = await openTestRedirector({ settings: { status: 307 } });
  expect(await other.ask(`/r/${T}/${L}`)).toMatchObject({ status: 307, headers: { location: URL_ } });
  await other.close();
});

test("keys are changed while it runs: the new one is known, the retired one is not", async () => {
  const clock = handClock();
  const other = await openTestRedirector({ clock });
  other.writeKeys([testKey(2)]);
  await clock.advance(5_000);
  const known = other.ask(`/r/${token(1, testKey(2))}/${link({}, testKey(2))}`);
  const retired = other.ask(`/r/${T}/${L}`);
  expect((await known).status).toBe(302);
  expect((await retired).status).toBe(404);
  await other.close();
});
