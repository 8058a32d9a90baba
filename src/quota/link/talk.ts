/**
 * One connection to one statistics server, from the client's end: *connecting*, *greeting* (its challenge, our hello, its welcome with a
 * proof that it knows the secret too), *up*, *over*. Connecting and greeting have a time-out; what is said in one turn goes in one write;
 * a server that does not read what it is told is left. Nothing is told from within a call of this.
 */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import { clientProof, drawNonce, NONCE, sameProof, serverProof } from "../handshake.ts";
import { openLineReader, readJson } from "../lines.ts";
import type { LinkEvents, Welcome } from "../link-contract.ts";
import { type ClientMessage, MOST_LINE, PROTOCOL, type ServerMessage } from "../messages.ts";
import type { Address } from "./address.ts";
import { checkServerMessage } from "./check.ts";

export interface TalkOptions {
  readonly address: Address;
  readonly secret: Buffer;
  readonly member: string;
  readonly role: "member" | "observer";
  readonly tls: LinkTls | null;
  readonly clock: Clock;
}

export interface LinkTls {
  /** Authority to trust (PEM); null: the system's. */
  readonly ca: string | null;
}

/** `left`: it does not lead, or is going. `refused`: it or we do not accept the other; trying again at once would not help. */
export type Ending = "left" | "refused" | "lost";

export interface TalkEvents {
  /** Right before the hello. */
  held(): ReturnType<LinkEvents["held"]>;
  up(welcome: Welcome): void;
  message(message: ServerMessage): void;
  /** Once. */
  over(why: string, ending: Ending): void;
}

export interface Talk {
  /** Dropped when it is not up. */
  send(message: ClientMessage): void;
  cut(why: string): void;
}

/** To connect, TLS included. */
const CONNECT_MS = 2000;
/** From then to the welcome. */
const GREET_MS = 3000;
const MOST_UNREAD = 4 * 1024 * 1024;

export function openTalk({ address, secret, member, role, tls, clock }: TalkOptions, events: TalkEvents): Talk {
  const reader = openLineReader(MOST_LINE);
  const nonce = drawNonce();
  let serverNonce = "";
  let state: "connecting" | "greeting" | "up" | "over" = "connecting";
  let out = "";
  let late = clock.after(CONNECT_MS, () => end(`no connection in ${CONNECT_MS} ms`, "lost"));

  const { host, port } = address;
  const socket: Socket =
    tls === null
      ? connectTcp({ host, port, noDelay: true })
      : connectTls({
          host,
          port,
          minVersion: "TLSv1.2",
          ...(tls.ca === null ? {} : { ca: tls.ca }),
          ...(isIP(host) === 0 ? { servername: host } : {}),
        });
  socket.setNoDelay(true);
  socket.once(tls === null ? "connect" : "secureConnect", () => {
    if (state !== "connecting") return;
    late.cancel();
    late = clock.after(GREET_MS, () => end(`no greeting in ${GREET_MS} ms`, "lost"));
    state = "greeting";
  });
  socket.on("data", (chunk: Buffer) => {
    const lines = reader.push(chunk);
    if (lines === null) return end("it sends lines without an end", "refused");
    for (const line of lines) take(line);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => end(toldOf(error), refusal(error) ? "refused" : "lost"));
  socket.on("close", () => end("the connection was closed", "lost"));

  return {
    send(message) {
      if (state === "up") say(message);
    },
    cut: (why) => end(why, "lost"),
  };

  function take(line: string): void {
    // A function, because each line may change it.
    const over = (): boolean => state === "over";
    if (over()) return;
    const message = checkServerMessage(readJson(line));
    if (message === null) return end("it says what no statistics server says", "refused");
    if (state === "up") return heard(message);
    switch (message.t) {
      case "challenge":
        return challenged(message);
      case "welcome":
        return welcomed(message);
      case "leave":
        return end(message.text, "left");
      case "error":
        return end(`it says: ${message.text.slice(0, 200)}`, "refused");
      default:
        return end("it speaks before it has greeted", "refused");
    }
  }

  function challenged({ v, nonce: theirs }: Extract<ServerMessage, { t: "challenge" }>): void {
    if (v !== PROTOCOL) return end(`it speaks version ${v} of the protocol, this is version ${PROTOCOL}`, "refused");
    if (serverNonce !== "" || !NONCE.test(theirs)) return end("its challenge is none", "refused");
    serverNonce = theirs;
    const proof = clientProof(secret, theirs, nonce, member);
    say({ t: "hello", v: PROTOCOL, member, role, nonce, proof, ...events.held() });
  }

  function welcomed(welcome: Welcome): void {
    if (serverNonce === "" || !sameProof(serverProof(secret, nonce, serverNonce), welcome.proof))
      return end("its proof is wrong: it does not know the secret", "refused");
    late.cancel();
    state = "up";
    events.up(welcome);
  }

  function heard(message: ServerMessage): void {
    events.message(message);
    if (message.t === "leave") end(message.text, "left");
    else if (message.t === "error") end(`it says: ${message.text.slice(0, 200)}`, "refused");
  }

  function say(message: ClientMessage): void {
    const line = JSON.stringify(message);
    // In octets a line is three times its letters at most.
    if (line.length > MOST_LINE / 3 && Buffer.byteLength(line) >= MOST_LINE)
      return end(`a message (${message.t}) is longer than a line may be`, "lost");
    if (out === "") setImmediate(flush);
    out += `${line}\n`;
  }

  function flush(): void {
    const text = out;
    out = "";
    if (state === "over" || text === "") return;
    if (socket.writableLength + text.length > MOST_UNREAD) return end("it does not read what it is told", "lost");
    socket.write(text);
  }

  function end(why: string, ending: Ending): void {
    if (state === "over") return;
    state = "over";
    late.cancel();
    socket.destroy();
    // Later: this may be in a call of `cut`.
    setImmediate(() => events.over(why, ending));
  }
}

function toldOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ECONNREFUSED") return "connection refused";
  // Of several addresses of one name each has failed, and the sum has no words.
  return error.message || (error as { errors?: readonly Error[] }).errors?.[0]?.message || String(error.code);
}

/** A certificate that is not accepted, or no TLS where there should be some. */
function refusal({ code = "" }: NodeJS.ErrnoException): boolean {
  return /CERT|SIGNATURE|ISSUER|ALTNAME|^ERR_TLS|^ERR_SSL|EPROTO/.test(code);
}
