/**
 * A member that costs next to nothing: it greets as it should, answers what the server must be answered, and calls back at each grant. Lines
 * it knows by their first letters are not parsed: the bench shares its cores with the server.
 */
import { connect, type Socket } from "node:net";
import { clientProof, drawNonce } from "../../src/quota/handshake.ts";

export interface BenchMember {
  /** Begun in this turn, written at its end. */
  say(line: string): void;
  close(): void;
}

const GRANT = '{"t":"grant","id":';

/** Resolves when the server has welcomed it. */
export function openMember(
  port: number,
  secret: Buffer,
  name: string,
  granted: (id: number) => void,
): Promise<BenchMember> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let rest = "";
    let out = "";
    const flush = (): void => {
      socket.write(out);
      out = "";
    };
    const say = (line: string): void => {
      if (out === "") setImmediate(flush);
      out += line;
    };
    const tell = (message: object): void => say(`${JSON.stringify(message)}\n`);
    const other = (line: string): void => {
      const message = JSON.parse(line) as { t: string; nonce: string; seq: number; text: string };
      if (message.t === "challenge") {
        const nonce = drawNonce();
        const proof = clientProof(secret, message.nonce, nonce, name);
        tell({ t: "hello", v: 1, member: name, role: "member", nonce, proof, process: drawNonce(), held: [] });
      } else if (message.t === "welcome") {
        tell({ t: "used", counters: [], last: true });
        resolve({ say, close: () => socket.destroy() });
      } else if (message.t === "shares") tell({ t: "told", seq: message.seq });
      else if (message.t === "error" || message.t === "leave") reject(new Error(`${message.t}: ${message.text}`));
    };
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines)
        if (line.startsWith(GRANT)) granted(Number.parseInt(line.slice(GRANT.length), 10));
        else other(line);
    });
    socket.on("error", reject);
    const ping = setInterval(() => tell({ t: "ping", id: 1 }), 1000);
    socket.on("close", () => clearInterval(ping));
  });
}

export function acquireLine(id: number, site: string, publicId: number, messages: number): string {
  return `{"t":"acquire","id":${id},"site":"${site}","publicId":${publicId},"exchangers":[{"mx":"${site}","ip":"192.0.2.1"},{"mx":"${site}","ip":"192.0.2.2"}],"messages":${messages},"urgent":false}\n`;
}

export function releaseLine(conn: number): string {
  return `{"t":"release","conn":${conn},"back":[]}\n`;
}
