/**
 * A mail exchanger of the pretend Internet: an SMTP server (RFC 5321) on node:net that is quick enough not to be what is measured, and
 * has manners: what it offers, what it answers to a recipient, how slow it is, when it hangs up.
 *
 * A conversation is in one of four states: *line* (a command is awaited), *data* (text up to the lone dot), *chunk* (so many octets
 * of BDAT), *closed*; STARTTLS hands the socket over to a new one. Whatever arrived in one read is worked off in one go and answered in one write, as RFC 2920 §3.2 asks.
 * A message is handed to `accept` before its 250 is written; what was cut off before is not.
 */
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { SecureContext } from "node:tls";
import type { Certificate } from "./certificate.ts";

export interface Manners {
  readonly pipelining: boolean;
  readonly chunking: boolean;
  readonly starttls: boolean;
  /** Added to each answer, the greeting too; 0 for none. */
  readonly latencyMs: number;
  /** Above this many connections at once: 421; 0 for no limit. */
  readonly connections: number;
  /** The answer to RCPT when it is a refusal (`550 5.1.1 …`), '' to take it. */
  readonly refuse: (address: string) => string;
  /** True: hang up in the middle of the text for this recipient. */
  readonly drop: (address: string) => boolean;
}

export const POLITE: Manners = {
  pipelining: true,
  chunking: false,
  starttls: false,
  latencyMs: 0,
  connections: 0,
  refuse: () => "",
  drop: () => false,
};

export interface Accepted {
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
  readonly tls: boolean;
}

export interface HostOptions {
  /** The name it greets with. */
  readonly name: string;
  readonly address: string;
  /** 0: a free one. */
  readonly port: number;
  readonly manners: Manners;
  readonly certificate: Certificate | null;
  readonly accept: (message: Accepted) => void;
}

export interface Host {
  readonly port: number;
  /** So far: connections taken, connections refused with 421, conversations cut off in the text. */
  readonly counts: { readonly connections: number; readonly refused: number; readonly dropped: number };
  close(): Promise<void>;
}

interface Shared {
  readonly options: HostOptions;
  readonly secure: SecureContext | null;
  readonly counts: { connections: number; refused: number; dropped: number };
}

const IDLE_MS = 300_000;
const MAX_LINE = 4096;
const MAX_MESSAGE = 50 * 1024 * 1024;

/** How much later than a new connection the end of an old one may be heard of. */
const LATE_CLOSE_MS = 100;

/** Resolves when it listens; rejects with the socket's error when it cannot. */
export async function openHost(options: HostOptions): Promise<Host> {
  const { certificate, manners } = options;
  const secure = certificate === null ? null : createSecureContext({ key: certificate.key, cert: certificate.cert });
  const shared: Shared = { options, secure, counts: { connections: 0, refused: 0, dropped: 0 } };
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    // A peer that resets is an everyday thing; 'close' follows and there is nobody to tell.
    socket.on("error", () => socket.destroy());
    const crowded = (): boolean => manners.connections > 0 && open.size > manners.connections;
    const greet = (): void => {
      shared.counts.connections++;
      socket.setTimeout(IDLE_MS, () => socket.destroy());
      converse(socket, shared, false);
    };
    if (!crowded()) return greet();
    // One that was closed before this one came may be heard of after it: both are there in one turn of a busy loop.
    setTimeout(() => {
      if (socket.destroyed) return;
      if (!crowded()) return greet();
      shared.counts.refused++;
      socket.end(`421 4.7.0 ${options.name} too many connections from you, try later\r\n`);
    }, LATE_CLOSE_MS);
  });
  await listen(server, options);
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === "object" ? bound.port : 0,
    counts: shared.counts,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function listen(server: Server, options: HostOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.address, port: options.port, backlog: 1024 }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** One conversation, from the greeting (not after STARTTLS) to the end. */
function converse(socket: Socket, shared: Shared, tls: boolean): void {
  const { manners, name } = shared.options;
  let state: "line" | "data" | "chunk" | "closed" | "handed over" = "line";
  let held: Buffer = Buffer.alloc(0);
  let searched = 0;
  let awaited = 0;
  let last = false;
  let out = "";
  let from: string | null = null;
  let to: string[] = [];
  let chunks: Buffer[] = [];

  const say = (text: string): void => {
    out += `${text}\r\n`;
  };
  const reset = (): void => {
    from = null;
    to = [];
    chunks = [];
  };
  const flush = (): void => {
    if (out !== "" && !socket.destroyed) socket.write(out, "latin1");
    out = "";
  };
  const hear = (bytes: Buffer): void => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    while (state !== "closed" && state !== "handed over" && step());
    flush();
    if (state === "closed") socket.end();
  };
  socket.on("data", (bytes: Buffer) => {
    if (state === "closed" || state === "handed over") return;
    // Timers of one length fire in the order they were set, so what was said stays in order.
    if (manners.latencyMs > 0) setTimeout(hear, manners.latencyMs, bytes);
    else hear(bytes);
  });
  if (!tls && manners.latencyMs > 0) setTimeout(greet, manners.latencyMs);
  else if (!tls) greet();

  function greet(): void {
    say(`220 ${name} ESMTP`);
    flush();
  }

  /** Works off one element of what is held; false when more must arrive first. */
  function step(): boolean {
    if (state === "data") return text();
    if (state === "chunk") return chunk();
    const end = held.indexOf(10);
    if ((end < 0 ? held.length : end) > MAX_LINE) return (void hangUp("500 5.5.2 line too long"), false);
    if (end < 0) return false;
    const line = held.toString("utf8", 0, end).trimEnd();
    held = held.subarray(end + 1);
    command(line);
    return held.length > 0;
  }

  function hangUp(text: string): void {
    say(text);
    state = "closed";
  }

  function cut(): void {
    shared.counts.dropped++;
    state = "closed";
    flush();
    socket.resetAndDestroy();
  }

  function command(line: string): void {
    const verb = line.split(" ", 1)[0]?.toUpperCase() ?? "";
    if (verb === "EHLO") return void ehlo();
    if (verb === "HELO") return void (reset(), say(`250 ${name}`));
    if (verb === "MAIL") return void mail(line);
    if (verb === "RCPT") return void rcpt(line);
    if (verb === "DATA") return void data();
    if (verb === "BDAT" && manners.chunking) return void bdat(line);
    if (verb === "STARTTLS" && shared.secure !== null && !tls) return void upgrade(shared.secure);
    if (verb === "RSET") return void (reset(), say("250 2.0.0 ok"));
    if (verb === "NOOP") return void say("250 2.0.0 ok");
    if (verb === "QUIT") return void hangUp("221 2.0.0 bye");
    say("500 5.5.1 command not known");
  }

  function ehlo(): void {
    reset();
    const lines = [name, "8BITMIME", `SIZE ${MAX_MESSAGE}`, "ENHANCEDSTATUSCODES"];
    if (manners.pipelining) lines.push("PIPELINING");
    if (manners.chunking) lines.push("CHUNKING");
    if (shared.secure !== null && !tls) lines.push("STARTTLS");
    lines.forEach((text, i) => say(`250${i === lines.length - 1 ? " " : "-"}${text}`));
  }

  function mail(line: string): void {
    const match = /^MAIL FROM:\s?<([^>]*)>/i.exec(line);
    if (match === null) return say("501 5.5.4 syntax: MAIL FROM:<address>");
    if (from !== null) return say("503 5.5.1 a transaction is open");
    from = match[1] ?? "";
    say("250 2.1.0 ok");
  }

  function rcpt(line: string): void {
    const match = /^RCPT TO:\s?<([^>]+)>/i.exec(line);
    if (from === null) return say("503 5.5.1 MAIL first");
    if (match?.[1] === undefined) return say("501 5.5.4 syntax: RCPT TO:<address>");
    const refusal = manners.refuse(match[1]);
    if (refusal !== "") return say(refusal);
    to.push(match[1]);
    say("250 2.1.5 ok");
  }

  function data(): void {
    if (from === null || to.length === 0) return say("554 5.5.1 no valid recipients");
    say("354 go on");
    state = "data";
    searched = 0;
  }

  /** Text behind DATA, up to CRLF.CRLF (RFC 5321 §4.1.1.4); a bare LF ends nothing. */
  function text(): boolean {
    if (held.length > 0 && to.some(manners.drop)) return (void cut(), false);
    const empty = held.length >= 3 && held.toString("latin1", 0, 3) === ".\r\n";
    const end = empty ? -2 : held.indexOf("\r\n.\r\n", searched);
    if (!empty && end < 0) {
      if (held.length > MAX_MESSAGE) hangUp("552 5.3.4 message too big");
      searched = Math.max(0, held.length - 4);
      return false;
    }
    const bytes = held.subarray(0, end + 2);
    held = held.subarray(end + 5);
    state = "line";
    finish(unstuff(bytes));
    return held.length > 0;
  }

  function bdat(line: string): void {
    const match = /^BDAT (\d{1,9})( LAST)?$/i.exec(line);
    if (match === null) return hangUp("501 5.5.4 syntax: BDAT size [LAST]");
    awaited = Number(match[1]);
    last = match[2] !== undefined;
    if (awaited > MAX_MESSAGE) return hangUp("552 5.3.4 message too big");
    state = "chunk";
    // A chunk of nothing but LAST is complete as it stands.
    if (awaited === 0) chunk();
  }

  function chunk(): boolean {
    const refused = from === null || to.length === 0;
    if (!refused && held.length > 0 && to.some(manners.drop)) return (void cut(), false);
    if (held.length < awaited) return false;
    const bytes = held.subarray(0, awaited);
    held = held.subarray(awaited);
    state = "line";
    if (refused) say("554 5.5.1 no valid recipients");
    else if (!last) {
      chunks.push(bytes);
      say(`250 2.0.0 ${awaited} octets`);
    } else finish(chunks.length === 0 ? bytes : Buffer.concat([...chunks, bytes]));
    return held.length > 0;
  }

  function finish(bytes: Buffer): void {
    shared.options.accept({ from: from ?? "", to, bytes, tls });
    reset();
    say("250 2.0.0 taken");
  }

  function upgrade(secure: SecureContext): void {
    say("220 2.0.0 go on");
    flush();
    // What came in the clear behind STARTTLS must not be taken for what was said under TLS (RFC 3207 §6).
    state = "handed over";
    held = Buffer.alloc(0);
    socket.removeAllListeners("data");
    const secured = new TLSSocket(socket, { isServer: true, secureContext: secure });
    secured.on("error", () => socket.destroy());
    converse(secured, shared, true);
  }
}

/** Takes away the dot that was put before lines beginning with one (RFC 5321 §4.5.2). */
function unstuff(bytes: Buffer): Buffer {
  if (bytes[0] !== 46 && bytes.indexOf("\r\n.") < 0) return bytes;
  return Buffer.from(bytes.toString("latin1").replace(/(^|\r\n)\./g, "$1"), "latin1");
}
