import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { Content } from "../../src/model/delivery.ts";
import { compileContent } from "../../src/render/compose.ts";
import type { RenderJob, RenderResult, RenderKeys, SharedContent } from "../../src/render/contract.ts";
import { openRenderPool, type RenderPool } from "../../src/render/pool.ts";
import { generateDkimKey } from "../../src/smtp/dkim.ts";
import { verifyDkim } from "../support/verify-dkim.ts";

const CONTENT: Content = {
  subject: "Hello {{name}}",
  html: "<p>{{name}} {{number n}}</p>",
  text: "",
  textFromHtml: true,
  from: { name: "", address: "news@sender.example" },
  replyTo: null,
  toName: "{{name}}",
  headers: [],
  attachments: [],
  globals: {},
  returnPathDomain: "bounces.sender.example",
  listUnsubscribe: null,
  feedbackId: "",
};
const first = generateDkimKey("ed25519");
const second = generateDkimKey("ed25519");

function keysOf(version: number, pem: string): RenderKeys {
  return {
    version,
    token: [{ id: 1, secret: Buffer.alloc(32, 1) }],
    dkim: [{ domain: "sender.example", selector: "s", pem }],
  };
}

function share(content: Content): SharedContent {
  const bytes = Buffer.from(JSON.stringify(content));
  const json = new SharedArrayBuffer(bytes.length);
  new Uint8Array(json).set(bytes);
  return { hash: createHash("sha256").update(bytes).digest("hex"), json };
}

const job = (id: number, variables: object): RenderJob => ({
  id,
  address: `r${id}@example.com`,
  variables: JSON.stringify(variables),
  delivery: 1,
});

let pool: RenderPool;
beforeAll(() => {
  pool = openRenderPool({ threads: 2, log: silentLog });
});
afterAll(() => pool.close());

function text(rendered: RenderResult | undefined): string {
  if (rendered === undefined || !("bytes" in rendered)) throw new Error(JSON.stringify(rendered));
  return Buffer.from(rendered.bytes).toString();
}

test("what the threads make is what the composer makes, in the order of the jobs", async () => {
  const jobs = Array.from({ length: 100 }, (_, i) => job(i, { name: `Zoë ${i}`, n: i }));
  const unsigned: RenderKeys = { ...keysOf(1, first.pem), dkim: [] };
  const composer = compileContent(CONTENT, unsigned);
  const rendered = await pool.render(share(CONTENT), unsigned, jobs);
  expect(rendered.map((r) => r.id)).toEqual(jobs.map((j) => j.id));
  for (const [i, one] of rendered.entries()) {
    const alone = text(composer.render(jobs[i]!, Date.now()));
    expect(text(one).replace(/^Date:.*$/m, "")).toBe(alone.replace(/^Date:.*$/m, ""));
  }
});

test("a recipient whose variables break the template fails alone", async () => {
  const jobs = [
    job(1, { n: 1 }),
    job(2, { n: "many" }),
    { ...job(3, {}), variables: "{" },
    { ...job(4, {}), address: "nobody" },
    job(5, { n: 5 }),
  ];
  const rendered = await pool.render(share(CONTENT), keysOf(1, first.pem), jobs);
  expect(rendered.map((r) => ("error" in r ? r.error : r.unavailable))).toEqual([
    "",
    'html: number: "many" is not a number (line 1, column 13)',
    "variables: not valid JSON",
    "address: there is no @",
    "",
  ]);
  expect(text(rendered[4])).toContain("To: r5@example.com");
});

test("a new version of the keys is used at once", async () => {
  const content = share(CONTENT);
  for (const [version, key] of [first, second, first].entries()) {
    const [rendered] = await pool.render(content, keysOf(version + 10, key.pem), [job(1, { n: 1 })]);
    const published = [{ domain: "sender.example", selector: "s", record: key.record }];
    expect(await verifyDkim(Buffer.from(text(rendered)), published)).toMatchObject({ signatures: 1, passed: 1 });
  }
});

test("a content that cannot be compiled fails its messages, with the reason, and nothing else", async () => {
  const broken = await pool.render(share({ ...CONTENT, html: "{{#if" }), keysOf(1, first.pem), [
    job(1, {}),
    job(2, {}),
  ]);
  expect(broken.map((r) => r.id)).toEqual([1, 2]);
  for (const one of broken) expect("error" in one ? one.error : "").toContain("html: syntax error");
  const [fine] = await pool.render(share(CONTENT), keysOf(1, first.pem), [job(3, { n: 1 })]);
  expect(fine).toMatchObject({ error: "" });
  expect(pool.running).toBe(0);
});

test("more contents than are kept, all at once", async () => {
  const contents = Array.from({ length: 100 }, (_, i) => share({ ...CONTENT, subject: `Subject number ${i}` }));
  const rendered = await Promise.all(
    contents.map((content, i) => pool.render(content, keysOf(1, first.pem), [job(i, { n: i })])),
  );
  for (const [i, [one]] of rendered.entries()) expect(text(one)).toContain(`Subject: Subject number ${i}\r\n`);
});
