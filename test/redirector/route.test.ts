import { describe, expect, test } from "vitest";
import { routeOf } from "../../src/redirector/route.ts";

const T = "aaaqbbbbccccddddeeeeffffgggg234";
const L = "aeaqabcdefghijklmnopqrstuvwxyz234567";
const click = { kind: "click", token: T, link: L };

describe("a link of ours, whatever became of it on its way", () => {
  test.each([
    ["as it was made", `/r/${T}/${L}`],
    ["upper case", `/R/${T.toUpperCase()}/${L.toUpperCase()}`],
    ["a trailing slash", `/r/${T}/${L}/`],
    ["trailing punctuation", `/r/${T}/${L}.`],
    ["a bracket and a comma", `/r/${T}/${L}),`],
    ["an angle bracket, encoded", `/r/${T}/${L}%3E`],
    ["a parameter", `/r/${T}/${L}?utm_source=x&utm_medium=y`],
    ["a parameter without question mark", `/r/${T}/${L}&utm_source=x`],
    ["an encoded question mark", `/r/${T}/${L}%3Futm_source=x`],
    ["a fragment", `/r/${T}/${L}#top`],
    ["a space and words", `/r/${T}/${L}%20please`],
    ["a line end", `/r/${T}/${L}%0D%0ASet-Cookie:%20a=b`],
    [
      "characters that need no encoding, encoded",
      `/%72/${[...T].map((c) => `%${c.charCodeAt(0).toString(16)}`).join("")}/${L}`,
    ],
    ["slashes encoded", `/r%2F${T}%2f${L}`],
    ["encoded twice", `/r%252F${T}%252F${L}`],
    ["slashes doubled", `//r///${T}//${L}`],
    ["slashes doubled, and more behind it", `/r//${T}//${L}%3Fa//b`],
    ["backslashes", `\\r\\${T}\\${L}`],
    ["absolute form", `http://t.example.com/r/${T}/${L}`],
    ["absolute form, to another host", `HTTPS://evil.example:99/r/${T}/${L}?x`],
  ])("%s", (_what, target) => {
    expect(routeOf(target)).toEqual(click);
  });
  test("an image", () => {
    for (const target of [`/o/${T}/${L}.gif`, `/o/${T}/${L}`, `/O/${T}/${L}.GIF?x=1`])
      expect(routeOf(target)).toEqual({ kind: "open", token: T, link: L });
  });
  test("anonymous", () => {
    expect(routeOf(`/r/-/${L}`)).toEqual({ kind: "click", token: "-", link: L });
    expect(routeOf(`/r/%2D/${L}?a`)).toEqual({ kind: "click", token: "-", link: L });
  });
  test("to unsubscribe, and the mirror page", () => {
    for (const end of ["", "/", "?a=b", ".", ")", "#x", "%20", "&x"]) {
      expect(routeOf(`/u/${T}${end}`)).toEqual({ kind: "unsubscribe", token: T });
      expect(routeOf(`/m/${T}${end}`)).toEqual({ kind: "mirror", token: T });
    }
  });
});

describe("what is none of ours", () => {
  test.each([
    "",
    "*",
    "/",
    "/r",
    "/r/",
    `/r/${T}`,
    `/r/${T}/`,
    `/r/${T}.${L}`,
    `/r/${T}_/${L}`,
    `/x/${T}/${L}`,
    `/r/../r/${T}/${L}`,
    "/u/",
    "//evil.example/",
    "/r//evil.example/",
    "/%00",
    `/r/${T}/https://evil.example/`.replace("https", "1"),
    "javascript:alert(1)",
    "http://",
    "evil.example:443",
  ])("%j", (target) => {
    expect(routeOf(target)).toEqual({ kind: "unknown" });
  });
  test("a long nothing, encoded again and again", () => {
    expect(routeOf(`/${"%25".repeat(5000)}`)).toEqual({ kind: "unknown" });
  });
  test("the log and the metrics in another spelling, which a proxy in front may not know for them", () => {
    for (const target of [
      "/%6cog",
      "/%256cog",
      "/LOG",
      "//log",
      "/log/",
      "/log.",
      "/log;a",
      "/%6detrics",
      "/Metrics",
      "/metrics/",
    ])
      expect(routeOf(target)).toEqual({ kind: "unknown" });
  });
  // Each of them took a third of a second: a single connection could hold the server.
  test("a long row of punctuation, by the hundred", () => {
    for (const row of [".".repeat(8000), ".,".repeat(4000), "%2e".repeat(2700)])
      for (let i = 0; i < 150; i++) expect(routeOf(`/${row}${i}`)).toEqual({ kind: "unknown" });
  });
  test("a link with more letters at its end is another link: it will not verify", () => {
    expect(routeOf(`/r/${T}/${L}abc`)).toEqual({ ...click, link: `${L}abc` });
    expect(routeOf(`/r/${T}aa/${L}`)).toEqual({ ...click, token: `${T}aa` });
  });
});

test("other places", () => {
  expect(routeOf("/t?tag=a%20b&amount=1#x")).toEqual({ kind: "web", query: "tag=a%20b&amount=1" });
  expect(routeOf("/T/?tag=A")).toEqual({ kind: "web", query: "tag=A" });
  expect(routeOf("/t")).toEqual({ kind: "web", query: "" });
  expect(routeOf("/log?after=5&limit=2")).toEqual({ kind: "log", query: "after=5&limit=2" });
  expect(routeOf("/r/test")).toEqual({ kind: "health" });
  expect(routeOf("/r/test/?x")).toEqual({ kind: "health" });
  expect(routeOf("/robots.txt")).toEqual({ kind: "robots" });
  expect(routeOf("/favicon.ico")).toEqual({ kind: "icon" });
  expect(routeOf("http://t.example.com/log?after=5")).toEqual({ kind: "log", query: "after=5" });
  expect(routeOf("/metrics")).toEqual({ kind: "metrics" });
  expect(routeOf("/r/tester")).toEqual({ kind: "unknown" });
  // Names every object has.
  expect(routeOf("/constructor")).toEqual({ kind: "unknown" });
  expect(routeOf("constructor")).toEqual({ kind: "unknown" });
});
