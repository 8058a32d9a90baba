/**
 * The name server of the pretend Internet: authoritative for a list of records, over UDP (RFC 1035), and for nothing else. A name without any
 * record does not exist (NXDOMAIN); one without a record of the type asked for has an empty answer.
 */
import { createSocket } from "node:dgram";
import type { ZoneRecord } from "./internet.ts";

export interface Dns {
  /** `address:port`, as resolvers are named in settings. */
  readonly address: string;
  close(): Promise<void>;
}

interface Question {
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  /** Where the question ends in the query. */
  readonly end: number;
}

const TYPES: Readonly<Record<ZoneRecord["type"], number>> = { A: 1, MX: 15, TXT: 16 };
const HEADER = 12;
const TTL = 60;
const NXDOMAIN = 3;

/** Resolves when it listens; port 0 is a free one. */
export function openDns(records: readonly ZoneRecord[], host = "127.0.0.1", port = 0): Promise<Dns> {
  const zone = Map.groupBy(records, ({ name }) => name.toLowerCase());
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const question = readQuestion(query);
    if (question !== null) socket.send(answer(query, question, zone), from.port, from.address);
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, host, () => {
      socket.off("error", reject);
      // A reply that cannot be delivered (the asker has gone) is nobody's loss.
      socket.on("error", () => {});
      resolve({
        address: `${host}:${socket.address().port}`,
        close: () => new Promise((done) => socket.close(() => done())),
      });
    });
  });
}

/** null for what is no query with exactly one question. */
function readQuestion(query: Buffer): Question | null {
  if (query.length < HEADER || (query[2]! & 0x80) !== 0 || query.readUInt16BE(4) !== 1) return null;
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return null;
    at++;
    if (length === 0) break;
    labels.push(query.toString("latin1", at, at + length));
    at += length;
  }
  if (at + 4 > query.length) return null;
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at), end: at + 4 };
}

function answer(
  query: Buffer,
  { name, type, end }: Question,
  zone: ReadonlyMap<string, readonly ZoneRecord[]>,
): Buffer {
  const known = zone.get(name);
  const found = known?.filter((record) => TYPES[record.type] === type) ?? [];
  const header = Buffer.alloc(HEADER);
  query.copy(header, 0, 0, 2);
  // A response, authoritative, recursion desired as asked and available: a stub resolver takes no other.
  header.writeUInt16BE(0x8480 | (query[2]! & 1 ? 0x0100 : 0) | (known === undefined ? NXDOMAIN : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(found.length, 6);
  return Buffer.concat([header, query.subarray(HEADER, end), ...found.map(encode)]);
}

function encode(record: ZoneRecord): Buffer {
  const data = dataOf(record);
  const fixed = Buffer.alloc(12);
  // A pointer to the name in the question (§4.1.4).
  fixed.writeUInt16BE(0xc000 | HEADER, 0);
  fixed.writeUInt16BE(TYPES[record.type], 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt32BE(TTL, 6);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

function dataOf(record: ZoneRecord): Buffer {
  if (record.type === "A") return Buffer.from(record.address.split(".").map(Number));
  if (record.type === "TXT") {
    const strings = Buffer.from(record.text, "latin1")
      .toString("latin1")
      .match(/.{1,255}/gs) ?? [""];
    return Buffer.concat(strings.map((text) => Buffer.from(`${String.fromCharCode(text.length)}${text}`, "latin1")));
  }
  const preference = Buffer.alloc(2);
  preference.writeUInt16BE(record.preference);
  const labels = record.exchange.split(".").filter((label) => label !== "");
  const name = labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1"));
  return Buffer.concat([preference, ...name, Buffer.from([0])]);
}
