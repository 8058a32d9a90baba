/** A TCP listener on one address that passes everything on to a port of loopback, and counts: how many connections are open, and the most at once. */
import { type AddressInfo, connect, createServer } from "node:net";

export interface Forward {
  readonly port: number;
  readonly open: number;
  readonly most: number;
  /** Connections so far, by the client's address. */
  readonly from: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export async function openForward(address: string, target: number): Promise<Forward> {
  const clients = new Set<{ destroy(): void }>();
  const from = new Map<string, number>();
  let most = 0;
  let open = 0;
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const name = client.remoteAddress ?? "";
    from.set(name, (from.get(name) ?? 0) + 1);
    most = Math.max(most, ++open);
    const server = connect({ port: target, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    clients.add(client);
    client.pipe(server);
    server.pipe(client);
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
    server.on("close", () => client.destroy());
    client.on("close", () => {
      open--;
      clients.delete(client);
      server.destroy();
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, address, resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    get open() {
      return open;
    },
    get most() {
      return most;
    },
    from,
    async close() {
      for (const client of clients) client.destroy();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
