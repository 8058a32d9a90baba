/**
 * A small, fast mail server that takes everything: for benches and the demo, in this process (`openFastSink`) or as a process of its own
 * (sink-process.ts, or by hand: `node test/support/fast-sink.ts --port 0 --latency 50 --chunking --store dir`, which prints
 * one JSON line with the port). PIPELINING always, CHUNKING if asked. `latency` delays every answer, as a far-away server would.
 * It trusts its client: no limits, no checks of order. Loopback only.
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

export interface SinkOptions {
  /** Default 0: a free one. */
  readonly port?: number;
  /** Milliseconds between a command and its answer. */
  readonly latency?: number;
  readonly chunking?: boolean;
  /** Without it the client must go step by step. */
  readonly pipelining?: boolean;
  /** A folder for `000001.eml` … and `envelopes.ndjson`. */
  readonly store?: string;
}

export interface SinkMessage {
  readonly from: string;
  readonly to: readonly string[];
  /** As sent: dots unstuffed, CRLF line ends. */
  readonly raw: Buffer;
}

export interface SinkCounts {
  readonly connections: number;
  readonly messages: number;
  /** Octets of messages, before unstuffing. */
  readonly bytes: number;
  /** CPU this process used so far. */
  readonly cpuMs: number;
}

export interface FastSink<Counts = SinkCounts> {
  readonly port: number;
  counts(): Counts;
  close(): Promise<void>;
}

/** `onMessage` is called with each message; without it and without `store` bodies are only counted. */
export async function openFastSink(
  options: SinkOptions = {},
  onMessage: ((message: SinkMessage) => void) | null = null,
): Promise<FastSink> {
  const counts = { connections: 0, messages: 0, bytes: 0 };
  const { store = "" } = options;
  if (store !== "") mkdirSync(store, { recursive: true });
  const keep = (message: SinkMessage): void => {
    onMessage?.(message);
    if (store === "") return;
    const file = `${String(counts.messages).padStart(6, "0")}.eml`;
    writeFileSync(join(store, file), message.raw);
    appendFileSync(
      join(store, "envelopes.ndjson"),
      `${JSON.stringify({ file, from: message.from, to: message.to })}\n`,
    );
  };
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    counts.connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket, options, counts, onMessage !== null || store !== "" ? keep : null);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", 4096, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    counts() {
      const { user, system } = process.cpuUsage();
      return { ...counts, cpuMs: (user + system) / 1000 };
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const END = Buffer.from("\r\n.\r\n");

function serve(
  socket: Socket,
  { latency = 0, chunking = false, pipelining = true }: SinkOptions,
  counts: { messages: number; bytes: number },
  keep: ((message: SinkMessage) => void) | null,
): void {
  let rest: Buffer = Buffer.alloc(0);
  let inData = false;
  /** Nothing of the message was taken yet. */
  let fresh = true;
  /** Octets of the chunk that are still to come, -1 outside a chunk. */
  let chunkLeft = -1;
  let lastChunk = false;
  let parts: Buffer[] = [];
  let from = "";
  let to: string[] = [];
  let answers = "";

  const answer = (text: string): void => void (answers += text);
  const flush = (): void => {
    const text = answers;
    answers = "";
    if (text === "" || socket.destroyed) return;
    if (latency === 0) socket.write(text);
    else setTimeout(() => socket.destroyed || socket.write(text), latency);
  };
  const take = (bytes: Buffer): void => {
    counts.bytes += bytes.length;
    if (keep !== null) parts.push(bytes);
  };
  const done = (unstuff: boolean): void => {
    counts.messages++;
    if (keep !== null) keep({ from, to, raw: unstuff ? unstuffed(Buffer.concat(parts)) : Buffer.concat(parts) });
    parts = [];
    to = [];
    answer(`250 2.0.0 Ok: queued as ${counts.messages}\r\n`);
  };

  /** Consumes from `rest`; false when more bytes are needed. */
  function advance(): boolean {
    if (chunkLeft >= 0) {
      const part = rest.subarray(0, chunkLeft);
      take(part);
      chunkLeft -= part.length;
      rest = rest.subarray(part.length);
      if (chunkLeft > 0) return false;
      chunkLeft = -1;
      if (lastChunk) done(false);
      else answer("250 2.0.0 Ok\r\n");
      return true;
    }
    if (inData) {
      // A dot alone at the very beginning is a message without content.
      const alone = fresh && rest.length >= 3 && rest.toString("latin1", 0, 3) === ".\r\n";
      const at = alone ? -2 : rest.indexOf(END);
      if (at === -1) {
        // The last octets may be the first of END.
        if (rest.length > 1024) {
          take(rest.subarray(0, -4));
          rest = rest.subarray(-4);
          fresh = false;
        }
        return false;
      }
      take(rest.subarray(0, at + 2));
      rest = rest.subarray(at + 5);
      inData = false;
      done(true);
      return true;
    }
    const at = rest.indexOf(10);
    if (at < 0) return false;
    const line = rest.toString("latin1", 0, at).trimEnd();
    rest = rest.subarray(at + 1);
    command(line);
    return true;
  }

  function command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "MAIL") from = /<(.*?)>/.exec(line)?.[1] ?? "";
    else if (verb === "RCPT") to.push(/<(.*)>/.exec(line)?.[1] ?? "");
    else if (verb === "RSET") to = [];
    else if (verb === "BDAT") {
      chunkLeft = Number(line.split(" ")[1]);
      lastChunk = / LAST$/i.test(line);
      return;
    } else if (verb === "DATA") {
      inData = fresh = true;
      return answer("354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (verb === "EHLO") {
      const offered = [
        "sink",
        ...(pipelining ? ["PIPELINING"] : []),
        ...(chunking ? ["CHUNKING"] : []),
        "8BITMIME",
        "SMTPUTF8",
      ];
      return answer(`${offered.map((text) => `250-${text}\r\n`).join("")}250 SIZE 100000000\r\n`);
    } else if (verb === "QUIT") {
      answer("221 2.0.0 Bye\r\n");
      setTimeout(() => socket.end(), latency + 1);
      return;
    }
    answer("250 2.0.0 Ok\r\n");
  }

  socket.on("data", (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length > 0 && advance());
    flush();
  });
  answer("220 sink ESMTP\r\n");
  flush();
}

/** RFC 5321 §4.5.2: the first dot of a line that begins with one goes. */
function unstuffed(raw: Buffer): Buffer {
  if (!raw.includes("\r\n.") && raw[0] !== 46) return raw;
  return Buffer.from(raw.toString("latin1").replace(/(^|\n)\./g, "$1"), "latin1");
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      latency: { type: "string", default: "0" },
      chunking: { type: "boolean", default: false },
      "no-pipelining": { type: "boolean", default: false },
      store: { type: "string", default: "" },
    },
  });
  const { port, latency, chunking, store } = values;
  const pipelining = !values["no-pipelining"];
  const sink = await openFastSink({ port: Number(port), latency: Number(latency), chunking, pipelining, store });
  console.log(JSON.stringify({ port: sink.port }));
  process.send?.({ port: sink.port });
  process.on("message", () => process.send?.(sink.counts()));
  process.on("disconnect", () => process.exit(0));
}
