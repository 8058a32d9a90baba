/** A conversation with an exchanger, line by line, for the tests of the pretend Internet: says what it is told and hands back answers. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface Talk {
  /** Writes lines (CRLF is added) and returns the next `answers` complete answers; rejects when the connection ends before. */
  say(lines: string | readonly string[], answers?: number): Promise<string[]>;
  /** Goes on under TLS; whatever certificate is shown is taken. */
  secure(): Promise<void>;
  /** Resolves when the peer has closed. */
  readonly closed: Promise<void>;
  close(): void;
}

const WAIT_MS = 5000;

/** Connected and greeted; `greeting` is the first answer. */
export async function talkTo(address: string, port: number): Promise<Talk & { readonly greeting: string }> {
  let socket: Socket = connect({ host: address, port, noDelay: true });
  let held = "";
  let wake: () => void = () => {};
  let ended = false;
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const listen = (): void => {
    socket.on("data", (bytes: Buffer) => {
      held += bytes.toString("latin1");
      wake();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      ended = true;
      wake();
      close();
    });
  };
  const answer = async (): Promise<string> => {
    const deadline = setTimeout(() => socket.destroy(new Error("no answer")), WAIT_MS);
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(held);
      if (match !== null) {
        clearTimeout(deadline);
        held = held.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (ended) throw new Error(`closed, after: ${held}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  listen();
  const greeting = await answer();
  return {
    greeting,
    closed,
    async say(lines, answers = 1) {
      const text = typeof lines === "string" ? [lines] : lines;
      socket.write(text.map((line) => `${line}\r\n`).join(""));
      const all: string[] = [];
      while (all.length < answers) all.push(await answer());
      return all;
    },
    async secure() {
      socket.removeAllListeners("data");
      const secured = connectTls({ socket, rejectUnauthorized: false });
      await new Promise<void>((resolve, reject) => secured.once("secureConnect", resolve).once("error", reject));
      socket = secured;
      listen();
    },
    close: () => void socket.destroy(),
  };
}
