/**
 * Real receivers take what we send, and what arrives is what was signed: byte for byte below the trace headers they put on top, with a DKIM
 * signature that others verify, and the same parts for a parser that is not ours. A receiver that is not on this machine is skipped by name.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dkimResults } from "../../demo/dkim.ts";
import { openDns } from "../../demo/internet/dns.ts";
import { systemClock } from "../../src/base/clock.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { openSession } from "../../src/mta/session.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import type { Session, SessionTarget, WireMessage } from "../../src/mta/session-contract.ts";
import { until } from "../support/until.ts";
import { makeMessages, SIGNED } from "./messages.ts";
import type { Receiver } from "./receiver.ts";
import { delivered } from "./receiver.ts";
import * as exim from "./exim.ts";
import * as opendkim from "./opendkim.ts";
import { partsOf } from "./parts.ts";
import * as postfix from "./postfix.ts";

const DOMAINS = ["interop.example", "bücher.example", "xn--bcher-kva.example"];
/** What a receiver may put on top. */
const TRACE = /^(Return-Path|X-Original-To|Delivered-To|Received|Envelope-To|Delivery-Date):/i;

/** One Postfix with two doors. */
let doors: ReturnType<typeof postfix.openPostfix> | null = null;
const openDoors = (): ReturnType<typeof postfix.openPostfix> => (doors ??= postfix.openPostfix(DOMAINS));
const noPostfix = await postfix.missing();

const RECEIVERS = [
  { name: "Postfix", lacks: noPostfix, open: openDoors, tls: /TLSv1\.\d/ },
  {
    name: "Postfix behind postscreen",
    lacks: noPostfix,
    tls: /TLSv1\.\d/,
    async open() {
      const one = await openDoors();
      return { ...one, port: one.screenedPort };
    },
  },
  { name: "Exim", lacks: await exim.missing(), open: () => exim.openExim(DOMAINS), tls: /esmtps|TLS1\.\d/ },
];
const noOpenDkim = await opendkim.missing();

const dns = await openDns([{ name: SIGNED.name, type: "TXT", text: SIGNED.record }]);
const judge = noOpenDkim === "" ? await opendkim.openOpenDkim(SIGNED.name, SIGNED.record) : null;
const closers: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of new Set(closers)) await close();
  await dns.close();
  await judge?.close();
});

const { smtp } = parseSettings({}).mta;

async function openTo(receiver: Receiver, parts: { tls: SessionTarget["tls"]; chunking: boolean }): Promise<Session> {
  const target: SessionTarget = {
    mx: "mx.interop.example",
    ip: "127.0.0.1",
    port: receiver.port,
    localAddress: "",
    publicId: 0,
    helo: "mta.sender.example",
    tls: parts.tls,
    auth: null,
  };
  const events = { permit: () => true, change: () => {} };
  const deps = { clock: systemClock, tlsMemory: openTlsMemory(systemClock) };
  const session = await openSession(deps, target, { ...smtp, chunking: parts.chunking }, events);
  if (!("submit" in session)) throw new Error(`no session: ${session.stage} ${session.text}`);
  return session;
}

/** Sends all of them on one session, as pipelined as it allows. */
async function sendAll(session: Session, messages: readonly WireMessage[]): Promise<string[]> {
  const kinds: Promise<string>[] = [];
  for (const message of messages) {
    await until(() => session.room > 0 || session.ended, { what: "room on the session" });
    if (session.ended) throw new Error("the session ended");
    kinds.push(session.submit(message).then(({ kind, text }) => (kind === "accepted" ? kind : `${kind}: ${text}`)));
  }
  return Promise.all(kinds);
}

const messageId = (bytes: Uint8Array): string =>
  /^message-id:\s*(\S+)/im.exec(Buffer.from(bytes).toString("utf8"))?.[1] ?? "";

async function arrival(receiver: Receiver, id: string): Promise<Buffer> {
  const found = await until(async () => (await delivered(receiver)).find((one) => messageId(one) === id), {
    what: `${receiver.name} to deliver ${id}`,
    timeoutMs: 20_000,
  });
  if (found === undefined) throw new Error("until() gave nothing");
  return found;
}

describe.each(RECEIVERS)("$name", ({ name, lacks, open, tls }) => {
  if (lacks !== "") {
    test.skip(`${name} is left out: ${lacks}`, () => {});
    return;
  }
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await open();
    closers.push(receiver.close);
  });

  test.each([
    { tls: "disabled", chunking: false, how: "DATA in the clear" },
    { tls: "disabled", chunking: true, how: "BDAT in the clear" },
    { tls: "opportunistic", chunking: false, how: "DATA under STARTTLS" },
    { tls: "opportunistic", chunking: true, how: "BDAT under STARTTLS" },
  ] as const)("gets by $how what was signed", async (way) => {
    const messages = await makeMessages();
    const session = await openTo(receiver, way);
    expect(await sendAll(session, messages)).toEqual(messages.map(() => "accepted"));
    await session.quit();

    for (const { bytes } of messages) {
      const id = messageId(bytes);
      const arrived = await arrival(receiver, id);
      // Compared as text: a difference is then shown as lines.
      expect(arrived.subarray(arrived.length - bytes.length).toString("latin1")).toBe(
        Buffer.from(bytes).toString("latin1"),
      );
      const trace = arrived.toString("latin1", 0, arrived.length - bytes.length);
      for (const line of trace.split("\r\n")) expect(line).toMatch(/^$|^\s/.test(line) ? /^/ : TRACE);
      if (way.tls === "opportunistic") expect(trace).toMatch(tls);
      expect(trace).toContain(`@bounces.sender.example`);

      expect(await dkimResults(arrived, dns.address)).toEqual(["pass"]);
      if (judge !== null) expect(await judge.verify(arrived)).toBe("");
      const [was, is] = await Promise.all([partsOf(bytes), partsOf(arrived)]);
      expect({ ...is, header: was.header }).toEqual(was);
    }
  });
});

if (judge === null) test.skip(`OpenDKIM is left out: ${noOpenDkim}`, () => {});
