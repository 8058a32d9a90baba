/**
 * DNS messages (RFC 1035) as octets: a question out, an answer in. Whoever answers is not believed to write sense: every length is held against
 * the message, a compressed name may only point backwards, and an answer that is not about our question is none.
 *
 * A question asks for validation: EDNS0 with DO (RFC 6891, RFC 4035 §3.2.1) and AD (RFC 6840 §5.7). What the answer says in AD is handed on;
 * whether the one who said it is to be believed is not decided here.
 */

export const DNS_TYPES = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, TLSA: 52 } as const;
export type DnsType = keyof typeof DNS_TYPES;

export const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

export interface Question {
  readonly id: number;
  /** Lower case, ASCII, no dot at the end. */
  readonly name: string;
  readonly type: DnsType;
}

export interface Reply {
  readonly rcode: number;
  readonly truncated: boolean;
  /** AD: the server says that it has validated everything in the answer. */
  readonly validated: boolean;
  /** The name that has the records: ours, or the end of its CNAMEs. */
  readonly name: string;
  /** Of the type asked for, at `name`. */
  readonly records: readonly Uint8Array[];
  /** The whole message, which names in records may point into, and where each record's data begins in it. */
  readonly message: Buffer;
  readonly offsets: readonly number[];
}

/** An answer may be so long over UDP: what passes everywhere without fragments. */
const UDP_BYTES = 1232;
const HOPS_LIMIT = 10;

export function encodeQuestion({ id, name, type }: Question, edns: boolean): Buffer {
  const labels = name.split(".").map((label) => {
    const bytes = Buffer.from(label, "latin1");
    if (bytes.length === 0 || bytes.length > 63) throw new RangeError(`not a name for the DNS: ${name}`);
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header[2] = 0x01; // RD
  header[3] = edns ? 0x20 : 0; // AD
  header[5] = 1;
  header[11] = edns ? 1 : 0;
  const tail = [0, 0, DNS_TYPES[type], 0, 1];
  // OPT: the root, type 41, our size, no extended code, version 0, DO, no options.
  const opt = [0, 0, 41, UDP_BYTES >> 8, UDP_BYTES & 0xff, 0, 0, 0x80, 0, 0, 0];
  return Buffer.concat([header, ...labels, Buffer.from(edns ? [...tail, ...opt] : tail)]);
}

/**
 * @returns `"foreign"` for what is not an answer to this question (late, or forged: it is not even a failure), `"nonsense"` for one that cannot
 * be read.
 */
export function decodeReply(message: Buffer, question: Question): Reply | "foreign" | "nonsense" {
  if (message.length < 12 || message.readUInt16BE(0) !== question.id) return "foreign";
  const flags = message.readUInt16BE(2);
  // An answer to a standard query.
  if ((flags & 0xf800) !== 0x8000) return "foreign";
  const head = { rcode: flags & 0xf, truncated: (flags & 0x0200) !== 0, validated: (flags & 0x0020) !== 0 };
  const none = { ...head, name: question.name, records: [], message, offsets: [] };
  const questions = message.readUInt16BE(4);
  // Servers that could not read the question do not repeat it.
  if (questions === 0 && head.rcode === RCODES.FORMERR) return { ...none, validated: false };
  if (questions !== 1) return "foreign";
  const asked = readName(message, 12);
  if (asked === null || asked.end + 4 > message.length) return "nonsense";
  const sameType =
    message.readUInt16BE(asked.end) === DNS_TYPES[question.type] && message.readUInt16BE(asked.end + 2) === 1;
  if (asked.name !== question.name || !sameType) return "foreign";
  // RFC 1035 §4.1.1: what is there of a cut answer is not used.
  if (head.truncated) return none;
  const answers = readRecords(message, asked.end + 4, message.readUInt16BE(6));
  if (answers === null) return "nonsense";
  return follow(answers, question, none);
}

interface ResourceRecord {
  readonly name: string;
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

function readRecords(message: Buffer, from: number, count: number): ResourceRecord[] | null {
  const records: ResourceRecord[] = [];
  let at = from;
  for (let i = 0; i < count; i++) {
    const owner = readName(message, at);
    if (owner === null || owner.end + 10 > message.length) return null;
    const start = owner.end + 10;
    const end = start + message.readUInt16BE(owner.end + 8);
    if (end > message.length) return null;
    if (message.readUInt16BE(owner.end + 2) === 1)
      records.push({ name: owner.name, type: message.readUInt16BE(owner.end), start, end });
    at = end;
  }
  return records;
}

/** From the name asked for along its CNAMEs to the records. Records of other names are nobody's. */
function follow(answers: readonly ResourceRecord[], { name: first, type }: Question, none: Reply): Reply | "nonsense" {
  const { message } = none;
  let name = first;
  for (let hops = 0; hops <= HOPS_LIMIT; hops++) {
    const at = name;
    const found = answers.filter((record) => record.name === at && record.type === DNS_TYPES[type]);
    if (found.length > 0)
      return {
        ...none,
        name,
        records: found.map(({ start, end }) => message.subarray(start, end)),
        offsets: found.map(({ start }) => start),
      };
    const alias = answers.find((record) => record.name === at && record.type === DNS_TYPES.CNAME);
    if (alias === undefined) return { ...none, name };
    const target = readName(message, alias.start);
    if (target === null || target.end !== alias.end) return "nonsense";
    name = target.name;
  }
  return "nonsense";
}

/**
 * A name at `at`, lower case, '' for the root. Octets that are not of host names become `\ddd`, so that no label can pass for two. null for
 * one that cannot be read.
 */
export function readName(message: Buffer, at: number): { name: string; end: number } | null {
  const labels: string[] = [];
  let total = 0;
  let end = -1;
  let limit = message.length;
  for (;;) {
    const length = message[at];
    if (length === undefined) return null;
    if (length >= 0xc0) {
      const low = message[at + 1];
      if (low === undefined) return null;
      if (end < 0) end = at + 2;
      const target = ((length & 0x3f) << 8) | low;
      // Strictly backwards, each time: no way round in a circle.
      if (target >= Math.min(at, limit)) return null;
      limit = target;
      at = target;
      continue;
    }
    if (length > 63) return null;
    at++;
    if (length === 0) break;
    total += length + 1;
    if (total > 254 || at + length > message.length) return null;
    labels.push(label(message.toString("latin1", at, at + length)));
    at += length;
  }
  return { name: labels.join("."), end: end < 0 ? at : end };
}

function label(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9_-]/g, (one) => `\\${String(one.charCodeAt(0)).padStart(3, "0")}`);
}
