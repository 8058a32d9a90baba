/**
 * One question to one DNS server: over UDP, and over TCP when the answer did not fit (RFC 7766 §5). Each question has a random id and a socket, and
 * so a source port, of its own, and the socket hears nobody but that server: a stranger who wants to answer must guess both. What does not
 * belong to the question is ignored; a server that answers nonsense, or nothing in time, is a failure.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { decodeReply, encodeQuestion, RCODES, type DnsType, type Question, type Reply } from "./packet.ts";

export interface DnsServerAddress {
  readonly ip: string;
  readonly port: number;
}

export type Failure = "late" | "refused" | "nonsense";

/** Never rejects. */
export async function exchange(
  clock: Clock,
  server: DnsServerAddress,
  name: string,
  type: DnsType,
  timeoutMs: number,
): Promise<Reply | Failure> {
  const first = await once(clock, server, name, type, timeoutMs, true);
  // RFC 6891 §7: a server from before EDNS. It validates nothing, but it knows exchangers.
  const old = typeof first !== "string" && (first.rcode === RCODES.FORMERR || first.rcode === RCODES.NOTIMP);
  return old ? await once(clock, server, name, type, timeoutMs, false) : first;
}

async function once(
  clock: Clock,
  server: DnsServerAddress,
  name: string,
  type: DnsType,
  timeoutMs: number,
  edns: boolean,
): Promise<Reply | Failure> {
  const question: Question = { id: randomInt(65_536), name, type };
  const bytes = encodeQuestion(question, edns);
  const reply = await overUdp(clock, server, question, bytes, timeoutMs);
  if (typeof reply === "string" || !reply.truncated) return reply;
  return await overTcp(clock, server, question, bytes, timeoutMs);
}

function overUdp(
  clock: Clock,
  { ip, port }: DnsServerAddress,
  question: Question,
  bytes: Buffer,
  timeoutMs: number,
): Promise<Reply | Failure> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(ip) ? "udp6" : "udp4");
    let done = false;
    const end = (result: Reply | Failure): void => {
      if (done) return;
      done = true;
      timer.cancel();
      socket.close();
      resolve(result);
    };
    const timer = clock.after(timeoutMs, () => end("late"));
    socket.on("error", () => end("refused"));
    socket.on("message", (message) => {
      const reply = decodeReply(message, question);
      if (reply !== "foreign") end(reply);
    });
    // Connected: the kernel drops what comes from anybody else, and tells us when nobody is there.
    socket.connect(port, ip, () => {
      if (!done) socket.send(bytes, (error) => error && end("refused"));
    });
  });
}

function overTcp(
  clock: Clock,
  { ip, port }: DnsServerAddress,
  question: Question,
  bytes: Buffer,
  timeoutMs: number,
): Promise<Reply | Failure> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port });
    let held = Buffer.alloc(0);
    const end = (result: Reply | Failure): void => {
      timer.cancel();
      socket.destroy();
      resolve(result);
    };
    const timer = clock.after(timeoutMs, () => end("late"));
    socket.on("error", () => end("refused"));
    socket.on("close", () => end("refused"));
    socket.on("connect", () => {
      // RFC 1035 §4.2.2: two octets of length before the message.
      socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]));
    });
    socket.on("data", (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
      const reply = decodeReply(held.subarray(2, 2 + held.readUInt16BE(0)), question);
      // On a connection there is no stranger: an answer to something else, or one cut again, makes no sense.
      end(typeof reply === "string" || reply.truncated ? "nonsense" : reply);
    });
  });
}
