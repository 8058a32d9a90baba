import { afterAll, beforeAll, expect, test } from "vitest";
import { link, openTestRedirector, testKey, type TestRedirector, token } from "../../support/redirector.ts";

let server: TestRedirector;
beforeAll(async () => {
  server = await openTestRedirector();
});
afterAll(() => server.close());

const PIXEL = link({ kind: "open", number: 0, url: "" });

test.each<[string, string]>([
  ["a link", `/o/${token(1)}/${link()}.gif`],
  ["a token of another key", `/o/${token(1, testKey(2))}/${PIXEL}.gif`],
  ["a pixel of another key", `/o/${token(1)}/${link({ kind: "open", number: 0, url: "" }, testKey(2))}.gif`],
  ["one with a letter less", `/o/${token(1)}/${PIXEL.slice(1)}.gif`],
])("what is no pixel of ours counts for nothing: %s", async (_what, path) => {
  expect((await server.ask(path)).status).toBe(404);
  expect(await server.records()).toEqual([]);
});

test("a transparent pixel nobody keeps, and a record of who looked", async () => {
  const headers = { "user-agent": "GoogleImageProxy", "x-purpose": "preview" };
  const answer = await server.ask(`/o/${token(5)}/${PIXEL}.gif`, { headers });
  expect(answer).toMatchObject({
    status: 200,
    headers: {
      "content-type": "image/gif",
      "content-length": "42",
      "cache-control": "no-store",
      "cross-origin-resource-policy": "cross-origin",
    },
  });
  expect(answer.body).toMatch(/^GIF89a/);
  await server.ask(`/o/-/${PIXEL}`);
  expect(await server.ask(`/O/${token(5).toUpperCase()}/${PIXEL}.GIF?x=1`, { method: "HEAD" })).toMatchObject({
    status: 200,
    body: "",
  });
  expect(await server.records()).toMatchObject([
    { kind: "open", message: 5, delivery: 7, link: 0, hint: "prefetch", userAgent: "GoogleImageProxy" },
    { kind: "open", message: 0, delivery: 7 },
    { kind: "open", message: 5, method: "HEAD" },
  ]);
});
