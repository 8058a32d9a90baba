import { describe, expect, test } from "vitest";
import {
  dkimDnsRecord,
  dkimSignatures,
  generateDkimKey,
  openSigner,
  type RawHeader,
  relaxedBody,
  relaxedValue,
  signersFor,
} from "../../src/smtp/dkim.ts";
import { verifyDkim } from "../support/verify-dkim.ts";

const rsa = generateDkimKey("rsa", 2048);
const ed = generateDkimKey("ed25519");
const keys = [
  { domain: "sender.example", selector: "r1", pem: rsa.pem, record: rsa.record },
  { domain: "sender.example", selector: "e1", pem: ed.pem, record: ed.record },
];
const signers = keys.map(openSigner);
const NOW = Math.floor(Date.now() / 1000);

const HEADERS: RawHeader[] = [
  ["From", '"News, and more" <news@sender.example>'],
  ["To", "a@b.example"],
  ["Subject", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n and  so   on"],
  ["Date", "Thu, 01 Jan 2026 00:00:00 +0000"],
  ["Message-ID", "<x@y>"],
  ["List-Unsubscribe", "<https://t.example/u/x>,\r\n\t<mailto:u@y.example>"],
  ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
  ["X-Own", "  spaced \t out  "],
];

function signed(headers: readonly RawHeader[], body: Buffer): Buffer {
  const text = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return Buffer.concat([Buffer.from(dkimSignatures(headers, body, signers, NOW) + text + "\r\n"), body]);
}

/** Deterministic pseudo-random numbers (mulberry32). */
function draws(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

describe("an independent verifier", () => {
  test("passes both algorithms on 200 random bodies", async () => {
    const pieces = [
      "word",
      " ",
      "  ",
      "\t",
      " \t ",
      "\r\n",
      "\r\n\r\n",
      " \r\n",
      "=20",
      ".",
      "\r\n.",
      "é",
      "x".repeat(900),
      "--b",
      "\r\n \r\n",
    ];
    for (let seed = 0; seed < 200; seed++) {
      const draw = draws(seed);
      let body = "";
      for (let i = draw(40); i > 0; i--) body += pieces[draw(pieces.length)];
      if (draw(4) > 0) body += "\r\n";
      const verdict = await verifyDkim(signed(HEADERS, Buffer.from(body)), keys);
      expect({ seed, body, ...verdict }).toMatchObject({ signatures: 2, passed: 2 });
    }
  });

  test.each(["", "\r\n", "\r\n\r\n\r\n", " \r\n", "a", "a\r\n\r\n", " a  b \r\n\t\r\n"])("passes %j", async (body) => {
    expect(await verifyDkim(signed(HEADERS, Buffer.from(body)), keys)).toMatchObject({ signatures: 2, passed: 2 });
  });

  test.each<[string, (message: string) => string]>([
    ["a changed body", (m) => m.replace("hello", "hallo")],
    ["a changed subject", (m) => m.replace("and  so", "and no")],
    ["a second From in front", (m) => m.replace("From: ", "From: x@evil.example\r\nFrom: ")],
    ["a second Subject behind", (m) => m.replace("Date: ", "Subject: evil\r\nDate: ")],
    ["a To that is gone", (m) => m.replace("To: a@b.example\r\n", "")],
    ["a changed one-click header", (m) => m.replace("https://t.example", "https://evil.example")],
    ["a changed header of one's own", (m) => m.replace("spaced", "spoofed")],
  ])("refuses %s", async (_, change) => {
    const message = signed(HEADERS, Buffer.from("hello\r\n")).toString("latin1");
    const changed = change(message);
    expect(changed).not.toBe(message);
    expect(await verifyDkim(Buffer.from(changed, "latin1"), keys)).toMatchObject({ signatures: 2, passed: 0 });
  });

  test("still passes when a relay refolds and respaces", async () => {
    const message = signed(HEADERS, Buffer.from("hello  world \r\n")).toString("latin1");
    const refolded = message.replace("and  so   on", "and\r\n so on").replace("hello  world ", "hello world");
    expect(await verifyDkim(Buffer.from(refolded, "latin1"), keys)).toMatchObject({ passed: 2 });
  });
});

test("no line of a signature is longer than 78 but those that cannot be folded", () => {
  const many: RawHeader[] = [
    ...HEADERS,
    ...Array.from({ length: 30 }, (_, i): RawHeader => [`X-Header-Number-${i}`, "v"]),
  ];
  const text = dkimSignatures(many, Buffer.from("x"), signers, NOW);
  for (const line of text.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
  expect(text).not.toMatch(/[^\r]\n|\r[^\n]/);
});

test("headers that servers change on the way are not signed", () => {
  const text = dkimSignatures(
    [...HEADERS, ["Received", "x"], ["Return-Path", "<>"]],
    Buffer.from(""),
    signers.slice(0, 1),
    NOW,
  );
  const names = /h=([^;]*)/.exec(text)![1]!.replace(/\s/g, "").split(":");
  expect(names).not.toContain("received");
  expect(names).not.toContain("return-path");
  for (const name of ["from", "to", "subject"]) expect(names.filter((n) => n === name)).toHaveLength(2);
});

describe("which keys sign", () => {
  const ring = ["example.com", "mail.example.com", "EXAMPLE.com", "other.org"].map((domain, i) => ({
    domain,
    selector: `s${i}`,
  }));
  test.each([
    ["example.com", ["s0", "s2"]],
    ["news.example.com", ["s0", "s2"]],
    ["Mail.Example.com", ["s1"]],
    ["a.b.mail.example.com", ["s1"]],
    ["notexample.com", []],
    ["com", []],
    ["", []],
  ])("for %s: %j", (domain, selectors) => {
    expect(signersFor(ring, domain).map((k) => k.selector)).toEqual(selectors);
  });
});

test.each(["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])("%j is no key", (pem) => {
  expect(() => openSigner({ domain: "d", selector: "s", pem })).toThrow(/key|PEM|DECODER|routines|unsupported/i);
});

test("the DNS record names the algorithm and nothing but the key", () => {
  expect(dkimDnsRecord(rsa.pem)).toMatch(/^v=DKIM1; k=rsa; p=MII[A-Za-z0-9+/]+=*$/);
  expect(dkimDnsRecord(ed.pem)).toMatch(/^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$/);
});

test.each([
  [" a  b\t\r\n c ", "a b c"],
  ["plain", "plain"],
  ["", ""],
])("relaxed value of %j", (value, expected) => {
  expect(relaxedValue(value)).toBe(expected);
});

test("the canonical body of RFC 6376 §3.4.5", () => {
  expect(Buffer.from(relaxedBody(Buffer.from(" C \r\nD \t E\r\n\r\n\r\n"))).toString()).toBe(" C\r\nD E\r\n");
});
