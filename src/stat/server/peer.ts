/**
 * One connection to the statistics server: the handshake, lines in, messages out.
 *
 * It is *new* (challenged; nothing is told and nothing but a hello is heard), then *admitted* (the proof was right; every line is a message),
 * then *over*. Whatever a client says wrong ends it with one `error` line. Nothing here waits without an end or grows without a bound: the
 * hello has a time limit, a line and what is not yet sent have sizes, and who does not read is not read from, then cut.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { clientProof, drawNonce, NONCE, sameProof, serverProof } from "../../quota/handshake.ts";
import { openLineReader, readJson } from "../../quota/lines.ts";
import { type ClientMessage, MOST_LINE, PROTOCOL, type ServerMessage } from "../../quota/messages.ts";
import { BadMessage, checkClientMessage, type Hello } from "./check.ts";
import type { Turns } from "./turns.ts";

export interface Peer {
  readonly address: string;
  /** null until it is admitted. */
  readonly hello: Hello | null;
  /** When something was last heard of it, on the clock's `monotonic`. */
  readonly heardAt: number;
  /** Said at the end of the turn. A `welcome` gets its proof here. Nothing happens when it is over. */
  send(message: ServerMessage): void;
  /** Says so and closes. */
  fail(text: string): void;
  leave(text: string): void;
  /** Closes at once, without a word. */
  cut(): void;
}

/** What the server does with a connection. An Error of `admit` or `message` is told to the client, which is then cut off. */
export interface PeerEvents {
  /** The proof was right. */
  admit(peer: Peer, hello: Hello): void;
  message(peer: Peer, message: ClientMessage): void;
  /** At the end of a chunk, when all its messages have been handed over. */
  turn(): void;
  /** Once, when it is over. `why`: '' for one that left by itself. */
  gone(peer: Peer, why: string): void;
}

export interface PeerDeps {
  readonly clock: Clock;
  readonly secret: Buffer;
  readonly turns: Turns;
  readonly events: PeerEvents;
}

const HELLO_MS = 5000;
/** What a client has not read yet: above the first it is not read from, above the second it is cut. */
const PAUSE_BYTES = 256 * 1024;
const MOST_UNREAD = 4 * 1024 * 1024;
/** How long the last words may take to be read. */
const LAST_WORDS_MS = 2000;

export function openPeer(socket: Socket, { clock, secret, turns, events }: PeerDeps): Peer {
  const reader = openLineReader(MOST_LINE);
  const nonce = drawNonce();
  let hello: Hello | null = null;
  let out = "";
  let over = false;
  let why = "";
  let heardAt = clock.monotonic();
  const late = clock.after(HELLO_MS, () => fail("no hello in time"));

  const peer: Peer = {
    address: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`,
    get hello() {
      return hello;
    },
    get heardAt() {
      return heardAt;
    },
    send(message) {
      if (over) return;
      if (message.t === "welcome" && hello !== null)
        message = { ...message, proof: serverProof(secret, hello.nonce, nonce) };
      if (out === "") turns.atEnd(flush);
      out += `${JSON.stringify(message)}\n`;
    },
    fail,
    leave: (text) => last({ t: "leave", text }, text),
    cut() {
      end("cut off");
      socket.destroy();
    },
  };

  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    if (over) return;
    heardAt = clock.monotonic();
    const lines = reader.push(chunk);
    if (lines === null) return fail(`a line is longer than ${MOST_LINE} octets`);
    handle(lines);
  });
  socket.on("drain", read);
  socket.on("end", () => end(""));
  socket.on("error", (error: Error) => end(error.message));
  socket.on("close", () => end(why));
  peer.send({ t: "challenge", v: PROTOCOL, nonce });
  return peer;

  function handle(lines: readonly string[]): void {
    try {
      for (const line of lines) if (!over) take(line);
    } catch (error) {
      fail(error instanceof Error ? error.message : "refused");
    }
    events.turn();
  }

  function take(line: string): void {
    const value = readJson(line);
    if (value === undefined) throw new BadMessage("a line is not JSON");
    const message = checkClientMessage(value);
    if (hello !== null) {
      if (message.t === "hello") throw new BadMessage("hello was said already");
      return events.message(peer, message);
    }
    if (message.t !== "hello") throw new BadMessage("hello comes first");
    if (message.v !== PROTOCOL) throw new BadMessage(`this server speaks version ${PROTOCOL} of the protocol`);
    const expected = clientProof(secret, nonce, message.nonce, message.member);
    if (!NONCE.test(message.nonce) || !sameProof(expected, message.proof))
      throw new BadMessage("the proof is wrong: is it the same secret (stat.secretFile)?");
    late.cancel();
    hello = { ...message, held: [] }; // what it held is for the engine, once
    events.admit(peer, message);
  }

  function flush(): void {
    if (out === "" || socket.destroyed) return;
    const text = out;
    out = "";
    if (socket.writableLength + text.length > MOST_UNREAD) {
      end("it does not read what it is told");
      return void socket.destroy();
    }
    socket.write(text);
    if (socket.writableLength > PAUSE_BYTES) socket.pause();
  }

  function read(): void {
    if (!over && socket.writableLength <= PAUSE_BYTES) socket.resume();
  }

  function fail(text: string): void {
    last({ t: "error", text }, text);
  }

  function last(message: ServerMessage, text: string): void {
    if (over) return;
    peer.send(message);
    end(text);
    flush();
    socket.end();
    // What it still sends is read and thrown away: closing with octets unread resets the connection, and the words with it.
    socket.resume();
    const cut = clock.after(LAST_WORDS_MS, () => socket.destroy());
    socket.once("close", () => cut.cancel());
  }

  function end(text: string): void {
    if (over) return;
    over = true;
    why = text;
    late.cancel();
    events.gone(peer, text);
  }
}
