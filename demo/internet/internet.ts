/**
 * The pretend Internet: a name server and every exchanger of every character, each at a loopback address of its own (all of 127/8 is
 * this machine) and all on one port, as port 25 is one port out there. The name server is handed in; `zone` is what it must know.
 */
import { randomInt } from "node:crypto";
import { makeCertificate } from "./certificate.ts";
import { CHARACTERS } from "./characters.ts";
import type { Exchanger, World } from "./characters.ts";
import { openHost } from "./host.ts";
import type { Host } from "./host.ts";
import type { Letters } from "./letters.ts";
import { openReceived } from "./received.ts";
import type { Received } from "./received.ts";

/** One record; a name that has none does not exist (NXDOMAIN). */
export type ZoneRecord =
  | { readonly name: string; readonly type: "MX"; readonly preference: number; readonly exchange: string }
  | { readonly name: string; readonly type: "A"; readonly address: string }
  | { readonly name: string; readonly type: "TXT"; readonly text: string };

export interface Internet {
  /** Where every exchanger listens. */
  readonly port: number;
  readonly zone: readonly ZoneRecord[];
  readonly received: Received;
  readonly hosts: readonly OpenedHost[];
  close(): Promise<void>;
}

export interface OpenedHost {
  readonly name: string;
  readonly character: string;
  readonly counts: Host["counts"];
}

interface Placed {
  readonly character: (typeof CHARACTERS)[number];
  readonly exchanger: Exchanger;
  readonly address: string;
}

/** Tries for a port that is free at every address; one is nearly always enough. */
const PORT_TRIES = 20;

export async function openInternet(world: World, letters?: Letters): Promise<Internet> {
  // Addresses are drawn, so two demos at once do not meet.
  const net = `127.${randomInt(32, 224)}.${randomInt(1, 255)}`;
  const all = CHARACTERS.flatMap((character) => character.exchangers.map((exchanger) => ({ character, exchanger })));
  const placed: Placed[] = all.map((one, i) => ({ ...one, address: `${net}.${i + 1}` }));
  const received = openReceived(world.now, letters);
  const hosts = await openAll(placed, world, received);
  return {
    port: hosts[0]?.host.port ?? 0,
    zone: zoneOf(placed),
    received,
    hosts: hosts.map(({ placed: { character, exchanger }, host }) => {
      return { name: exchanger.name, character: character.name, counts: host.counts };
    }),
    async close() {
      await Promise.all(hosts.map(({ host }) => host.close()));
    },
  };
}

interface Running {
  readonly placed: Placed;
  readonly host: Host;
}

async function openAll(placed: readonly Placed[], world: World, received: Received): Promise<Running[]> {
  const certificate = makeCertificate(placed.map(({ exchanger }) => exchanger.name));
  for (let attempt = 1; ; attempt++) {
    const running: Running[] = [];
    try {
      for (const one of placed) {
        if (one.exchanger.dead) continue;
        const manners = one.character.manners(world);
        const host = await openHost({
          name: one.exchanger.name,
          address: one.address,
          port: running[0]?.host.port ?? 0,
          manners,
          certificate: manners.starttls ? certificate : null,
          accept: (message) => received.take(one.exchanger.name, message),
        });
        running.push({ placed: one, host });
      }
      return running;
    } catch (error) {
      await Promise.all(running.map(({ host }) => host.close()));
      if (attempt === PORT_TRIES) throw error;
    }
  }
}

function zoneOf(placed: readonly Placed[]): ZoneRecord[] {
  const zone: ZoneRecord[] = placed.map(({ exchanger, address }) => ({ name: exchanger.name, type: "A", address }));
  for (const { dns, domains, exchangers } of CHARACTERS) {
    for (const name of domains) {
      // RFC 7505: one MX of preference 0 to the root says that there is no mail here.
      if (dns === "null mx") zone.push({ name, type: "MX", preference: 0, exchange: "" });
      if (dns !== "mx") continue;
      for (const one of exchangers) zone.push({ name, type: "MX", preference: one.preference, exchange: one.name });
    }
  }
  return zone;
}
