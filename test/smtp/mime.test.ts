import { parseMail } from "../support/mail.ts";
import { describe, expect, test } from "vitest";
import { buildSkeleton, encodingFor, type MimeAttachment, type MimeShape, writeBody } from "../../src/smtp/mime.ts";

const HTML = "<p>Grüße, <b>é</b>\n.dot\nFrom here</p>\r\n";
const TEXT = "Grüße\n.dot\rFrom here  \n\nend";
const PNG: MimeAttachment = {
  filename: "logo.png",
  contentType: "image/png",
  bytes: Buffer.alloc(200, 7),
  contentId: "logo",
};
const PDF: MimeAttachment = {
  filename: "a.pdf",
  contentType: "application/pdf",
  bytes: Buffer.alloc(5000, "pdf"),
  contentId: "",
};

function message(shape: MimeShape, html = HTML, text = TEXT): Buffer {
  const skeleton = buildSkeleton(shape);
  const body = writeBody(skeleton, { html, text });
  return Buffer.concat([
    Buffer.from(skeleton.headers.map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n"),
    body,
  ]);
}

function expectWireReady(bytes: Buffer): void {
  const text = bytes.toString("latin1");
  expect(text.endsWith("\r\n")).toBe(true);
  expect(text).toMatch(/^[\x20-\x7e\t\r\n]*$/);
  expect(text).not.toMatch(/[^\r]\n|\r[^\n]/);
  for (const line of text.split("\r\n")) {
    expect(line.length).toBeLessThanOrEqual(78);
    expect(line.startsWith(".")).toBe(false);
  }
}

const lf = (text: string): string => text.replace(/\r\n|\r|\n/g, "\n");

describe.each([
  ["text only", null, "quoted-printable", []],
  ["html only", "quoted-printable", null, []],
  ["both", "quoted-printable", "quoted-printable", []],
  ["both in base64", "base64", "base64", []],
  ["html with an inline image", "quoted-printable", null, [PNG]],
  ["both with an inline image", "quoted-printable", "base64", [PNG]],
  ["text with attachments", null, "quoted-printable", [PDF, PDF]],
  ["an inline image without html is an attachment", null, "quoted-printable", [PNG]],
  ["everything", "quoted-printable", "quoted-printable", [PNG, PDF, { ...PNG, contentId: "two" }, PDF]],
] as const)("%s", (_, html, text, attachments) => {
  const bytes = message({ html, text, attachments });

  test("is ready for the wire", () => expectWireReady(bytes));

  test("parses to the same parts", async () => {
    // Links to cid: pictures stay as they are, or the parser writes the picture into the HTML.
    const parsed = await parseMail(bytes, { skipImageLinks: true, skipTextToHtml: true, skipHtmlToText: true });
    // The parser drops line ends at the end of a part.
    expect(parsed.html || "").toBe(html === null ? "" : lf(HTML));
    if (text !== null) expect(lf(parsed.text ?? "").trimEnd()).toBe(lf(TEXT));
    expect(
      parsed.attachments.map((a) => [
        a.filename,
        a.contentType,
        a.content.equals(PDF.bytes) || a.content.equals(PNG.bytes),
      ]),
    ).toEqual(
      [...attachments.filter((a) => a.contentId !== ""), ...attachments.filter((a) => a.contentId === "")].map((a) => [
        a.filename,
        a.contentType,
        true,
      ]),
    );
    if (html !== null)
      expect(parsed.attachments.filter((a) => a.related).length).toBe(
        attachments.filter((a) => a.contentId !== "").length,
      );
  });
});

test("no content can imitate a boundary", async () => {
  const shape: MimeShape = { html: "quoted-printable", text: "quoted-printable", attachments: [PDF] };
  const skeleton = buildSkeleton(shape);
  const boundaries = JSON.stringify([
    skeleton.headers,
    skeleton.segments.map((s) => ("bytes" in s ? s.bytes.toString() : "")),
  ]).match(/=_\w+/g);
  const hostile = [...new Set(boundaries)]
    .map((b) => `--${b}\r\nContent-Type: text/html\r\n\r\nevil\r\n--${b}--\r\n`)
    .join("\n");
  const parsed = await parseMail(message(shape, hostile, hostile), { skipHtmlToText: true });
  expect(parsed.attachments).toHaveLength(1);
  expect(lf(parsed.text ?? "").trimEnd()).toBe(lf(hostile).trimEnd());
});

describe("file names", () => {
  test.each([
    "größe.pdf",
    "日本語の長いファイル名".repeat(8) + ".pdf",
    'a "quoted" \\ name.pdf',
    "x".repeat(190) + ".pdf",
    "a\r\nX-Evil: yes.pdf",
    "100%25.pdf",
    "é';.pdf",
  ])("%.30s", async (filename) => {
    const bytes = message({ html: null, text: "base64", attachments: [{ ...PDF, filename }] });
    expectWireReady(bytes);
    const parsed = await parseMail(bytes);
    expect(parsed.attachments[0]?.filename).toBe(filename);
    expect(parsed.headers.has("x-evil")).toBe(false);
  });
});

test("an attached message stays whole", async () => {
  const attached = {
    ...PDF,
    filename: "forwarded.eml",
    contentType: "message/rfc822",
    bytes: Buffer.from("Subject: x\r\n\r\ny\r\n"),
  };
  const parsed = await parseMail(message({ html: null, text: "quoted-printable", attachments: [attached] }));
  expect(parsed.attachments[0]).toMatchObject({ filename: "forwarded.eml" });
  expect(message({ html: null, text: "base64", attachments: [attached] }).toString()).toContain(
    "Content-Type: application/octet-stream",
  );
  expect(parsed.attachments[0]?.content.equals(attached.bytes)).toBe(true);
});

test.each([
  ["", "quoted-printable"],
  ["Liebe Grüße aus Köln, bis bald", "quoted-printable"],
  ["Здравствуйте, {{name}}!", "base64"],
  ["日本語", "base64"],
])("%j is written in %s", (template, encoding) => {
  expect(encodingFor(template)).toBe(encoding);
});

test("an empty part is a part; a huge one does not stay in memory's way", () => {
  expectWireReady(message({ html: "quoted-printable", text: "base64", attachments: [] }, "", ""));
  expectWireReady(message({ html: null, text: "quoted-printable", attachments: [] }, "", "é\ud800 ".repeat(150_000)));
  expectWireReady(message({ html: null, text: "quoted-printable", attachments: [] }, "", "x"));
  expect(message({ html: null, text: "quoted-printable", attachments: [] }, "", "").toString()).toMatch(/\r\n\r\n$/);
});
