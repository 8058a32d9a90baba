/**
 * A DNS server for tests and the demo (RFC 1035), answering from a table or a function over UDP and, when an answer does not fit, TCP.
 * It behaves as the resolver a mail server asks: it follows CNAMEs among its own names and answers NXDOMAIN for names it does not know.
 * Loopback only.
 */
import { createSocket } from "node:dgram";
import { createServer, type AddressInfo, type Socket } from "node:net";

export type DnsType = "A" | "AAAA" | "MX" | "CNAME" | "TXT" | "TLSA";
export type Rcode = "NOERROR" | "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED";

/** The records of a name. A type that is absent has no records (NODATA). */
export interface DnsRecords {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  /** '' or '.' as exchanger: the root, as in a null MX. */
  readonly MX?: readonly (readonly [preference: number, exchanger: string])[];
  readonly CNAME?: string;
  /** A text of more than 255 octets goes in several strings of one record. */
  readonly TXT?: readonly string[];
  /** As in a zone: `3 1 1 0123ab…`. */
  readonly TLSA?: readonly string[];
  /** AD: validated. Said to those who asked for it, when every name on the way to the answer has it. */
  readonly secure?: boolean;
  /** Answers every question about the name with this code. */
  readonly rcode?: Rcode;
  /** Types that are not answered at all. */
  readonly silent?: readonly DnsType[] | true;
}

/** Names in lower case without a dot at the end; undefined from the function: NXDOMAIN. */
export type Zones = Record<string, DnsRecords> | ((name: string, type: DnsType) => DnsRecords | Rcode | undefined);

export interface DnsServer {
  readonly port: number;
  /** May be replaced at any time. */
  zones: Zones;
  /** Every question since the start: `MX example.com`. */
  readonly queries: string[];
  /** Sent instead of the answer that was made, over UDP or TCP; null: nothing. */
  forge: ((answer: Buffer, over: "udp" | "tcp", question: Buffer) => Buffer | readonly Buffer[] | null) | null;
  /** Answers FORMERR to questions with EDNS (RFC 6891 §7). */
  plainOnly: boolean;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<number, DnsType>> = { 1: "A", 5: "CNAME", 15: "MX", 16: "TXT", 28: "AAAA", 52: "TLSA" };
const NUMBERS: Readonly<Record<DnsType, number>> = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, TLSA: 52 };
const RCODES: readonly Rcode[] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
/** Without EDNS0, RFC 1035 §4.2.1. */
const UDP_LIMIT = 512;
const TTL = 60;

export async function openDnsServer(zones: Zones, options: { readonly port?: number } = {}): Promise<DnsServer> {
  const queries: string[] = [];
  const udp = createSocket("udp4");
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let held = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      // RFC 1035 §4.2.2: two octets of length before each message.
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const end = 2 + held.readUInt16BE(0);
        const question = held.subarray(2, end);
        held = held.subarray(end);
        for (const reply of replies(question, server, "tcp"))
          socket.write(Buffer.concat([uint16(reply.length), reply]));
      }
    });
  });
  const server: DnsServer = {
    port: 0,
    zones,
    queries,
    forge: null,
    plainOnly: false,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
      await new Promise<void>((resolve) => udp.close(() => resolve()));
    },
  };
  udp.on("message", (question, peer) => {
    for (const reply of replies(question, server, "udp")) udp.send(reply, peer.port, peer.address);
  });
  // Both on one port: a free one of UDP may be taken in TCP, so it is tried again with another.
  for (let tries = 0; ; tries++) {
    await new Promise<void>((resolve, reject) => {
      tcp.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    const { port } = tcp.address() as AddressInfo;
    try {
      await new Promise<void>((resolve, reject) => {
        udp.once("error", reject).bind(port, "127.0.0.1", () => {
          udp.off("error", reject);
          resolve();
        });
      });
      return Object.assign(server, { port });
    } catch (error) {
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
      if (tries === 5 || options.port) throw error;
    }
  }
}

interface Answer {
  readonly name: string;
  readonly type: DnsType;
  readonly data: Buffer;
}

function replies(question: Buffer, server: DnsServer, over: "udp" | "tcp"): readonly Buffer[] {
  const answer = respond(question, server, over === "tcp" ? 65_535 : null);
  if (answer === null || server.forge === null) return answer === null ? [] : [answer];
  const forged = server.forge(answer, over, question);
  return forged === null ? [] : Buffer.isBuffer(forged) ? [forged] : (forged as readonly Buffer[]);
}

/** The answer to one message, or null when it gets none. `most`: its octets; null: as many as the question takes. */
function respond(query: Buffer, server: DnsServer, most: number | null): Buffer | null {
  // Nothing to answer to: no header, or itself an answer.
  if (query.length < 12 || (query[2]! & 0x80) !== 0) return null;
  const question = readQuestion(query);
  if (question === null) return encode(query, 12, "FORMERR", [], UDP_LIMIT);
  const { name, type, end } = question;
  // OPT (RFC 6891 §6.1.2) right behind the question, as clients send it.
  const edns = query.readUInt16BE(10) > 0 && query.length >= end + 11 && query.readUInt16BE(end + 1) === 41;
  if (edns && server.plainOnly) return encode(query, 12, "FORMERR", [], UDP_LIMIT);
  const limit = most ?? (edns ? Math.max(UDP_LIMIT, query.readUInt16BE(end + 3)) : UDP_LIMIT);
  // Asked for by AD (RFC 6840 §5.7).
  let secure = (query[3]! & 0x20) !== 0;
  if (type === undefined) return encode(query, end, "NOERROR", [], limit);
  server.queries.push(`${type} ${name}`);
  const answers: Answer[] = [];
  let at = name;
  for (let hops = 0; hops < 10; hops++) {
    const found = lookup(server.zones, at, type);
    if (typeof found === "string") return encode(query, end, found, answers, limit);
    secure &&= found.secure === true;
    if (found.silent === true || found.silent?.includes(type)) return null;
    if (found.rcode !== undefined && found.rcode !== "NOERROR") return encode(query, end, found.rcode, answers, limit);
    if (found.CNAME === undefined || type === "CNAME") {
      for (const data of records(found, type)) answers.push({ name: at, type, data });
      return encode(query, end, "NOERROR", answers, limit, secure);
    }
    answers.push({ name: at, type: "CNAME", data: encodeName(found.CNAME) });
    at = found.CNAME.toLowerCase();
  }
  return encode(query, end, "SERVFAIL", [], limit);
}

function lookup(zones: Zones, name: string, type: DnsType): DnsRecords | Rcode {
  const found = typeof zones === "function" ? zones(name, type) : Object.hasOwn(zones, name) ? zones[name] : undefined;
  return found ?? "NXDOMAIN";
}

function records(found: DnsRecords, type: DnsType): Buffer[] {
  if (type === "A") return (found.A ?? []).map((ip) => Buffer.from(ip.split(".").map(Number)));
  if (type === "AAAA") return (found.AAAA ?? []).map(encodeIpv6);
  if (type === "MX")
    return (found.MX ?? []).map(([preference, mx]) => Buffer.concat([uint16(preference), encodeName(mx)]));
  if (type === "TXT") return (found.TXT ?? []).map(encodeTexts);
  if (type === "TLSA") return (found.TLSA ?? []).map(encodeTlsa);
  return found.CNAME === undefined ? [] : [encodeName(found.CNAME)];
}

function readQuestion(query: Buffer): { name: string; type: DnsType | undefined; end: number } | null {
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = query[at];
    // Names in questions are never compressed.
    if (length === undefined || length > 63 || at + length + 1 > query.length) return null;
    at += 1;
    if (length === 0) break;
    labels.push(query.toString("latin1", at, at + length));
    at += length;
  }
  if (at + 4 > query.length) return null;
  return { name: labels.join(".").toLowerCase(), type: TYPES[query.readUInt16BE(at)], end: at + 4 };
}

/** `end`: where the question ends. An answer that is too long goes without records and with TC, so that the client asks over TCP. */
function encode(
  query: Buffer,
  end: number,
  rcode: Rcode,
  answers: readonly Answer[],
  limit: number,
  secure = false,
): Buffer {
  const body = answers.map(({ name, type, data }) =>
    Buffer.concat([
      encodeName(name),
      uint16(NUMBERS[type]),
      uint16(1),
      uint16(0),
      uint16(TTL),
      uint16(data.length),
      data,
    ]),
  );
  const size = body.reduce((sum, part) => sum + part.length, end);
  const truncated = size > limit;
  const header = Buffer.alloc(12);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header[2] = 0x80 | (truncated ? 0x02 : 0) | (query[2]! & 0x01); // QR, TC, RD as asked
  header[3] = 0x80 | (secure ? 0x20 : 0) | RCODES.indexOf(rcode); // RA, AD
  header.writeUInt16BE(end > 12 ? 1 : 0, 4);
  header.writeUInt16BE(truncated ? 0 : answers.length, 6);
  return Buffer.concat([header, query.subarray(12, end), ...(truncated ? [] : body)]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([...labels.map((label) => encodeText(label)), Buffer.from([0])]);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function encodeTexts(text: string): Buffer {
  return Buffer.concat((text.match(/[^]{1,255}/g) ?? [""]).map(encodeText));
}

function encodeTlsa(text: string): Buffer {
  const [usage, selector, matching, hex = ""] = text.split(" ");
  return Buffer.concat([Buffer.from([usage, selector, matching].map(Number)), Buffer.from(hex, "hex")]);
}

function encodeIpv6(ip: string): Buffer {
  const [head = "", tail] = ip.split("::");
  const words = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const left = words(head);
  const right = words(tail ?? "");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return Buffer.concat([...left, ...zeros, ...right].map(uint16));
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
