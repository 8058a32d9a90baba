import { describe, expect, test } from "vitest";
import type { Content } from "../../src/model/delivery.ts";
import { verifyToken } from "../../src/model/token.ts";
import { checkContent } from "../../src/render/check.ts";
import { compileContent } from "../../src/render/compose.ts";
import type { Rendered } from "../../src/render/contract.ts";
import { generateDkimKey } from "../../src/smtp/dkim.ts";
import { parseMail, type ParsedMail } from "../support/mail.ts";
import { TRACKING } from "../support/tracked.ts";
import { verifyDkim } from "../support/verify-dkim.ts";

const CONTENT: Content = {
  subject: "Hello {{name}}",
  html: "<p>Hello {{name}}, {{#each items}}<b>{{this}}</b> {{/each}}</p>",
  text: "Hello {{name}}\n{{#each items}}- {{this}}\n{{/each}}",
  textFromHtml: false,
  from: { name: "News of {{city}}", address: "news@mail.sender.example" },
  replyTo: { name: "", address: "answers@sender.example" },
  toName: "{{name}}",
  headers: [["X-Own", "id {{id}}"]],
  attachments: [],
  globals: { city: "Köln", id: 7 },
  returnPathDomain: "bounces.sender.example",
  listUnsubscribe: { url: "https://t.sender.example", mailtoDomain: "bounces.sender.example" },
  feedbackId: "a:b:c:sender",
};
const PNG = {
  filename: "logo.png",
  contentType: "image/png",
  data: Buffer.alloc(300, 1).toString("base64"),
  contentId: "logo",
};
const PDF = {
  filename: "größe.pdf",
  contentType: "application/pdf",
  data: Buffer.alloc(9000, "pdf").toString("base64"),
  contentId: "",
};

const token = [{ id: 3, secret: Buffer.alloc(32, 9) }];
const rsa = generateDkimKey("rsa");
const ed = generateDkimKey("ed25519");
const dkim = [
  { domain: "sender.example", selector: "r", pem: rsa.pem },
  { domain: "sender.example", selector: "e", pem: ed.pem },
  { domain: "other.example", selector: "o", pem: ed.pem },
];
const published = [
  { domain: "sender.example", selector: "r", record: rsa.record },
  { domain: "sender.example", selector: "e", record: ed.record },
];
const NOW = Date.UTC(2026, 6, 1, 12);

function render(content: Partial<Content>, variables: unknown = {}, address = "anna@example.com"): Rendered {
  const json = typeof variables === "string" ? variables : JSON.stringify(variables);
  return compileContent({ ...CONTENT, ...content }, { token, dkim }).render(
    { id: 42, address, variables: json, delivery: 0 },
    NOW,
  );
}

function bytesOf(rendered: Rendered): Uint8Array {
  if (!("bytes" in rendered)) throw new Error(rendered.error);
  return rendered.bytes;
}

function errorOf(rendered: Rendered): string {
  return rendered.error;
}

/** The contract of `Rendered.bytes`. */
function expectWireReady(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString("latin1");
  expect(text.endsWith("\r\n")).toBe(true);
  expect(text).not.toMatch(/[^\x20-\x7e\t\r\n]/);
  expect(text).not.toMatch(/[^\r]\n|\r[^\n]|^\r|^\n/);
  expect(text).not.toMatch(/\r\n\./);
  for (const line of text.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
}

async function read(rendered: Rendered): Promise<ParsedMail> {
  const bytes = bytesOf(rendered);
  expectWireReady(bytes);
  expect(await verifyDkim(bytes, published)).toMatchObject({ signatures: 2, passed: 2 });
  return parseMail(bytes, { skipImageLinks: true, skipTextToHtml: true, skipHtmlToText: true });
}

const lines = (text: string | undefined | false): string => (text || "").replace(/\r\n|\r/g, "\n").trimEnd();

describe("a message", () => {
  test("has what the content asks for, signed", async () => {
    const rendered = render({}, { name: "Zoë", items: ["a&b", "c"] });
    const mail = await read(rendered);
    expect(mail.subject).toBe("Hello Zoë");
    expect(mail.from?.value).toEqual([{ name: "News of Köln", address: "news@mail.sender.example" }]);
    expect([mail.to].flat()[0]?.value).toEqual([{ name: "Zoë", address: "anna@example.com" }]);
    expect(mail.replyTo?.value[0]?.address).toBe("answers@sender.example");
    expect(mail.date?.getTime()).toBe(NOW);
    expect(lines(mail.html)).toBe("<p>Hello Zoë, <b>a&amp;b</b> <b>c</b> </p>");
    expect(lines(mail.text)).toBe("Hello Zoë\n- a&b\n- c");
    expect(mail.headers.get("x-own")).toBe("id 7");
    expect(mail.headers.get("feedback-id")).toBe("a:b:c:sender");
    const id = /^<(.*)@bounces\.sender\.example>$/.exec(mail.messageId ?? "")?.[1] ?? "";
    expect(verifyToken(token, id)).toBe(42);
    expect(rendered).toMatchObject({ id: 42, error: "", from: `b+${id}@bounces.sender.example`, smtputf8: false });
    const header = (name: string): string | undefined => mail.headerLines.find((h) => h.key === name)?.line;
    expect(header("list-unsubscribe")).toBe(
      `List-Unsubscribe: <https://t.sender.example/u/${id}>,\r\n <mailto:u+${id}@bounces.sender.example?subject=unsubscribe>`,
    );
    expect(header("list-unsubscribe-post")).toBe("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
  });

  test("tells templates who gets it", () => {
    const text = "{{email}} {{domain}} {{messageId}} {{unsubscribeUrl}} {{date @now 'yyyy-MM-dd'}}";
    const composer = compileContent({ ...CONTENT, text }, { token, dkim: [] });
    const made = composer.preview(
      { id: 42, address: "anna@Example.com", variables: '{"email":"x","domain":"y"}', delivery: 0 },
      NOW,
    );
    if (typeof made === "string") throw new Error(made);
    expect(made.text).toMatch(
      /^anna@example\.com example\.com (\w+)@bounces\.sender\.example https:\/\/t\.sender\.example\/u\/\1 2026-07-01$/,
    );
    expect(made).toMatchObject({ subject: "Hello ", html: "<p>Hello , </p>" });
  });

  test.each<[string, Partial<Content>]>([
    ["text only", { html: "" }],
    ["html only", { text: "" }],
    ["both", {}],
    ["text from html", { text: "", textFromHtml: true }],
    ["attachments", { attachments: [PDF, PDF] }],
    ["inline", { attachments: [PNG] }],
    ["all together", { attachments: [PNG, PDF], text: "", textFromHtml: true }],
    ["text only with all", { html: "", attachments: [PNG, PDF] }],
    [
      "nothing optional",
      {
        replyTo: null,
        toName: "",
        headers: [],
        listUnsubscribe: null,
        feedbackId: "",
        from: { name: "", address: "a@sender.example" },
      },
    ],
    ["mostly outside ASCII", { html: "<p>Здравствуйте {{name}}</p>", text: "Здравствуйте {{name}}\r.\nFrom x" }],
  ])("%s comes back as it went in", async (_, content) => {
    const whole = { ...CONTENT, ...content };
    const name = "Zoë <b> . From";
    const mail = await read(render(content, { name, items: ["x", "."] }));
    if (whole.html === "") expect(mail.html).toBe(false);
    else expect(lines(mail.html)).toContain("Zoë &lt;b&gt; . From");
    if (whole.text === "" && !whole.textFromHtml) expect(mail.text ?? "").toBe("");
    else expect(lines(mail.text)).toContain(name);
    expect(mail.attachments.map((a) => `${a.filename} ${a.content.toString("base64")}`)).toEqual(
      whole.attachments.map((a) => `${a.filename} ${a.data}`),
    );
  });

  test("has its AMP part between text and HTML: what shows only the last part shows HTML", async () => {
    const amp = "<html ⚡4email><body>{{name}}, \\{{amp}}</body></html>";
    const rendered = render({ amp, attachments: [PNG] }, { name: "a&b" });
    const mail = await read(rendered);
    const raw = Buffer.from(bytesOf(rendered)).toString();
    const types = [...raw.matchAll(/^Content-Type: ([\w/-]+)/gm)].map(([, type]) => type);
    expect(types).toEqual([
      "multipart/alternative",
      "text/plain",
      "text/x-amp-html",
      "multipart/related",
      "text/html",
      "image/png",
    ]);
    const part = mail.attachments.find(({ contentType }) => contentType === "text/x-amp-html");
    expect(lines(part?.content.toString())).toBe("<html ⚡4email><body>a&amp;b, {{amp}}</body></html>");
    expect(lines(mail.html)).toContain("Hello a&amp;b");
  });

  test("is the same for the same input, and needs no variables", () => {
    const once = bytesOf(render({}, ""));
    expect(Buffer.from(bytesOf(render({}, ""))).equals(once)).toBe(true);
    expect(bytesOf(render({}, "", "boris@example.com"))).not.toEqual(once);
    expectWireReady(once);
  });

  test("without a key for its domain is not signed", () => {
    const unsigned = bytesOf(render({ from: { name: "", address: "a@notsender.example" } }));
    expect(Buffer.from(unsigned).toString()).not.toContain("DKIM-Signature");
  });
});

describe("SMTPUTF8", () => {
  test("a recipient outside ASCII gets UTF-8 headers and still verifies", async () => {
    const rendered = render({}, { name: "Zoë" }, "zoë@bücher.example");
    expect(rendered).toMatchObject({ smtputf8: true });
    const bytes = bytesOf(rendered);
    expect(Buffer.from(bytes).toString()).toContain("<zoë@xn--bcher-kva.example>");
    expect(await verifyDkim(bytes, published)).toMatchObject({ passed: 2 });
  });

  test("a domain outside ASCII does not need it", () => {
    expect(render({}, {}, "zoe@bücher.example")).toMatchObject({ smtputf8: false });
    expect(render({ from: { name: "", address: "é@sender.example" } })).toMatchObject({ smtputf8: true });
  });
});

const BREAKS = [
  "x\r\nBcc: evil@evil.example",
  "x\nBcc: evil@evil.example",
  "x\rBcc: y",
  "x\0y",
  "\r\n\r\nbody",
  "x\r\n y",
];

describe("no variable breaks a header", () => {
  test.each(BREAKS)("%j fails its own message with the reason", (value) => {
    for (const [content, where] of [
      [{ subject: "{{v}}" }, "subject"],
      [{ from: { name: "{{v}}", address: "news@sender.example" } }, "from.name"],
      [{ replyTo: { name: "{{v}}", address: "news@sender.example" } }, "replyTo.name"],
      [{ toName: "{{v}}" }, "toName"],
      [{ headers: [["X-Own", "{{v}}"]] }, "headers.X-Own"],
      [{ subject: "{{{v}}}" }, "subject"],
      [{ subject: "{{upper v}}" }, "subject"],
      [{ subject: "{{json v}}{{v}}" }, "subject"],
      [{ subject: "{{#each l}}{{this}}{{/each}}" }, "subject"],
    ] as [Partial<Content>, string][]) {
      expect(errorOf(render(content, { v: value, l: [value] }))).toBe(
        `${where}: header injection: a value brings a line break or NUL into a header`,
      );
    }
    expectWireReady(bytesOf(render({}, { id: "fine", name: "fine" })));
  });

  test.each(BREAKS)("%j in the address", (value) => {
    expect(errorOf(render({}, {}, value))).toMatch(/^address: /);
    expect(errorOf(render({}, {}, `${value}@example.com`))).toMatch(/^address: /);
    expect(errorOf(render({}, {}, `a@example.com${value}`))).toMatch(/^address: /);
  });

  test.each([
    "\ud800",
    "x\udfff",
    "\u2028Bcc: x",
    "\u0085Bcc: x",
    "\x1b[31m",
    "\x7f",
    "<evil@evil.example>,",
    '"',
    "=?utf-8?q?=0D=0ABcc:_x?=",
  ])("%j is only text", async (value) => {
    const mail = await read(render({ headers: [["X-Own", "{{name}}"]] }, { name: `a ${value} b` }));
    const expected = `a ${value} b`.toWellFormed();
    expect(mail.subject).toBe(`Hello ${expected}`);
    expect([mail.to].flat().flatMap((t) => t?.value ?? [])).toEqual([{ address: "anna@example.com", name: expected }]);
    expect(mail.headers.has("bcc")).toBe(false);
  });
});

describe("hostile variables", () => {
  test.each<[unknown, string]>([
    ["{", "variables: not valid JSON"],
    ["[1]", "variables: not an object"],
    ["null", "variables: not an object"],
    ["42", "variables: not an object"],
    [{ name: "x".repeat(1024 * 1024) }, "subject: longer than 8192 characters"],
    [`{"items":[${"[".repeat(100_000)}${"]".repeat(100_000)}]}`, "html: a value is nested too deeply"],
    [{ items: Array.from({ length: 20_000 }, () => 1) }, "html: loops take more than 10000 turns"],
  ])("%.40j", (variables, reason) => {
    expect(errorOf(render({}, variables))).toBe(reason);
  });

  test("a megabyte in one line of the body is written in lines", async () => {
    const value = "x".repeat(1024 * 1024);
    const mail = await read(render({ subject: "s", toName: "", text: "{{v}}", html: "" }, { v: value }));
    expect(lines(mail.text)).toBe(value);
  });

  test("a helper's complaint names template, line and column, in one line", () => {
    expect(errorOf(render({ html: "a\n {{number v}}" }, { v: "1\n2" }))).toBe(
      'html: number: "1\\n2" is not a number (line 2, column 2)',
    );
    expect(errorOf(render({ html: "{{date v 'yyyy' timezone='x\u2028\r\ny'}}" }, { v: 1 }))).not.toMatch(
      /[\r\n\u2028]/,
    );
  });

  test("the machinery's own names are only names", async () => {
    const variables = '{"__proto__":{"name":"evil"},"constructor":"c","toString":"t","name":{"toString":"x"}}';
    const mail = await read(render({ subject: "{{constructor}} {{toString}} {{name}}" }, variables));
    expect(mail.subject).toBe("c t [object Object]");
  });

  test("dots, From and bare line ends in a body arrive as they were", async () => {
    const v = ".\r\n..\n.\r\r\nFrom me\n \n\tx \n.";
    const mail = await read(render({ text: "{{v}}!", html: "" }, { v }));
    expect(lines(mail.text)).toBe(`${lines(v)}!`);
  });
});

describe("checkContent", () => {
  test("finds nothing wrong with what is right", () => {
    expect(checkContent({ ...CONTENT, attachments: [PNG, PDF] })).toEqual([]);
  });

  test.each<[Partial<Content>, object]>([
    [
      { subject: "a\r\nBcc: x" },
      { path: "subject", message: "header injection: a line break or NUL in a header", line: 1, column: 1 },
    ],
    [
      { html: "a\nb {{#if x}}" },
      { path: "html", line: 2, message: "the template ends inside a block or an expression" },
    ],
    [{ text: "{{nope 1}}" }, { path: "text", line: 1, column: 1, message: "there is no helper nope" }],
    [{ html: "", text: "" }, { path: "html" }],
    [{ from: { name: "a\nb", address: "a@b.example" } }, { path: "from.name" }],
    [{ from: { name: "", address: "a@b.example\r\nBcc: x" } }, { path: "from.address" }],
    [{ replyTo: { name: "{{", address: "a@b.example" } }, { path: "replyTo.name" }],
    [{ toName: "\0" }, { path: "toName" }],
    [{ headers: [["From", "x@y.example"]] }, { path: "headers.From", message: "is set by Postilion itself" }],
    [{ headers: [["X\r\nBcc", "x"]] }, { path: "headers.X\r\nBcc", message: "is not a valid header name" }],
    [{ headers: [["X-Own", "a\nb"]] }, { path: "headers.X-Own" }],
    [{ headers: [["list-unsubscribe", "<x:>"]] }, { path: "headers.list-unsubscribe" }],
    [{ headers: [["Feedback-ID", "x"]] }, { path: "headers.Feedback-ID" }],
    [{ returnPathDomain: "x y" }, { path: "returnPathDomain" }],
    [{ listUnsubscribe: { url: "https://x.example/>\r\n", mailtoDomain: "" } }, { path: "listUnsubscribe.url" }],
    [{ listUnsubscribe: { url: "javascript:x", mailtoDomain: "" } }, { path: "listUnsubscribe.url" }],
    [{ listUnsubscribe: { url: "", mailtoDomain: "x>y" } }, { path: "listUnsubscribe.mailtoDomain" }],
    [{ feedbackId: "a\r\nb" }, { path: "feedbackId" }],
    [{ amp: "{{#if" }, { path: "amp" }],
    [{ tracking: { ...TRACKING, url: 'https://t.example/"' } }, { path: "tracking.url" }],
    [{ attachments: [PNG, { ...PDF, contentType: "text/plain\r\nX: y" }] }, { path: "attachments.0.contentType" }],
    [{ attachments: [{ ...PDF, filename: "a\r\nb" }] }, { path: "attachments.0.filename" }],
    [{ attachments: [PDF, { ...PNG, contentId: "a>\r\nb" }] }, { path: "inlineImages.0.contentId" }],
    [{ attachments: [{ ...PDF, data: "no base64!" }] }, { path: "attachments.0.data" }],
    [{ attachments: [{ ...PDF, data: "abcde" }] }, { path: "attachments.0.data" }],
  ])("%j", (content, problem) => {
    const whole = { ...CONTENT, ...content };
    expect(checkContent(whole)).toEqual([expect.objectContaining(problem)]);
    expect(() => compileContent(whole, { token, dkim })).toThrow((problem as { path: string }).path);
  });

  test("tells everything at once", () => {
    expect(checkContent({ ...CONTENT, subject: "{{", html: "{{", text: "{{", toName: "{{" })).toHaveLength(4);
  });

  test("a custom List-Unsubscribe may stand in for ours", () => {
    expect(
      checkContent({
        ...CONTENT,
        listUnsubscribe: null,
        headers: [["List-Unsubscribe", "<https://x.example/{{id}}>"]],
      }),
    ).toEqual([]);
  });
});
