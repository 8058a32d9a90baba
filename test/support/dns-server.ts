/**
 * A DNS server for tests and the demo (RFC 1035), answering from a table or a function over UDP and, when an answer does not fit, TCP.
 * It behaves as the resolver a mail server asks: it follows CNAMEs among its own names and answers NXDOMAIN for names it does not know.
 * Loopback only.
 */
import { createSocket } from "node:dgram";
import { createServer, type AddressInfo, type Socket } from "node:net";

export type DnsType = "A" | "AAAA" | "MX" | "CNAME" | "TXT";
export type Rcode = "NOERROR" | "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED";

/** The records of a name. A type that is absent has no records (NODATA). */
export interface DnsRecords {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  /** '' or '.' as exchanger: the root, as in a null MX. */
  readonly MX?: readonly (readonly [preference: number, exchanger: string])[];
  readonly CNAME?: string;
  readonly TXT?: readonly string[];
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
  close(): Promise<void>;
}

const TYPES: Readonly<Record<number, DnsType>> = { 1: "A", 5: "CNAME", 15: "MX", 16: "TXT", 28: "AAAA" };
const NUMBERS: Readonly<Record<DnsType, number>> = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28 };
const RCODES: readonly Rcode[] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
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
        const reply = respond(held.subarray(2, end), server, 65_535);
        held = held.subarray(end);
        if (reply !== null) socket.write(Buffer.concat([uint16(reply.length), reply]));
      }
    });
  });
  const server: DnsServer = {
    port: 0,
    zones,
    queries,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
      await new Promise<void>((resolve) => udp.close(() => resolve()));
    },
  };
  udp.on("message", (question, peer) => {
    const reply = respond(question, server, UDP_LIMIT);
    if (reply !== null) udp.send(reply, peer.port, peer.address);
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

/** The answer to one message, or null when it gets none. */
function respond(query: Buffer, server: DnsServer, limit: number): Buffer | null {
  // Nothing to answer to: no header, or itself an answer.
  if (query.length < 12 || (query[2]! & 0x80) !== 0) return null;
  const question = readQuestion(query);
  if (question === null) return encode(query, 12, "FORMERR", [], limit);
  const { name, type, end } = question;
  if (type === undefined) return encode(query, end, "NOERROR", [], limit);
  server.queries.push(`${type} ${name}`);
  const answers: Answer[] = [];
  let at = name;
  for (let hops = 0; hops < 10; hops++) {
    const found = lookup(server.zones, at, type);
    if (typeof found === "string") return encode(query, end, found, answers, limit);
    if (found.silent === true || found.silent?.includes(type)) return null;
    if (found.rcode !== undefined && found.rcode !== "NOERROR") return encode(query, end, found.rcode, answers, limit);
    if (found.CNAME === undefined || type === "CNAME") {
      for (const data of records(found, type)) answers.push({ name: at, type, data });
      return encode(query, end, "NOERROR", answers, limit);
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
  if (type === "TXT") return (found.TXT ?? []).map(encodeText);
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
function encode(query: Buffer, end: number, rcode: Rcode, answers: readonly Answer[], limit: number): Buffer {
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
  header[3] = 0x80 | RCODES.indexOf(rcode); // RA
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
