/** Statistics servers in the test's process, with the small engine and without a database; and clients of them. All are closed after each test. */
import { afterEach } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { openStatServer, type StatServer, type StatServerOptions } from "../../src/stat/server.ts";
import { noGovernor, type SmallEngine, smallEngine } from "./small-engine.ts";
import { greet, openRawClient, type RawClient } from "./stat-client.ts";

export const SECRET = Buffer.from("a secret of more than thirty-two characters");
export const OTHER = Buffer.from("another secret of more than thirty-two chars");

export type SmallServer = StatServer & { readonly engine: SmallEngine };

const open: (() => unknown)[] = [];

/** Once in each file that uses the functions below. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (let close = open.pop(); close !== undefined; close = open.pop()) await close();
  });
}

/** Closed after the test, the last one first. */
export function closeLater(close: () => unknown): void {
  open.push(close);
}

export async function smallServer(options: Partial<StatServerOptions> = {}): Promise<SmallServer> {
  const engine = smallEngine(2);
  const server = await openStatServer({
    host: "127.0.0.1",
    port: 0,
    secret: SECRET,
    sql: null,
    leaderMs: 1000,
    snapshotMs: 1000,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    open: () => ({ engine, governor: noGovernor(), queries: (what, args) => ({ what, args }) }),
    ...options,
  });
  open.push(() => server.close());
  return Object.assign(server, { engine });
}

export async function stranger({ port }: { readonly port: number }): Promise<RawClient> {
  const client = await openRawClient(port);
  open.push(() => client.close());
  return client;
}

export async function memberOf(server: { readonly port: number }, name: string): Promise<RawClient> {
  const client = await stranger(server);
  await greet(client, SECRET, { member: name });
  await client.hears("welcome");
  return client;
}
