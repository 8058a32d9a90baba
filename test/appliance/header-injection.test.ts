/**
 * Through the public API: ends of lines, of headers, of messages and of addresses in everything that reaches a header or the envelope. Each is
 * refused, or its message fails alone, or what arrives is one message with the headers a harmless value gives, read by a parser that is not ours.
 */
import { afterAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { Accepted } from "../../demo/internet/host.ts";
import { openRenderPool } from "../../src/render/pool.ts";
import { openTestApi } from "../support/api.ts";
import { INJECTIONS } from "../support/injections.ts";
import { parseMail, type ParsedMail } from "../support/mail.ts";
import { openTestMta } from "../support/mta.ts";
import { openTaking } from "../support/taking.ts";
import { until } from "../support/until.ts";

const api = await openTestApi({ web: { requestsPerSecond: 100_000 } });
const arrived: Accepted[] = [];
const host = await openTaking({ accept: (message) => arrived.push({ ...message, bytes: Buffer.from(message.bytes) }) });
const pool = openRenderPool({ threads: 1, log: silentLog });
const keys = { version: 1, token: [{ id: 1, secret: Buffer.alloc(32, 7) }], dkim: [] };
const mta = await openTestMta({ sql: api.db.sql, port: host.port, deps: { pool, keys: () => keys } });
afterAll(async () => {
  await mta.close();
  await pool.close();
  await host.close();
});

interface Field {
  /** What is added to, or replaces parts of, a request that is in order. */
  readonly ask: (value: string) => Record<string, unknown>;
  /** The decoded text of the field in what arrived, where it has one. */
  readonly read?: (mail: ParsedMail) => string | undefined | Promise<string | undefined>;
}

const FIELDS: Readonly<Record<string, Field>> = {
  "a variable of the subject": { ask: (v) => ({ subject: "{{v}}", variables: { v } }), read: (mail) => mail.subject },
  "the subject": { ask: (v) => ({ subject: v }), read: (mail) => mail.subject },
  "a global variable": { ask: (v) => ({ subject: "{{v}}", globals: { v } }), read: (mail) => mail.subject },
  "a variable that is an object": { ask: (v) => ({ subject: "{{v.w}}{{v}}", variables: { v: { w: v, [v]: v } } }) },
  "a variable of toName": { ask: (v) => ({ toName: "{{v}}", variables: { v } }), read: (mail) => nameOf(mail.to) },
  toName: { ask: (v) => ({ toName: v }), read: (mail) => nameOf(mail.to) },
  "the name in to": { ask: (v) => ({ toLike: v }), read: (mail) => nameOf(mail.to) },
  "the name in from": {
    ask: (v) => ({ from: { address: "app@sender.example", name: v } }),
    read: (mail) => nameOf(mail.from),
  },
  "a variable of the name in from": {
    ask: (v) => ({ from: { address: "app@sender.example", name: "{{v}}" }, variables: { v } }),
    read: (mail) => nameOf(mail.from),
  },
  "the name in replyTo": {
    ask: (v) => ({ replyTo: { address: "reply@sender.example", name: v } }),
    read: (mail) => nameOf(mail.replyTo),
  },
  "a variable of a header": {
    ask: (v) => ({ headers: { "X-Own": "{{v}}" }, variables: { v } }),
    read: (mail) => decoded(mail, "x-own"),
  },
  "a header": { ask: (v) => ({ headers: [["X-Own", v]] }), read: (mail) => decoded(mail, "x-own") },
  "the name of a header": { ask: (v) => ({ headers: { [`X-${v}`]: "own" } }) },
  "the address in from": { ask: (v) => ({ from: { address: `${v}@sender.example` } }) },
  "the domain in from": { ask: (v) => ({ from: { address: `app@${v}.example` } }) },
  "the address in replyTo": { ask: (v) => ({ replyTo: { address: `${v}@sender.example` } }) },
  feedbackId: { ask: (v) => ({ feedbackId: v }), read: (mail) => decoded(mail, "feedback-id") },
  returnPathDomain: { ask: (v) => ({ returnPathDomain: `${v}.example` }) },
  "listUnsubscribe.url": { ask: (v) => ({ listUnsubscribe: { url: `https://t.example/${v}` } }) },
  "listUnsubscribe.mailtoDomain": { ask: (v) => ({ listUnsubscribe: { mailtoDomain: `${v}.example` } }) },
  "the name of an attachment": {
    ask: (v) => ({ attachments: [{ filename: v, contentType: "text/plain", data: "aGk=" }] }),
    read: (mail) => mail.attachments[0]?.filename,
  },
  "the type of an attachment": {
    ask: (v) => ({ attachments: [{ filename: "a.txt", contentType: `text/${v}`, data: "aGk=" }] }),
  },
  "the id of an image": {
    ask: (v) => ({
      html: "<p>Body stays.</p>",
      inlineImages: [{ contentType: "image/png", contentId: v, data: "aGk=" }],
    }),
  },
  "a variable of the body": { ask: (v) => ({ text: "Body stays.\n{{v}}\nEnd.", variables: { v } }) },
};

function nameOf(addresses: ParsedMail["from"] | ParsedMail["to"]): string | undefined {
  return (Array.isArray(addresses) ? addresses[0] : addresses)?.value[0]?.name;
}

/** The parser leaves encoded words in headers it does not know. */
async function decoded(mail: ParsedMail, header: string): Promise<string | undefined> {
  return (await parseMail(`Subject: ${String(mail.headers.get(header))}\r\n\r\n`)).subject;
}

let count = 0;

interface Sent {
  readonly status: number;
  readonly id: number;
  readonly to: string;
}

async function send(field: Field, value: string): Promise<Sent> {
  const to = `c${++count}@inject.example`;
  const { toLike, ...asked } = field.ask(value);
  const { status, body } = await api.post("/v1/messages", {
    to: toLike === undefined ? to : { address: to, name: toLike },
    from: { address: "app@sender.example", name: "App" },
    subject: "Hello",
    text: "Body stays.",
    ...asked,
  });
  return { status, id: Number(body["id"]), to };
}

/** What arrived for it; null when it was refused or failed alone. */
async function outcome({ status, id, to }: Sent): Promise<Accepted | null> {
  if (status !== 202) {
    expect(status).toBe(400);
    return null;
  }
  const told = await until(
    async () => {
      const { body } = await api.get(`/v1/messages/${id}`);
      return ["sent", "failed"].includes(body["status"] as string) ? body : null;
    },
    { what: `message ${id} to be settled` },
  );
  const mine = arrived.filter((message) => message.to.includes(to));
  if (told!["status"] === "failed") {
    expect(mine).toEqual([]);
    return null;
  }
  expect(mine).toHaveLength(1);
  return mine[0]!;
}

/** Names of the headers in order, of the message and of each of its parts. */
function headerNames(bytes: Buffer): string[] {
  const lines = bytes.toString("latin1").split("\r\n");
  // Nothing but CR LF ends a line, and everything is 7-bit.
  for (const line of lines) expect(line).toMatch(/^[\t\x20-\x7e]*$/);
  return lines.filter((line) => /^[A-Za-z-]+:/.test(line)).map((line) => line.slice(0, line.indexOf(":")));
}

/** Controls and white space are one space, as an unstructured header may not tell them apart. */
function plain(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\p{Cc}\u2028\u2029\ufffd]+/gu, " ")
    .trim();
}

test.each(Object.keys(FIELDS))("%s", async (name) => {
  const field = FIELDS[name]!;
  const harmless = await outcome(await send(field, "plain"));
  expect(harmless).not.toBeNull();
  const names = headerNames(harmless!.bytes);
  const example = await parseMail(harmless!.bytes);
  for (const [kind, value] of Object.entries(INJECTIONS)) {
    const asked = await send(field, value);
    const got = await outcome(asked);
    if (got === null) continue;
    const where = `${name}: ${kind}`;
    expect(got.to, where).toEqual([asked.to]);
    expect(got.from, where).toMatch(/^b\+[a-z0-9]+@[a-z0-9.-]+$/);
    if (name !== "a variable of the body") expect(headerNames(got.bytes), where).toEqual(names);
    const mail = await parseMail(got.bytes);
    expect([...mail.headers.keys()], where).toEqual([...example.headers.keys()]);
    expect(mail.cc ?? mail.bcc, where).toBeUndefined();
    for (const list of [mail.from, mail.to, mail.replyTo].flat()) {
      if (list === undefined) continue;
      expect(list.value, where).toHaveLength(1);
      expect(list.value[0]!.address, where).not.toContain("evil.example>");
      expect(list.value[0]!.address, where).not.toBe("evil@evil.example");
    }
    expect(mail.text, where).toContain("Body stays.");
    if (name === "a variable of the body") expect(mail.text, where).toContain("End.");
    else expect(mail.text?.trim(), where).toBe("Body stays.");
    expect(mail.attachments, where).toHaveLength(example.attachments.length);
    if (field.read !== undefined) expect(plain((await field.read(mail)) ?? ""), where).toBe(plain(value));
  }
});

test("addresses of an upload: what is no address is an invalid line, and nothing of it is in the envelope", async () => {
  const values = Object.values(INJECTIONS).flatMap((value) => [
    `${value}@inject.example`,
    `x@inject.example${value}`,
    `x@${value}.example`,
  ]);
  const id = await api.delivery();
  const good = "good@inject.example";
  const lines = [...values.map((address) => JSON.stringify({ address })), JSON.stringify({ address: good })];
  const told = (await api.upload(id, lines.join("\n"))).body;
  expect(told["accepted"] + told["invalid"]).toBe(lines.length);
  expect(told["invalid"]).toBeGreaterThan(values.length - 8);
  await api.post(`/v1/deliveries/${id}/start`);
  await until(() => host.taken.has(good), { what: "the good one to arrive" });
  const rows = await api.db.sql<{ address: string }[]>`select address from message where delivery_id = ${id}`;
  for (const { address } of rows) expect(address).toMatch(/^[^\s\p{Cc}<>,;:"\\]+@[a-z0-9.-]+$/u);
  const known = new Set(rows.map(({ address }) => address));
  const strangers = [...host.taken.keys()].filter(
    (address) => !known.has(address) && !/^c\d+@inject\.example$/.test(address),
  );
  expect(strangers).toEqual([]);
});
