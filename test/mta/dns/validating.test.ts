import { createSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import type { Dns } from "../../../src/mta/dns/answer.ts";
import { openValidatingDns } from "../../../src/mta/dns/validating.ts";
import { openDnsServer, type DnsServer } from "../../support/dns-server.ts";

let server: DnsServer;
let second: DnsServer;
const CERTIFICATE = `3 1 1 ${"ab".repeat(32)}`;
const LONG = "x".repeat(600);
const zones = {
  "signed.test": { secure: true, MX: [[10, "mx.signed.test"]], A: ["192.0.2.1"], AAAA: ["2001:db8:0:0::1"] },
  "plain.test": { MX: [[10, "mx.signed.test"]], A: ["192.0.2.2"], TLSA: [CERTIFICATE] },
  "_25._tcp.mx.signed.test": { secure: true, TLSA: [CERTIFICATE, "2 0 2 00", "9 9 9 ff"] },
  "_25._tcp.unsigned.test": { TLSA: [CERTIFICATE] },
  "alias.test": { secure: true, CNAME: "signed.test" },
  "half.test": { secure: true, CNAME: "plain.test" },
  "text.test": { secure: true, TXT: ["one", LONG] },
  "long.test": { secure: true, TXT: Array.from({ length: 20 }, () => LONG) },
  "empty.test": { secure: true },
  "fail.test": { rcode: "SERVFAIL" },
  "silent.test": { silent: true },
  "odd.test": { secure: true, A: ["192.0.2"] },
} as const;

beforeEach(async () => {
  server = await openDnsServer(zones);
  second = await openDnsServer({ ...zones, "fail.test": { A: ["192.0.2.9"] }, "silent.test": { A: ["192.0.2.9"] } });
});
afterEach(async () => {
  await server.close();
  await second.close();
});

function open(servers = [server.port], tries = 1, timeoutMs = 400): Dns {
  return openValidatingDns({ servers: servers.map((port) => `127.0.0.1:${port}`), timeoutMs, tries }, systemClock);
}

describe("answers", () => {
  test("records, and whether they were validated", async () => {
    const dns = open();
    expect(await dns.mx("signed.test")).toEqual({
      kind: "records",
      records: [{ priority: 10, exchange: "mx.signed.test" }],
      secure: true,
      name: "signed.test",
    });
    expect(await dns.a("plain.test")).toMatchObject({ records: ["192.0.2.2"], secure: false });
    expect(await dns.aaaa("signed.test")).toMatchObject({ records: ["2001:db8::1"], secure: true });
    expect(await dns.a("empty.test")).toEqual({ kind: "none", secure: true });
    expect(await dns.a("nowhere.test")).toEqual({ kind: "no-name", secure: false });
  });

  test("the strings of a TXT record are one", async () => {
    expect(await open().txt("text.test")).toMatchObject({ records: ["one", LONG] });
  });

  test("aliases: the last name, secure only all the way", async () => {
    expect(await open().a("alias.test")).toMatchObject({ records: ["192.0.2.1"], secure: true, name: "signed.test" });
    expect(await open().a("half.test")).toMatchObject({ records: ["192.0.2.2"], secure: false, name: "plain.test" });
  });

  test("TLSA records as they are, and none that were not validated", async () => {
    expect(await open().tlsa("_25._tcp.mx.signed.test")).toMatchObject({
      kind: "records",
      records: [
        { usage: 3, selector: 1, matching: 1, data: new Uint8Array(32).fill(0xab) },
        { usage: 2, selector: 0, matching: 2, data: Uint8Array.of(0) },
        { usage: 9, selector: 9, matching: 9, data: Uint8Array.of(255) },
      ],
    });
    expect(await open().tlsa("_25._tcp.unsigned.test")).toEqual({ kind: "none", secure: false });
  });

  test("too long for UDP: over TCP", async () => {
    expect(await open().txt("long.test")).toMatchObject({ records: { length: 20 }, secure: true });
    expect(server.queries).toEqual(["TXT long.test", "TXT long.test"]);
  });

  test("a server from before EDNS is asked without: no AD, but the records", async () => {
    server.plainOnly = true;
    expect(await open().mx("signed.test")).toMatchObject({ kind: "records", secure: false });
  });
});

describe("several servers", () => {
  for (const name of ["fail.test", "silent.test"])
    test(`the first one's ${name}: the next one is asked, and first the time after`, async () => {
      const dns = open([server.port, second.port]);
      expect(await dns.a(name)).toMatchObject({ records: ["192.0.2.9"] });
      expect(await dns.a("signed.test")).toMatchObject({ kind: "records" });
      expect(server.queries).toEqual([`A ${name}`]);
      expect(second.queries).toEqual([`A ${name}`, "A signed.test"]);
    });

  test("a port where nobody is", async () => {
    const { port } = second;
    await second.close();
    expect(await open([port, server.port]).a("signed.test")).toMatchObject({ kind: "records" });
    expect(await open([port], 3).a("signed.test")).toEqual({ kind: "temporary", text: "no DNS server: A signed.test" });
    second = await openDnsServer({});
  });

  test("silence is asked again, a failure is not", async () => {
    expect(await open(undefined, 3, 50).a("silent.test")).toEqual({
      kind: "temporary",
      text: "the DNS does not answer: A silent.test",
    });
    expect(server.queries).toHaveLength(3);
    expect(await open(undefined, 3).a("fail.test")).toEqual({
      kind: "temporary",
      text: "the DNS server failed: A fail.test",
    });
    expect(server.queries).toHaveLength(4);
  });

  test("addresses of servers", () => {
    const at = (text: string): Dns => openValidatingDns({ servers: [text], timeoutMs: 1, tries: 1 }, systemClock);
    for (const text of ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53"])
      expect(at(text)).toBeTruthy();
    for (const text of ["dns.test", "192.0.2.1:99999", "[192.0.2.1", "", "192.0.2.1:"])
      expect(() => at(text), text).toThrow(RangeError);
  });
});

describe("hostile answers", () => {
  const edit = (change: (answer: Buffer) => void) => (answer: Buffer) => {
    const copy = Buffer.from(answer);
    change(copy);
    return copy;
  };

  test("a wrong id, a wrong name and rubbish before the right answer", async () => {
    server.forge = (answer) => [
      edit((bytes) => (bytes[0]! ^= 0xff))(answer),
      edit((bytes) => (bytes[13] = 0x78))(answer),
      Buffer.from("rubbish"),
      Buffer.alloc(0),
      answer,
    ];
    expect(await open().a("signed.test")).toMatchObject({ records: ["192.0.2.1"], secure: true });
  });

  test("only wrong ids: silence", async () => {
    server.forge = edit((bytes) => (bytes[1]! ^= 1));
    expect(await open().a("signed.test")).toMatchObject({ kind: "temporary", text: /does not answer/ });
  });

  test("nonsense: a failure at once", async () => {
    server.forge = (answer) => answer.subarray(0, answer.length - 2);
    expect(await open(undefined, 1, 10_000).a("signed.test")).toMatchObject({
      kind: "temporary",
      text: /makes no sense/,
    });
    server.forge = null;
    expect(await open().a("odd.test")).toMatchObject({ kind: "temporary", text: /makes no sense/ });
  });

  test.each([
    ["from where we asked", true, { kind: "no-name" }],
    ["from another port", false, { kind: "temporary" }],
  ])("the right answer %s", async (_name, same, expected) => {
    const asked = createSocket("udp4");
    const other = createSocket("udp4");
    await new Promise<void>((resolve) => asked.bind(0, "127.0.0.1", resolve));
    asked.on("message", (message, peer) => {
      const answer = Buffer.from(message.subarray(0, message.length - 11)); // without OPT
      answer.writeUInt16BE(0x8183, 2); // NXDOMAIN
      answer[11] = 0;
      (same ? asked : other).send(answer, peer.port, peer.address);
    });
    expect(await open([asked.address().port]).a("signed.test")).toMatchObject(expected);
    asked.close();
    other.close();
  });

  test("cut over UDP and cut again over TCP", async () => {
    server.forge = edit((bytes) => (bytes[2]! |= 0x02));
    expect(await open().a("signed.test")).toMatchObject({ kind: "temporary", text: /makes no sense/ });
  });

  describe("over TCP", () => {
    let tcp: Server;
    let sockets: Socket[] = [];
    /** In the place of the DNS server's TCP side. */
    async function instead(talk: (socket: Socket) => void): Promise<Dns> {
      const { port } = server;
      await server.close();
      server = await openDnsServer(zones);
      server.forge = (answer) => edit((bytes) => (bytes[2]! |= 0x02))(answer);
      tcp = createServer((socket) => {
        sockets.push(socket);
        socket.on("error", () => socket.destroy());
        talk(socket);
      });
      await new Promise<void>((resolve) => tcp.listen(port, "127.0.0.1", resolve));
      const udp = createSocket("udp4");
      await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
      udp.on("message", (message, peer) => {
        const answer = Buffer.from(message);
        answer[2] = 0x83; // QR, TC, RD
        udp.send(answer, peer.port, peer.address);
      });
      tcp.on("close", () => udp.close());
      return open([port], 1, 300);
    }
    afterEach(async () => {
      for (const socket of sockets) socket.destroy();
      sockets = [];
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
    });

    test.each([
      ["silence", () => {}],
      ["the end", (socket: Socket) => void socket.end()],
      ["a reset", (socket: Socket) => void socket.resetAndDestroy()],
      ["a length and no more", (socket: Socket) => void socket.write(Buffer.from([0xff, 0xff, 1]))],
      ["rubbish", (socket: Socket) => void socket.write(Buffer.from("\0\u0005abcde"))],
      ["nothing of no length", (socket: Socket) => void socket.write(Buffer.from([0, 0]))],
    ])("%s", async (_name, talk) => {
      const dns = await instead(talk);
      expect(await dns.a("signed.test")).toMatchObject({ kind: "temporary" });
    });
  });
});
