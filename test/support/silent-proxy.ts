/** A TCP proxy that can fall silent: what is open stays open and nothing passes any more, as behind a firewall that forgot a connection. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface SilentProxy {
  readonly port: number;
  /** Nothing passes on connections that are open now; those made later are not touched. */
  silence(): void;
  close(): Promise<void>;
}

export async function openSilentProxy(target: number): Promise<SilentProxy> {
  const pairs = new Set<{ client: Socket; server: Socket; silent: boolean }>();
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ port: target, host: "127.0.0.1", noDelay: true });
    const pair = { client, server, silent: false };
    pairs.add(pair);
    client.on("data", (bytes) => void (pair.silent || server.write(bytes)));
    server.on("data", (bytes) => void (pair.silent || client.write(bytes)));
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        pairs.delete(pair);
        if (!pair.silent) other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    silence() {
      for (const pair of pairs) pair.silent = true;
    },
    async close() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
