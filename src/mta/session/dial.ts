/** A TCP connection to one address, within a time. */
import { connect as connectTcp, type Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { SessionTarget } from "../session-contract.ts";
import { socketError } from "./socket-error.ts";

/** Begins a connection; tests hand in their own. */
export type Connect = (target: SessionTarget) => Socket;

export const connectDirectly: Connect = (target) =>
  connectTcp({
    host: target.ip,
    port: target.port,
    // Replies are awaited before the next write: Nagle's algorithm would add a delayed ACK to each of them.
    noDelay: true,
    ...(target.localAddress === "" ? {} : { localAddress: target.localAddress }),
  });

/** The connected socket, or why there is none in one line. */
export function dial(connect: Connect, target: SessionTarget, ms: number, clock: Clock): Promise<Socket | string> {
  return new Promise((resolve) => {
    let socket: Socket;
    try {
      socket = connect(target);
    } catch (error) {
      // An address or port that is none: node throws instead of telling the socket.
      return resolve((error as Error).message.slice(0, 300));
    }
    const end = (result: Socket | string): void => {
      timer.cancel();
      socket.off("connect", connected);
      if (typeof result === "string") socket.destroy();
      else socket.off("error", failed); // the wire listens in the same turn
      resolve(result);
    };
    const connected = (): void => end(socket);
    const failed = (error: NodeJS.ErrnoException): void => end(socketError(error));
    const timer = clock.after(ms, () => end(`no connection within ${ms / 1000} s`));
    socket.on("error", failed);
    socket.once("connect", connected);
  });
}
