/** Content checked at once by the renderer itself, and the message one recipient would get. */
import { expect, test } from "vitest";
import { CONTENT, openTestApi } from "../support/api.ts";

const api = await openTestApi({ tracking: { url: "https://t.example.com" } });
const GOOD = { content: CONTENT, from: "News <news@example.com>" };

test("a template error names line and column, at the place in the request", async () => {
  const answer = await api.post("/v1/deliveries", {
    ...GOOD,
    content: { ...CONTENT, html: "<p>\n  {{#if first}}x</p>" },
  });
  expect(answer.status).toBe(400);
  expect(answer.body["errors"]).toMatchObject([
    { path: "content.html", line: expect.any(Number), column: expect.any(Number) },
  ]);
  expect(answer.body["detail"]).toMatch(/^content\.html: .*\(line \d+, column \d+\)$/);
  const single = await api.post("/v1/messages", {
    to: "a@example.com",
    from: "b@example.com",
    subject: "{{",
    text: "x",
  });
  expect(single.body["errors"]).toMatchObject([{ path: "subject", line: 1 }]);
});

test("line feeds in whatever becomes a header are refused, and headers that are ours too", async () => {
  const evil = "x\r\nBcc: victim@example.com";
  for (const [more, path] of [
    [{ content: { ...CONTENT, subject: evil } }, "content.subject"],
    [{ content: { ...CONTENT, toName: evil } }, "content.toName"],
    [{ content: { ...CONTENT, headers: { "X-Own": evil } } }, "content.headers.X-Own"],
    [{ content: { ...CONTENT, headers: { "X-Own\r\nBcc": "x" } } }, "content.headers.X-Own\r\nBcc"],
    [{ content: { ...CONTENT, headers: [["DKIM-Signature", "x"]] } }, "content.headers.DKIM-Signature"],
    [
      { content: { ...CONTENT, attachments: [{ filename: evil, contentType: "text/plain", data: "" }] } },
      "content.attachments.0.filename",
    ],
    [
      { content: { ...CONTENT, attachments: [{ filename: "a", contentType: evil, data: "" }] } },
      "content.attachments.0.contentType",
    ],
    [{ feedbackId: evil }, "feedbackId"],
    [{ listUnsubscribe: { url: evil } }, "listUnsubscribe.url"],
    [{ from: `${evil} <a@example.com>` }, "from"],
    [{ returnPathDomain: "example.com\r\nRCPT TO:<x>" }, "returnPathDomain"],
  ] as const) {
    const answer = await api.post("/v1/deliveries", { ...GOOD, ...more });
    expect(answer.status, path).toBe(400);
    expect(
      answer.body["errors"].map((e: { path: string }) => e.path),
      path,
    ).toContain(path);
  }
});

test("a preview is the message as it would be sent, with all its parts", async () => {
  const id = await api.delivery({
    listUnsubscribe: true,
    tracking: false,
    content: { ...CONTENT, text: undefined, html: "<p>Hello <b>{{first}}</b></p>" },
  });
  const answer = await api.post(`/v1/deliveries/${id}/preview`, {
    address: "ann@Example.com",
    variables: { first: "<Ann>" },
  });
  expect(answer.body).toMatchObject({
    subject: "Hello <Ann>",
    html: "<p>Hello <b>&lt;Ann&gt;</b></p>",
    text: expect.stringContaining("<Ann>"),
  });
  const headers = Object.fromEntries(answer.body["headers"] as [string, string][]);
  expect(headers).toMatchObject({
    From: expect.stringContaining("news@example.com"),
    To: "ann@example.com",
    Subject: "Hello <Ann>",
  });
  expect(headers["List-Unsubscribe"]).toMatch(/^<https:\/\/t\.example\.com\/u\/[a-z2-7]{31}>, <mailto:u\+/);
  const raw = Buffer.from(answer.body["raw"], "base64");
  expect(raw.length).toBe(answer.body["size"]);
  expect(raw.toString("latin1")).toContain("multipart/alternative");
  const [row] = await api.db.sql`select count(*)::int as n from message where delivery_id = ${id}`;
  expect(row).toEqual({ n: 0 });
});

test("variables that break the message are told, and nothing else breaks", async () => {
  const id = await api.delivery();
  const broken = await api.post(`/v1/deliveries/${id}/preview`, {
    address: "a@example.com",
    variables: { first: "x\r\nBcc: y" },
  });
  expect(broken).toMatchObject({ status: 422, body: { detail: expect.stringContaining("subject") } });
  expect((await api.post(`/v1/deliveries/${id}/preview`, { address: "nobody" })).status).toBe(400);
  expect((await api.post("/v1/deliveries/999999/preview", { address: "a@example.com" })).status).toBe(404);
  const endless = await api.delivery({
    content: {
      subject: "x",
      text: "{{#each a}}{{#each ../a}}{{#each ../../a}}{{#each ../../../a}}xxxxxxxxxx{{/each}}{{/each}}{{/each}}{{/each}}",
    },
  });
  const variables = { a: Array.from({ length: 1000 }, () => 1) };
  expect((await api.post(`/v1/deliveries/${endless}/preview`, { address: "a@example.com", variables })).status).toBe(
    422,
  );
});
