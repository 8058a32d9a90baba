/**
 * The listening server: node:http or node:https, bare, because a click is a verification and a record and little else. What it sees to is that strangers
 * cannot hold it: time for a handshake, for headers and for a whole request, octets of a header, idle time, and a bound on connections beyond which
 * those that have said nothing yet go first, then those that have nothing to say at the moment.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import type { Certificates } from "./certificates.ts";

export interface Listener {
  readonly port: number;
  readonly connections: number;
  /** Takes no more, lets what is under way come to its end for a moment, then closes everything. */
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly certificates: Certificates | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Most connections at once. */
  readonly mostConnections: number;
  /** For tests, which do not wait as long as strangers may. */
  readonly limits?: Partial<typeof LIMITS>;
  handle(request: IncomingMessage, response: ServerResponse): void;
}

const LIMITS = {
  /** A link of 7 KB with cookies fits; what proxies pass on is rarely more than 8 KB. */
  maxHeaderSize: 24_576,
  /** From the first octet, or from the connection where none comes. */
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  /** Longer than proxies keep idle connections to their servers (60 s by default), so that it is they who close. */
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 2_000,
};
/** A connection on which nothing moves: nobody reads an answer so slowly. Longer than the longest wait of a pull of the log. */
const STILL_MS = 90_000;
const DRAIN_MS = 5_000;
const BACKLOG = 4096;
/** TLS handshakes beyond the bound. */
const MOST_SHAKING = 2_000;

/** Faults: PORT_TAKEN. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { certificates, log } = options;
  const limits = { ...LIMITS, ...options.limits, noDelay: true };
  const server: Server =
    certificates === null
      ? createServer(limits)
      : createTlsServer({
          ...limits,
          ...certificates.standard,
          handshakeTimeout: limits.headersTimeout,
          SNICallback: (name, done) => done(null, certificates.contextOf(name)),
        });
  server.timeout = STILL_MS;
  certificates?.onChange((standard) => {
    (server as ReturnType<typeof createTlsServer>).setSecureContext(standard);
  });
  const crowd = openCrowd(server, options.mostConnections);
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    crowd.spoke(request.socket);
    options.handle(request, response);
  });
  await listen(server, options);
  server.on("error", (err) => log.error({ err }, "the listening socket failed"));

  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return crowd.size;
    },
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      // A connection whose last request ends now would be kept for the next one.
      const idle = setInterval(() => server.closeIdleConnections(), 50);
      const cut = options.clock.after(DRAIN_MS, () => crowd.cut());
      crowd.cutSilent();
      await closed;
      clearInterval(idle);
      cut.cancel();
    },
  };
}

function listen(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(new Fault("PORT_TAKEN", `${host}:${port} (redirector.port)`, error));
    });
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

interface Crowd {
  readonly size: number;
  /** A whole request came over it. */
  spoke(socket: Socket): void;
  cutSilent(): void;
  cut(): void;
}

function openCrowd(server: Server, most: number): Crowd {
  const all = new Set<Socket>();
  /** Those without a request yet, oldest first. */
  const silent = new Set<Socket>();
  const take = (socket: Socket): void => {
    all.add(socket);
    silent.add(socket);
    socket.once("close", () => {
      all.delete(socket);
      silent.delete(socket);
    });
    if (all.size <= most) return;
    const [oldest] = silent;
    // Not the one that has just come, unless it is the only one.
    if (oldest !== undefined && silent.size > 1) return void oldest.destroy();
    server.closeIdleConnections();
    // They are closed now and told so later.
    for (const each of all) if (each.destroyed) return;
    socket.destroy();
  };
  server.on("tlsClientError", (_error, socket: Socket) => socket.destroy());
  // Of TLS the socket that requests come over, once it has shaken hands; before that handshakeTimeout and this bound hold.
  server.maxConnections = most + MOST_SHAKING;
  // Before node knows of it: an idle connection is to node also one that has just come.
  server.prependListener("setSecureContext" in server ? "secureConnection" : "connection", take);
  return {
    get size() {
      return all.size;
    },
    spoke: (socket) => void silent.delete(socket),
    cutSilent() {
      for (const socket of silent) socket.destroy();
    },
    cut() {
      for (const socket of all) socket.destroy();
    },
  };
}
