/**
 * A mail server that says exactly what a script tells it to, byte by byte, for tests of hostile and broken peers. Each connection runs
 * the script once; `expect` consumes what the client said, so the order and the exact text of the dialogue are asserted on the way.
 */
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { TLSSocket } from "node:tls";

export interface Peer {
  /** 1 for the first connection. */
  readonly number: number;
  /** Everything this client said so far, in the clear or inside TLS, as latin1. */
  readonly received: string;
  /** Waits until the unread text matches, and reads up to the end of the match. Rejects after 5 s or when the client is gone. */
  expect(pattern: RegExp): Promise<RegExpExecArray>;
  /** What has come and was not read by `expect`. */
  readonly unread: string;
  send(text: string | Buffer): void;
  /** Reads nothing more, so that what the client writes piles up. */
  stall(): void;
  /** FIN: the client can still write. */
  close(): void;
  /** RST. */
  reset(): void;
  /** Becomes the server's end of TLS, with the certificate of test/support/tls. */
  secure(): Promise<void>;
  /** Resolves when the client has closed or reset the connection. */
  gone(): Promise<void>;
}

export interface ScriptServer {
  readonly port: number;
  readonly connections: number;
  /** Peers in the order they came. */
  readonly peers: readonly Peer[];
  /** Lets scripts finish (a second at most), then ends everything. Rejects when a script failed. */
  close(): Promise<void>;
}

export const tlsKey = readFileSync(new URL("tls/localhost.key", import.meta.url), "utf8");
/** Self-signed, for localhost, mx.test and 127.0.0.1, valid until 2120. */
export const tlsCertificate = readFileSync(new URL("tls/localhost.crt", import.meta.url), "utf8");

/** Greets, and answers EHLO with the capabilities. */
export async function hello(peer: Peer, ...offered: string[]): Promise<void> {
  peer.send("220 mx.test ESMTP\r\n");
  await ehlo(peer, ...offered);
}

export async function ehlo(peer: Peer, ...offered: string[]): Promise<void> {
  await peer.expect(/^EHLO client\.test\r\n/);
  const lines = ["mx.test", ...offered];
  peer.send(lines.map((line, i) => `250${i < lines.length - 1 ? "-" : " "}${line}\r\n`).join(""));
}

/** Loopback, a free port. When the script ends the connection stays as it is. */
export async function openScriptServer(script: (peer: Peer) => Promise<void>): Promise<ScriptServer> {
  const peers: Peer[] = [];
  const scripts: Promise<void>[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    const peer = openPeer(socket, peers.length + 1);
    peers.push(peer);
    const done = script(peer);
    done.catch(() => {}); // told by close()
    scripts.push(done);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return peers.length;
    },
    peers,
    async close() {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        Promise.allSettled(scripts),
        new Promise((resolve) => {
          timer = setTimeout(resolve, 1000);
        }),
      ]);
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all(scripts);
    },
  };
}

function openPeer(raw: Socket, number: number): Peer {
  let socket = raw;
  let received = "";
  let read = 0;
  let over = false;
  let wake = (): void => {};
  const news = (): void => wake();

  function attach(next: Socket): void {
    socket = next;
    socket.on("data", onData);
    socket.on("end", onOver);
    socket.on("close", onOver);
    socket.on("error", onOver);
  }
  function onData(chunk: Buffer): void {
    received += chunk.toString("latin1");
    news();
  }
  function onOver(): void {
    over = true;
    news();
  }
  /** Tries `attempt` at each piece of news until it gives something. */
  function wait<T>(attempt: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(() => reject(new Error(`waited 5 s for ${what}; unread: ${show()}`))), 5000);
      const end = (fn: () => void): void => {
        clearTimeout(timer);
        wake = () => {};
        fn();
      };
      wake = () => {
        const value = attempt();
        if (value !== undefined) end(() => resolve(value));
        else if (over) end(() => reject(new Error(`the client left before ${what}; unread: ${show()}`)));
      };
      wake();
    });
  }
  const show = (): string => JSON.stringify(received.slice(read, read + 300));

  attach(raw);
  return {
    number,
    get received() {
      return received;
    },
    get unread() {
      return received.slice(read);
    },
    async expect(pattern) {
      return await wait(() => {
        const match = pattern.exec(received.slice(read));
        if (match === null) return undefined;
        read += match.index + match[0].length;
        return match;
      }, String(pattern));
    },
    send: (text) => void (socket.destroyed || socket.write(text)),
    stall: () => void socket.pause(),
    close: () => void socket.end(),
    reset: () => void raw.resetAndDestroy(),
    async secure() {
      socket.off("data", onData);
      socket.off("end", onOver);
      const upgraded = new TLSSocket(raw, { isServer: true, key: tlsKey, cert: tlsCertificate });
      attach(upgraded);
      await new Promise<void>((resolve, reject) => {
        upgraded.once("secure", () => resolve());
        upgraded.once("close", () => reject(new Error("no TLS handshake")));
      });
    },
    async gone() {
      await wait(() => (over ? true : undefined), "the client's end");
    },
  };
}
