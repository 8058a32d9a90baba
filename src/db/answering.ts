/**
 * A socket to PostgreSQL that does not wait for ever. A firewall that forgets a connection leaves it open and silent; the system notices after
 * a quarter of an hour at best, and until then whoever asked waits, and its lease runs out. Here the wait ends after `answerMs` without a
 * single octet, and the statement fails like one whose connection was cut. Not so over TLS, where the driver is alone with the connection.
 */
import { connect, type Socket } from "node:net";

/** ReadyForQuery, but for its last octet (manual §54.7): the server has answered what was asked. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5]);

export interface Place {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** A socket of the file system, '' or false for none. */
  readonly path?: string | false;
}

/** Sockets for one pool, in turn to each of its hosts. They are not connected yet: what is written waits, as everywhere in Node. */
export function answeringSockets(answerMs: number): (place: Place) => Socket {
  let turn = 0;
  return ({ host, port, path }) => {
    const at = turn++ % Math.max(1, host.length);
    const name = host[at] ?? "localhost";
    const socket = path ? connect({ path }) : connect({ host: name, port: port[at] ?? 5432 });
    // The driver asks for it when it goes over to TLS.
    return Object.assign(guard(socket, answerMs), { host: name });
  };
}

function guard(socket: Socket, answerMs: number): Socket {
  let timer: NodeJS.Timeout | null = null;
  const stop = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
  };
  const late = (): void =>
    void socket.destroy(Object.assign(new Error(`no answer in ${answerMs / 1000} s`), { code: "ETIMEDOUT" }));
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean;
  socket.write = (...given: unknown[]): boolean => {
    // A body that is being sent (COPY) moves the deadline: the server is silent while it listens.
    if (timer === null) timer = setTimeout(late, answerMs);
    else timer.refresh();
    return write(...given);
  };
  socket.on("data", (bytes: Buffer) => {
    if (timer === null) return;
    // One octet is the answer to SSLRequest: from here the driver reads and writes past this socket, and nobody watches any more.
    if (bytes.length === 1) stop();
    else if (bytes.length >= 6 && bytes.compare(READY, 0, 5, bytes.length - 6, bytes.length - 1) === 0) stop();
    else timer.refresh();
  });
  socket.on("close", stop);
  return socket;
}
