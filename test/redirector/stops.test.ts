/** The list of stopped links: from web, from disk, from nobody. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LinkStop, signStops } from "../../src/model/stops.ts";
import {
  KEY,
  link,
  openTestRedirector,
  openTestWeb,
  SECRET,
  testKey,
  type TestRedirector,
  token,
} from "../support/redirector.ts";
import { until } from "../support/until.ts";

let web: Awaited<ReturnType<typeof openTestWeb>>;
let server: TestRedirector;
let list: string;
let asked: string[];
const stop = (of: Partial<LinkStop>): LinkStop => ({
  delivery: 7,
  link: -1,
  disabled: false,
  expiresAt: 0,
  url: "",
  ...of,
});
const says = (at: number, ...stops: LinkStop[]): void => void (list = signStops(KEY, { at, stops }));

beforeEach(async () => {
  asked = [];
  says(1);
  web = await openTestWeb((request, response) => {
    asked.push(`${request.headers.authorization} ${request.url}`);
    if (request.url === "/v1/tracking/stops") response.end(list);
    else response.writeHead(200, { "content-type": "text/html", "x-delivery": "7" }).end("<p>Hello");
  });
  server = await openTestRedirector({ settings: { web: web.url, stopsMs: 20 } });
});
afterEach(async () => {
  await server.close();
  await web.close();
});

const click = async (more: object = {}): Promise<string> => {
  const { status, headers } = await server.ask(
    `/r/${token(1)}/${link({ number: 3, url: "https://a.example/", ...more })}`,
  );
  return `${status} ${headers.location ?? ""}`.trim();
};
const becomes = (expected: string, more: object = {}) =>
  until(async () => (await click(more)) === expected, { what: expected });
/** Web was asked, and its answer heard, since now. */
const askedAgain = async (): Promise<void> => {
  const { length } = asked;
  await until(() => asked.length >= length + 2, { what: "web to be asked again" });
};

test("a forged list, one of a retired key, an older one, none at all: the last one holds", async () => {
  says(5, stop({ disabled: true }));
  await becomes("410");
  for (const bad of [
    signStops(testKey(9), { at: 9, stops: [] }),
    signStops(KEY, { at: 4, stops: [] }),
    list.replace("[7,-1,1", "[7,-1,0"),
    "not a list",
    "",
  ]) {
    list = bad;
    await askedAgain();
    expect(await click()).toBe("410");
  }
  await web.close();
  expect(await click()).toBe("410");
  await server.restart();
  expect(await click()).toBe("410");
});

test("a damaged list on disk is no list; the next one from web is", async () => {
  says(5, stop({ disabled: true }));
  await becomes("410");
  await server.close();
  server = await openTestRedirector({ settings: { web: "http://127.0.0.1:9" } });
  writeFileSync(join(server.folder, "stops.json"), "{");
  await server.restart();
  expect(await click()).toBe("302 https://a.example/");
});

test("a link is stopped, leads elsewhere, ends; a delivery is, and its mirror page with it; opens and unsubscribing never", async () => {
  expect(await click()).toBe("302 https://a.example/");
  expect(asked[0]).toBe(`Bearer ${SECRET} /v1/tracking/stops`);
  says(2, stop({ link: 3, disabled: true }));
  await becomes("410");
  expect(await click({ number: 4 })).toBe("302 https://a.example/");
  says(3, stop({ link: 3, url: "https://b.example/" }));
  await becomes("302 https://b.example/");
  says(4, stop({ expiresAt: Date.now() + 3_600_000, url: "https://c.example/" }));
  await becomes("302 https://a.example/");
  says(5, stop({ expiresAt: Date.now() - 1, url: "https://c.example/" }));
  await becomes("302 https://c.example/");
  says(6, stop({ disabled: true }), stop({ link: 3, url: "https://b.example/" }));
  await becomes("410");
  expect(await click({ delivery: 8 })).toBe("302 https://a.example/");
  expect((await server.ask(`/m/${token(1)}`)).status).toBe(410);
  const pixel = link({ kind: "open", number: 0, url: "" });
  expect((await server.ask(`/o/${token(1)}/${pixel}.gif`)).status).toBe(200);
  expect((await server.ask(`/u/${token(1)}`, { method: "POST" })).status).toBe(200);
  // What was stopped is no click.
  const clicks = (await server.records()).filter(({ kind }) => kind === "click");
  expect(clicks.filter(({ delivery }) => delivery === 7).length).toBe(clicks.length - 1);
  expect(readFileSync(join(server.folder, "stops.json"), "utf8")).toBe(list);
});

test("a list made by a clock that stood in another year does not outlast those of the right one", async () => {
  says(Date.now() + 365 * 86_400_000, stop({ link: 3, url: "https://b.example/" }));
  await becomes("302 https://b.example/");
  says(Date.now(), stop({ disabled: true }));
  await becomes("410");
  says(Date.now() - 60_000, stop({ link: 3, url: "https://b.example/" }));
  await askedAgain();
  expect(await click()).toBe("410");
});

test("a list that leads where nobody may be sent leads nowhere", async () => {
  for (const [i, url] of [
    "javascript:alert(1)",
    "//evil.example",
    "https://a@evil.example/",
    "https://a.example/\r\nX: y",
  ].entries()) {
    says(10 + i, stop({ link: 3, url }));
    await askedAgain();
    expect(await click()).toBe("410");
  }
});
