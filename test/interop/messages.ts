/**
 * Messages that are worth sending through other people's servers: the newsletter with attachments and an inline image, texts full of dots,
 * long lines and blank ends, names and subjects in every script, an address that needs SMTPUTF8. Made by the real render threads and
 * signed with a key of this run (`SIGNED` is what has to be published for it).
 */
import { createHash, randomBytes } from "node:crypto";
import { newsletter, recipient } from "../../bench/newsletter.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Content } from "../../src/model/delivery.ts";
import type { WireMessage } from "../../src/mta/session-contract.ts";
import { openRenderPool } from "../../src/render/pool.ts";
import type { RenderJob, SharedContent } from "../../src/render/contract.ts";
import { generateDkimKey } from "../../src/smtp/dkim.ts";

const DOMAIN = "sender.example";
const SELECTOR = "interop";
const key = generateDkimKey("rsa", 2048);

/** The TXT record that verifiers ask for. */
export const SIGNED = { name: `${SELECTOR}._domainkey.${DOMAIN}`, record: key.record } as const;

const BASE: Content = {
  subject: "Plain",
  html: "",
  text: "Plain.\n",
  textFromHtml: false,
  from: { address: `hello@${DOMAIN}`, name: "The Weekly Café" },
  replyTo: null,
  toName: "",
  headers: [],
  attachments: [],
  globals: {},
  returnPathDomain: `bounces.${DOMAIN}`,
  listUnsubscribe: { url: `https://t.${DOMAIN}`, mailtoDomain: `bounces.${DOMAIN}` },
  feedbackId: "",
};

/** 1×1 GIF. */
const PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

const HARD_TEXT = [
  ".",
  "..",
  ".a line that begins with a dot",
  "From the beginning of a line",
  "trailing blanks   ",
  "\ttab first",
  "x".repeat(3000),
  "日本語のテキスト — und Grüße 🎈",
  "=3D is not an equals sign",
  "",
  "",
].join("\n");

const { variables } = recipient(7, 1, ["interop.example"]);

const CASES: readonly { readonly content: Partial<Content>; readonly address: string }[] = [
  { content: { ...newsletter() }, address: "newsletter@interop.example" },
  { content: { subject: "Dots, long lines, blank ends", text: HARD_TEXT }, address: "hard@interop.example" },
  {
    content: {
      subject: "日本語の件名, Ünïcödé and a rather long rest of it so that it has to be folded more than once 🎈",
      toName: "Zoë “the reader” Müller",
      html: '<p>Größe: <img src="cid:pixel" alt=""></p>',
      text: "Größe",
      attachments: [
        { filename: "pixel.gif", contentType: "image/gif", data: PIXEL, contentId: "pixel" },
        { filename: "Übersicht 2026.bin", contentType: "application/octet-stream", data: everyOctet(), contentId: "" },
      ],
      headers: [["X-Campaign", "{{first}} – spring"]],
    },
    address: "parts@interop.example",
  },
  { content: { subject: "To a name outside of ASCII: {{first}}" }, address: "zoë@interop.example" },
  { content: { subject: "To a domain outside of ASCII" }, address: "zoe@xn--bcher-kva.example" },
];

/** Every octet there is, three times. */
function everyOctet(): string {
  return Buffer.from(Array.from({ length: 768 }, (_, i) => i & 255)).toString("base64");
}

/** New Message-IDs each time. Throws when one cannot be rendered. */
export async function makeMessages(): Promise<WireMessage[]> {
  const pool = openRenderPool({ threads: 1, log: silentLog });
  // A key of this call: the ids are the same each time, the tokens made of them must not be.
  const keys = {
    version: 1,
    token: [{ id: 1, secret: randomBytes(32) }],
    dkim: [{ domain: DOMAIN, selector: SELECTOR, pem: key.pem }],
  };
  try {
    const messages: WireMessage[] = [];
    for (const [i, { content, address }] of CASES.entries()) {
      const job: RenderJob = { id: i + 1, address, variables: JSON.stringify(variables), delivery: 1 };
      const [rendered] = await pool.render(shared({ ...BASE, ...content }), keys, [job]);
      if (rendered === undefined || !("bytes" in rendered)) throw new Error(`${address}: ${JSON.stringify(rendered)}`);
      const { id, from, bytes, smtputf8 } = rendered;
      messages.push({ id, from, to: address, bytes, smtputf8 });
    }
    return messages;
  } finally {
    await pool.close();
  }
}

function shared(content: Content): SharedContent {
  const text = Buffer.from(JSON.stringify(content));
  const json = new SharedArrayBuffer(text.length);
  new Uint8Array(json).set(text);
  return { hash: createHash("sha256").update(text).digest("hex"), json };
}
