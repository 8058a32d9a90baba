/** The two ends of a link for tests: one that keeps what it told, and a server that says what a test wants said. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { drawNonce, serverProof } from "../../src/quota/handshake.ts";
import type { Link, LinkEvents } from "../../src/quota/link-contract.ts";
import { openTcpLink, type TcpLinkOptions } from "../../src/quota/link.ts";
import { closeLater, SECRET } from "./stat-server.ts";

export interface Heard {
  readonly events: string[];
  readonly messages: { readonly t: string }[];
  readonly link: Link;
  readonly down: string[];
}

/** A link that is open, and what it told in order. */
export function openLink(addresses: readonly (string | number)[], options: Partial<TcpLinkOptions> = {}): Heard {
  const events: string[] = [];
  const messages: { readonly t: string }[] = [];
  const down: string[] = [];
  const opened = openTcpLink({
    addresses: addresses.map((each) => (typeof each === "number" ? `127.0.0.1:${each}` : each)),
    secret: SECRET,
    member: "m1/0",
    tls: null,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  const told: LinkEvents = {
    held() {
      events.push("held");
      return { process: "0123456789abcdef", held: [] };
    },
    up: () => void events.push("up"),
    message(message) {
      events.push(message.t);
      messages.push(message);
    },
    down(why) {
      events.push("down");
      down.push(why);
    },
  };
  opened.open(told);
  closeLater(() => opened.close());
  return { events, messages, link: opened, down };
}

export interface Fake {
  readonly port: number;
  readonly heard: string;
  readonly connections: number;
}

/** A server of another kind: `talk` is called with each connection and with each line. */
export async function fakeServer(talk: (socket: Socket, line: string | null) => void): Promise<Fake> {
  let heard = "";
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    let rest = "";
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) talk(socket, line);
    });
    talk(socket, null);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closeLater(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    get heard() {
      return heard;
    },
    get connections() {
      return connections;
    },
  };
}

export const say = (socket: Socket, message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
export const challenge = { t: "challenge", v: 1, nonce: drawNonce() };
export const welcome = { t: "welcome", proof: "00", now: 1, members: 1, horizonMs: 1, silenceMs: 1 };

/** Greets as it should be done, then calls `then`. */
export function greeting(socket: Socket, line: string | null, then: (socket: Socket) => void): void {
  if (line === null) return say(socket, challenge);
  const { t, nonce } = JSON.parse(line) as { t: string; nonce: string };
  if (t !== "hello") return;
  say(socket, { ...welcome, proof: serverProof(SECRET, nonce, challenge.nonce) });
  then(socket);
}
