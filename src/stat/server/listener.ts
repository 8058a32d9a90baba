/** The port of the statistics server, plain or TLS. Connections are bounded before anything is known of them; those over the bound are closed unheard. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Fault } from "../../base/faults.ts";

export interface ServerTls {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly tls: ServerTls | null;
  readonly mostConnections: number;
  readonly onSocket: (socket: Socket) => void;
}

export interface Listener {
  readonly port: number;
  /** Takes no more connections. Those there are stay, and are not waited for. */
  close(): void;
}

const TLS_HANDSHAKE_MS = 5000;

/** Faults: PORT_TAKEN, KEY_UNREADABLE. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { host, port, tls, mostConnections, onSocket } = options;
  const server = tls === null ? createServer({ noDelay: true }, onSocket) : secured(tls, onSocket);
  server.maxConnections = mostConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new Fault("PORT_TAKEN", `${host}:${port} (stat.port)`, error) : error),
    );
    server.listen(port, host, resolve);
  });
  // A socket that is gone again before it is taken (EMFILE, ECONNABORTED) is no reason to stop listening.
  server.on("error", () => {});
  return {
    port: (server.address() as AddressInfo).port,
    close: () => void server.close(),
  };
}

function secured({ cert, key }: ServerTls, onSocket: (socket: Socket) => void): Server {
  try {
    const server = createTlsServer(
      { cert, key, handshakeTimeout: TLS_HANDSHAKE_MS, minVersion: "TLSv1.2", noDelay: true },
      onSocket,
    );
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    return server;
  } catch (error) {
    throw new Fault("KEY_UNREADABLE", `stat.tls: ${(error as Error).message}`, error);
  }
}
