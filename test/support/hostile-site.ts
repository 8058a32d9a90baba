/**
 * A mail server that misbehaves at every stage, at random by a seed, and means no harm in the end: each recipient meets a few sins and is
 * then taken or refused, as its verdict says; each site sins a few times before a session is ready. It keeps book of what it took, so
 * the sender's ledger can be held against it. Raw `net`, every byte its own.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { draws } from "./draws.ts";
import { converse, GREETING_SINS, type World } from "./hostile-talk.ts";

export interface HostileSite {
  readonly port: number;
  /** How often it took mail for each recipient, whether it said so or not. */
  readonly taken: ReadonlyMap<string, number>;
  /** Recipients it refused for good. */
  readonly refused: ReadonlySet<string>;
  /** Sins that were committed, with how often. */
  readonly committed: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface HostileOptions {
  readonly seed: number;
  /** Loopback addresses, each a site of its own. */
  readonly addresses: readonly string[];
  /** Whether a recipient is refused in the end. */
  readonly refuses: (recipient: string) => boolean;
}

export async function openHostileSite(options: HostileOptions): Promise<HostileSite> {
  const world: World = {
    draw: draws(options.seed),
    refuses: options.refuses,
    ahead: new Map(),
    sites: new Map(
      options.addresses.map((address, i) => [
        address,
        { connections: 0, sin: GREETING_SINS[i % GREETING_SINS.length]! },
      ]),
    ),
    taken: new Map(),
    refused: new Set(),
    committed: new Map(),
  };
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  let port = 0;
  for (const address of options.addresses) {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      converse(socket, address, world);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, address, resolve);
    });
    servers.push(server);
    ({ port } = server.address() as AddressInfo);
  }
  return {
    port,
    taken: world.taken,
    refused: world.refused,
    committed: world.committed,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    },
  };
}
