/** A client of the statistics server that says what a test wants said: raw lines over a socket, with or without a proper greeting. */
import { connect, type Socket } from "node:net";
import { clientProof, drawNonce } from "../../src/quota/handshake.ts";
import { PROTOCOL, type ServerMessage } from "../../src/quota/messages.ts";
import { until } from "./until.ts";

export interface RawClient {
  readonly socket: Socket;
  readonly heard: ServerMessage[];
  /** Everything, as it came. */
  readonly text: string;
  readonly closed: boolean;
  write(bytes: string | Buffer): void;
  say(message: object): void;
  /** The first message of the kind that is heard, past ones included. */
  hears<T extends ServerMessage["t"]>(kind: T): Promise<Extract<ServerMessage, { t: T }>>;
  close(): void;
}

export async function openRawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const heard: ServerMessage[] = [];
  let text = "";
  let rest = "";
  let closed = false;
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    const lines = (rest + chunk.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) heard.push(JSON.parse(line) as ServerMessage);
  });
  // A server that cuts us off may do so while we write: that is what the test is about.
  socket.on("error", () => (closed = true));
  socket.on("close", () => (closed = true));
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return {
    socket,
    heard,
    get text() {
      return text;
    },
    get closed() {
      return closed;
    },
    write: (bytes) => void socket.write(bytes),
    say: (message) => void socket.write(`${JSON.stringify(message)}\n`),
    async hears(kind) {
      const found = await until(() => heard.find((message) => message.t === kind), { what: `a ${kind}` });
      return found as never;
    },
    close: () => socket.destroy(),
  };
}

export interface HelloOptions {
  readonly member?: string;
  readonly role?: "member" | "observer";
  readonly held?: readonly object[];
  readonly v?: number;
}

/** Says hello with the right proof for `secret` and gives what was said. */
export async function greet(client: RawClient, secret: Buffer, options: HelloOptions = {}): Promise<object> {
  const { member = "m1/0", role = "member", held = [], v = PROTOCOL } = options;
  const { nonce: theirs } = await client.hears("challenge");
  const nonce = drawNonce();
  const proof = clientProof(secret, theirs, nonce, member);
  const hello = { t: "hello", v, member, role, nonce, proof, process: "0123456789abcdef", held };
  client.say(hello);
  return hello;
}

export function acquire(id: number, more: object = {}): object {
  return {
    t: "acquire",
    id,
    site: "mx.test",
    publicId: 1,
    exchangers: [{ mx: "mx.test", ip: "127.0.0.1" }],
    messages: 10,
    urgent: false,
    ...more,
  };
}
