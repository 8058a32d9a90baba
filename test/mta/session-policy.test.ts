/** A connection that a TLS policy asks something of: never in the clear, never to the wrong one, and what is counted of it. */
import { X509Certificate } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { TlsFinding } from "../../src/model/tls-result.ts";
import type { Session } from "../../src/mta/session-contract.ts";
import { openTlsMemory, type TlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import type { TlsDemand, TlsLink, TlsObserver } from "../../src/mta/tls-policy/contract.ts";
import { type TlsaRecord, usableTlsa } from "../../src/smtp/tlsa.ts";
import { authority, expired, forClients, good, shown, tlsaOf } from "../support/certificates.ts";
import {
  ehlo,
  hello,
  openScriptServer,
  type Peer,
  type ScriptServer,
  tlsCertificate,
} from "../support/script-server.ts";
import { sessionTarget, smtpSettings, testMessage } from "../support/session.ts";
import { openSmtpSink, type SmtpSink, type SmtpSinkOptions } from "../support/smtp-sink.ts";

const MX = "mx1.good.test";
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of closing.splice(0)) await each.close();
});
async function sink(options: SmtpSinkOptions): Promise<SmtpSink> {
  const server = await openSmtpSink(options);
  closing.push(server);
  return server;
}
async function scripted(script: (peer: Peer) => Promise<void>): Promise<ScriptServer> {
  const server = await openScriptServer(script);
  closing.push(server);
  return server;
}

const pkix: TlsDemand = { name: "required", check: { kind: "pkix" } };
const encrypted: TlsDemand = { name: "dane:any", check: { kind: "any" } };
function dane(...records: string[]): TlsDemand {
  const all = records.map((text): TlsaRecord => {
    const [usage, selector, matching, hex = ""] = text.split(" ");
    return {
      usage: Number(usage),
      selector: Number(selector),
      matching: Number(matching),
      data: Buffer.from(hex, "hex"),
    };
  });
  return { name: `dane:${records.join()}`, check: { kind: "dane", records: usableTlsa(all), name: MX, names: [MX] } };
}

interface Seen {
  readonly carried: (readonly [domain: string, finding: TlsFinding | null])[];
  readonly failed: (readonly [outcome: Outcome, finding: TlsFinding | null])[];
}
interface Options {
  readonly demand?: TlsDemand | null;
  readonly mx?: string;
  readonly tls?: "opportunistic" | "required" | "disabled";
  readonly memory?: TlsMemory;
}
const trusting = (): TlsMemory => openTlsMemory(systemClock, { ca: authority });

async function attempt(
  port: number,
  options: Options,
): Promise<{ session: Session | null; outcome: Outcome | null; seen: Seen }> {
  const carried: (readonly [string, TlsFinding | null])[] = [];
  const failed: (readonly [Outcome, TlsFinding | null])[] = [];
  const observer: TlsObserver = {
    carried: (domain: string, link: TlsLink) => void carried.push([domain, link.finding()]),
    failed: (outcome: Outcome, link: TlsLink) => void failed.push([outcome, link.finding()]),
  };
  const { demand = null, mx = MX, tls = "opportunistic", memory = trusting() } = options;
  const result = await openSession(
    { clock: systemClock, tlsMemory: memory, observer },
    sessionTarget(port, { mx, tls, demand }),
    smtpSettings({ ehloMs: 500 }),
    { permit: () => true, change() {} },
  );
  const seen = { carried, failed };
  return "submit" in result ? { session: result, outcome: null, seen } : { session: null, outcome: result, seen };
}

/** Opens a session, sends one message, closes it. */
async function send(port: number, options: Options): Promise<{ outcome: Outcome; seen: Seen }> {
  const { session, outcome, seen } = await attempt(port, options);
  if (session === null) return { outcome: outcome!, seen };
  const sent = await session.submit(testMessage(1));
  await session.quit();
  return { outcome: sent, seen };
}

describe("STARTTLS taken away under a policy that demands it: no mail in the clear, whatever the rule says", () => {
  const ways: [string, (peer: Peer) => Promise<void>][] = [
    ["not offered", async (peer) => await hello(peer, "PIPELINING")],
    [
      "refused for now",
      async (peer) => {
        await hello(peer, "STARTTLS");
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("454 4.7.0 TLS not available\r\n");
      },
    ],
    [
      "refused",
      async (peer) => {
        await hello(peer, "STARTTLS");
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("502 what?\r\n");
      },
    ],
    [
      "injected behind",
      async (peer) => {
        await hello(peer, "STARTTLS");
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("220 go\r\n250 injected\r\n");
      },
    ],
    [
      "ended in garbage",
      async (peer) => {
        await hello(peer, "STARTTLS");
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("220 go\r\n");
        await peer.expect(/^\x16\x03/);
        peer.send("250 welcome\r\n");
      },
    ],
    [
      "no EHLO, so no extensions",
      async (peer) => {
        peer.send("220 mx.test ESMTP\r\n");
        await peer.expect(/^EHLO .*\r\n/);
        peer.send("500 what?\r\n");
        await peer.expect(/^HELO .*\r\n/);
        peer.send("250 mx.test\r\n");
      },
    ],
  ];
  for (const [name, script] of ways)
    for (const [kind, demand] of Object.entries({ pkix, encrypted, dane: dane(tlsaOf(good.chain[0]!, 3, 1, 1)) }))
      test.each(["opportunistic", "disabled"] as const)(`${name}, ${kind}, rule %s`, async (tls) => {
        const server = await scripted(script);
        const memory = trusting();
        memory.breaks(MX); // what opportunistic TLS remembers must not matter either
        const { outcome, seen } = await send(server.port, { demand, tls, memory });
        expect(outcome).toMatchObject({ kind: "unreachable", stage: "starttls", tls: "" });
        expect(["4.7.5", "4.7.0"]).toContain(outcome.enhanced);
        expect(server.connections).toBe(1);
        expect(server.peers[0]!.received).not.toMatch(/MAIL FROM/i);
        expect(seen.carried).toEqual([]);
        expect(seen.failed).toHaveLength(1);
        expect(seen.failed[0]![0]).toBe(outcome);
        const none = name.startsWith("not offered") || name.startsWith("refused") || name.startsWith("no EHLO");
        expect(seen.failed[0]![1]!.result).toBe(none ? "starttls-not-supported" : "validation-failure");
      });
});

describe("MTA-STS in force", () => {
  test("a valid certificate of the exchanger: sent", async () => {
    const server = await sink({ starttls: true, certificate: good });
    const { outcome, seen } = await send(server.port, { demand: pkix, tls: "disabled" });
    expect(outcome).toMatchObject({ kind: "accepted", tls: expect.stringContaining("TLS") });
    expect(server.messages).toMatchObject([{ secure: true }]);
    expect(seen).toEqual({ carried: [["d.test", { result: "", reason: "" }]], failed: [] });
  });

  test.each([
    ["for another name", "elsewhere.test", good, "certificate-host-mismatch"],
    ["expired", MX, expired, "certificate-expired"],
    ["nobody vouches for", "mx.test", undefined, "certificate-not-trusted"],
    ["for clients", MX, forClients, "certificate-not-trusted"],
  ])("a certificate %s: not sent", async (_name, mx, certificate, result) => {
    const server = await sink({ starttls: true, ...(certificate === undefined ? {} : { certificate }) });
    const { outcome, seen } = await send(server.port, { demand: pkix, mx });
    expect(outcome).toMatchObject({ kind: "unreachable", stage: "starttls", enhanced: "4.7.5" });
    expect(server.messages).toEqual([]);
    expect(seen.carried).toEqual([]);
    expect(seen.failed.map(([, finding]) => finding!.result)).toEqual([result]);
  });

  test("a session resumed from one that nobody checked is not taken for checked", async () => {
    const server = await sink({ starttls: true, certificate: expired });
    const memory = trusting();
    expect((await send(server.port, { memory })).outcome.kind).toBe("accepted");
    expect((await send(server.port, { memory, demand: encrypted })).outcome.kind).toBe("accepted");
    for (const demand of [pkix, dane(tlsaOf(good.chain[0]!, 3, 1, 1))])
      expect((await send(server.port, { memory, demand })).outcome.kind).toBe("unreachable");
  });
});

describe("DANE", () => {
  const [leaf, middle, root] = good.chain as [X509Certificate, X509Certificate, X509Certificate];
  const stranger = new X509Certificate(tlsCertificate);
  const whole = { key: good.key, cert: shown(good.chain) };

  test.each([
    ["3 1 1", [tlsaOf(leaf, 3, 1, 1)]],
    ["3 0 2", [tlsaOf(leaf, 3, 0, 2)]],
    ["a key to come and the one there is", [tlsaOf(stranger, 3, 1, 1), tlsaOf(leaf, 3, 1, 1)]],
    ["2 1 1 of the issuer", [tlsaOf(middle, 2, 1, 1)]],
    ["2 0 1 of the root, shown", [tlsaOf(root, 2, 0, 1)]],
    ["garbage beside a good one", ["3 1 1 00", "1 1 1 ff", tlsaOf(leaf, 3, 1, 1)]],
  ])("%s: sent, without any authority of the Web", async (_name, records) => {
    const server = await sink({ starttls: true, certificate: whole });
    const memory = openTlsMemory(systemClock);
    // The second session is resumed.
    for (let i = 0; i < 2; i++) {
      const { outcome, seen } = await send(server.port, { demand: dane(...records), memory });
      expect(outcome).toMatchObject({ kind: "accepted" });
      expect(seen).toEqual({ carried: [["d.test", { result: "", reason: "" }]], failed: [] });
    }
  });

  test("DANE-EE takes an expired, self-signed certificate of another name", async () => {
    const old = await sink({ starttls: true, certificate: expired });
    expect((await send(old.port, { demand: dane(tlsaOf(expired.chain[0]!, 3, 1, 1)) })).outcome.kind).toBe("accepted");
    const own = await sink({ starttls: true });
    expect((await send(own.port, { demand: dane(tlsaOf(stranger, 3, 1, 1)) })).outcome.kind).toBe("accepted");
  });

  test.each([
    ["of another key", good, [tlsaOf(stranger, 3, 1, 1)], "validation-failure"],
    ["valid by the Web, with records for another", good, [tlsaOf(expired.chain[0]!, 3, 1, 1)], "validation-failure"],
    ["below the anchor, expired", expired, [tlsaOf(middle, 2, 1, 1)], "certificate-expired"],
    ["below the anchor, for clients", forClients, [tlsaOf(middle, 2, 1, 1)], "certificate-not-trusted"],
  ])("a certificate %s: not sent", async (_name, certificate, records, result) => {
    const server = await sink({ starttls: true, certificate });
    const { outcome, seen } = await send(server.port, { demand: dane(...records) });
    expect(outcome).toMatchObject({ kind: "unreachable", stage: "starttls", enhanced: "4.7.5" });
    expect(server.messages).toEqual([]);
    expect(seen.failed.map(([, finding]) => finding!.result)).toEqual([result]);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "%s: when the records change, no session from before is resumed",
    async (tlsVersion) => {
      const server = await sink({ starttls: true, certificate: good, tlsVersion });
      const memory = trusting();
      const kinds: string[] = [];
      // The third is the second again: one that was refused is not remembered as good.
      for (const certificate of [leaf, stranger, stranger, leaf])
        kinds.push((await send(server.port, { memory, demand: dane(tlsaOf(certificate, 3, 1, 1)) })).outcome.kind);
      expect(kinds).toEqual(["accepted", "unreachable", "unreachable", "accepted"]);
    },
  );

  test("records that cannot be used: any certificate, but TLS", async () => {
    const server = await sink({ starttls: true });
    const { outcome, seen } = await send(server.port, { demand: encrypted });
    expect(outcome).toMatchObject({ kind: "accepted", tls: expect.stringContaining("TLS") });
    expect(seen.carried).toEqual([["d.test", { result: "", reason: "" }]]);
  });
});

describe("nothing demanded: mail goes as ever, and what a check would have said is known", () => {
  test.each([
    ["good", MX, good, ""],
    ["of another name", "elsewhere.test", good, "certificate-host-mismatch"],
    ["expired", MX, expired, "certificate-expired"],
    ["self-signed", "mx.test", undefined, "certificate-not-trusted"],
  ])("a certificate that is %s, also when the session is resumed", async (_name, mx, certificate, result) => {
    const server = await sink({ starttls: true, ...(certificate === undefined ? {} : { certificate }) });
    const memory = trusting();
    for (let i = 0; i < 2; i++) {
      const { outcome, seen } = await send(server.port, { mx, memory });
      expect(outcome.kind).toBe("accepted");
      expect(seen.failed).toEqual([]);
      expect(seen.carried.map(([domain, finding]) => [domain, finding!.result])).toEqual([["d.test", result]]);
    }
    expect(server.messages.map(({ secure }) => secure)).toEqual([true, true]);
  });

  test("no STARTTLS: in the clear, and counted", async () => {
    const server = await sink({});
    const { outcome, seen } = await send(server.port, {});
    expect(outcome).toMatchObject({ kind: "accepted", tls: "" });
    expect(seen.carried.map(([, finding]) => finding!.result)).toEqual(["starttls-not-supported"]);
  });

  test("the rule says never: nothing is counted", async () => {
    const server = await sink({ starttls: true, certificate: good });
    const { outcome, seen } = await send(server.port, { tls: "disabled" });
    expect(outcome).toMatchObject({ kind: "accepted", tls: "" });
    expect(seen.carried).toEqual([["d.test", null]]);
  });

  test("a handshake that failed, then in the clear, now and within the hour", async () => {
    const server = await scripted(async (peer) => {
      await hello(peer, "STARTTLS");
      if (peer.number === 1) {
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("220 go\r\n");
        await peer.expect(/^\x16\x03/);
        peer.reset();
        return;
      }
      await peer.expect(/^MAIL.*\r\n/);
      peer.send("250 ok\r\n");
      await peer.expect(/^RCPT.*\r\n/);
      peer.send("250 ok\r\n");
      await peer.expect(/^DATA\r\n/);
      peer.send("354 go\r\n");
      await peer.expect(/\r\n\.\r\n/);
      peer.send("250 ok\r\n");
      await peer.expect(/^QUIT/);
      peer.close();
    });
    const memory = trusting();
    for (let i = 0; i < 2; i++) {
      const { outcome, seen } = await send(server.port, { memory });
      expect(outcome).toMatchObject({ kind: "accepted", tls: "" });
      expect(seen.failed).toEqual([]);
      expect(seen.carried.map(([, finding]) => finding!.result)).toEqual(["validation-failure"]);
    }
    expect(server.connections).toBe(3);
  });

  test("each domain of a connection is told once", async () => {
    const server = await sink({ starttls: true, certificate: good });
    const { session, seen } = await attempt(server.port, {});
    for (const [i, to] of ["a@d.test", "b@d.test", "a@e.test", "c@d.test", "b@e.test"].entries())
      await session!.submit(testMessage(i, 60, { to }));
    await session!.quit();
    expect(seen.carried.map(([domain]) => domain)).toEqual(["d.test", "e.test"]);
  });
});

test("in TLS the second EHLO counts", async () => {
  const server = await scripted(async (peer) => {
    await hello(peer, "STARTTLS", "AUTH PLAIN");
    await peer.expect(/^STARTTLS\r\n/);
    peer.send("220 go\r\n");
    await peer.secure();
    await ehlo(peer);
    await peer.gone();
  });
  const { session } = await attempt(server.port, { demand: encrypted });
  expect(session).not.toBeNull();
  session!.destroy();
});
