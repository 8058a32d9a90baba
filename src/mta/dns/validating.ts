/**
 * The DNS by our own questions, for resolvers whose validation is trusted: node:dns does not say whether an answer was validated. Servers are
 * asked in turn, beginning with the one that answered last; one that fails or is silent costs its time-out and the next one is asked.
 */
import { isIP } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Answer, Dns } from "./answer.ts";
import { exchange, type DnsServerAddress, type Failure } from "./exchange.ts";
import { RCODES, type DnsType, type Reply } from "./packet.ts";
import { readA, readAaaa, readMx, readTlsa, readTxt } from "./records.ts";

export interface ValidatingOptions {
  /** `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1`, `[2001:db8::1]:53`. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly tries: number;
}

/** Reads one record; null: it makes no sense. */
type Read<T> = (data: Uint8Array, reply: Reply, offset: number) => T | null;

const TEXTS: Readonly<Record<Failure, string>> = {
  late: "the DNS does not answer",
  refused: "no DNS server",
  nonsense: "the DNS server's answer makes no sense",
};

/** Throws RangeError for a server that is no address. */
export function openValidatingDns(options: ValidatingOptions, clock: Clock): Dns {
  const servers = options.servers.map(parseServer);
  let best = 0;

  async function ask<T>(type: DnsType, name: string, read: Read<T>): Promise<Answer<T>> {
    const what = `${type} ${name}`;
    let text = "no DNS server";
    for (let round = 0; round < options.tries; round++) {
      let late = false;
      const first = best;
      for (let i = 0; i < servers.length; i++) {
        const at = (first + i) % servers.length;
        const reply = await exchange(clock, servers[at]!, name, type, options.timeoutMs);
        const answer = typeof reply === "string" ? reply : understand(reply, read);
        if (typeof answer !== "string") {
          best = at;
          return answer;
        }
        late ||= reply === "late";
        text = TEXTS[answer as Failure] ?? answer;
      }
      // Servers that said no say it again; one that was silent may have lost the packet.
      if (!late) break;
    }
    return { kind: "temporary", text: `${text}: ${what}` };
  }

  return {
    mx: (name) => ask("MX", name, readMx),
    a: (name) => ask("A", name, readA),
    aaaa: (name) => ask("AAAA", name, readAaaa),
    txt: (name) => ask("TXT", name, readTxt),
    async tlsa(name) {
      const answer = await ask("TLSA", name, readTlsa);
      // RFC 7672 §2.1.1: what is not validated is as if it were not there.
      return answer.kind === "records" && !answer.secure ? { kind: "none", secure: false } : answer;
    },
  };
}

function understand<T>(reply: Reply, read: Read<T>): Answer<T> | string {
  const { rcode, validated: secure, name } = reply;
  if (rcode === RCODES.NXDOMAIN) return { kind: "no-name", secure };
  if (rcode === RCODES.REFUSED) return "the DNS server refused the question";
  if (rcode !== RCODES.NOERROR) return "the DNS server failed";
  const records: T[] = [];
  for (const [i, data] of reply.records.entries()) {
    const record = read(data, reply, reply.offsets[i]!);
    if (record === null) return "nonsense";
    records.push(record);
  }
  return records.length > 0 ? { kind: "records", records, secure, name } : { kind: "none", secure };
}

function parseServer(text: string): DnsServerAddress {
  const [, six, four, port = "53"] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const ip = isIP(text) === 6 ? text : (six ?? four ?? "");
  if (isIP(ip) === 0 || Number(port) > 65_535) throw new RangeError(`not the address of a DNS server: ${text}`);
  return { ip, port: isIP(text) === 6 ? 53 : Number(port) };
}
