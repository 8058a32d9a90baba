/**
 * One run: ten machines with the real client, a server with the real engine, fifty sites, random load, and storms of faults with calms in
 * between: crashes of machines and of the server, partitions (both ways or one way), new rules, stops. All of it from one seed.
 */
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import { type Machine, openMachine } from "./machine.ts";
import { type Oracle, openOracle } from "./oracle.ts";
import { PUBLIC_IDS, drawRules, drawSites, redrawRules } from "./plan.ts";
import { type SimServer, openServer } from "./server.ts";
import { type Tamper, type Wire, openWire } from "./wire.ts";
import { type World, openWorld } from "./world.ts";

/** Deliberate mistakes, each of which the oracle must see. */
export const BREAKS = ["share", "until", "returns", "releases", "revokes", "restore"] as const;
export type Break = (typeof BREAKS)[number];

export interface SimulationResult {
  readonly seed: number;
  readonly steps: number;
  readonly violations: number;
  readonly starved: number;
  readonly lostWakeUps: number;
  readonly attempts: number;
  readonly virtualSeconds: number;
  readonly said: readonly string[];
}

const MACHINES = 10;
const STORM_MS = 8 * 60_000;
const CALM_MS = 14 * 60_000;
const LOOK_MS = 1000;

/** `draw`: integers in [0, n) from the seed. */
export async function simulate(options: {
  seed: number;
  steps: number;
  draw: (n: number) => number;
  broken?: Break | undefined;
}): Promise<SimulationResult> {
  const world = openWorld(options.draw);
  const sites = drawSites(world);
  // Some minutes before midnight, so that a day ends in the run.
  const startAt = Date.UTC(2026, 2, 14, 23, 20 + world.draw(35), world.draw(60));
  const errors: string[] = [];
  const server = openServer(world, {
    rules: drawRules(world),
    startAt,
    drift: (world.draw(201) - 100) / 1e5,
    forgetful: options.broken === "restore",
    onError: (error) => errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
  const oracle = openOracle(world, server, MACHINES);
  const tamper = tamperOf(world, options.broken);
  let processes = 0;
  const wires: Wire[] = [];
  const machines: Machine[] = [];
  for (let index = 0; index < MACHINES; index++) {
    const wire = openWire(world, () => server.end, {
      tamper,
      heard: (_member, message) => oracle.heard(index, message),
      said: (_member, message) => oracle.said(index, message),
    });
    wires.push(wire);
    machines.push(
      openMachine(world, {
        index,
        link: () => wire.link(`m${index}/0`),
        watcher: oracle,
        processes: () => (0x1000_0000 + ++processes).toString(16),
      }),
    );
  }
  server.start();
  for (const machine of machines) world.after(world.draw(3000), () => machine.start());
  const look = (): void => {
    oracle.look(machines);
    world.after(LOOK_MS, look);
  };
  look();
  bringLoad(world, machines, (machine) => {
    const site = sites[world.draw(world.chance(50) ? 12 : sites.length)];
    const publicId = PUBLIC_IDS[(machine.index + world.draw(2)) % PUBLIC_IDS.length] ?? 1;
    if (site !== undefined) machine.load(site, publicId, 1 + world.draw(world.chance(20) ? 400 : 30));
  });
  bringFaults(world, { server, machines, wires, oracle, sites: sites.map(({ name }) => name) });
  await world.run(options.steps);
  return {
    seed: options.seed,
    steps: world.steps,
    violations: oracle.violations + errors.length,
    starved: oracle.starved,
    lostWakeUps: oracle.lostWakeUps,
    attempts: oracle.attempts,
    virtualSeconds: Math.round(world.now / 1000),
    said: [...errors.slice(0, 2), ...oracle.told],
  };
}

/** Deliveries come and go: a machine has at most some thousand messages waiting. */
function bringLoad(world: World, machines: readonly Machine[], load: (machine: Machine) => void): void {
  const again = (): void => {
    const machine = machines[world.draw(machines.length)];
    if (machine !== undefined && machine.alive && machine.backlog() < 3000) load(machine);
    world.after(20 + world.draw(400), again);
  };
  world.after(5000, again);
}

function bringFaults(
  world: World,
  parts: {
    server: SimServer;
    machines: readonly Machine[];
    wires: readonly Wire[];
    oracle: Oracle;
    sites: readonly string[];
  },
): void {
  const { server, machines, wires, oracle, sites } = parts;
  const stormy = (): boolean =>
    world.now % (STORM_MS + CALM_MS) > 60_000 && world.now % (STORM_MS + CALM_MS) < STORM_MS;
  let round = 0;
  const slowed = new Set<string>();

  function crashMachine(): void {
    const index = world.draw(machines.length);
    const machine = machines[index];
    if (machine === undefined || !machine.alive) return;
    machine.crash();
    oracle.died(machine);
    wires[index]?.crash(world.chance(40));
    world.after(500 + world.draw(world.chance(30) ? 300_000 : 5000), () => machine.start());
  }

  function cut(): void {
    const both = world.chance(70);
    const up = both || world.chance(50);
    const down = both || !up;
    const count = world.chance(20) ? machines.length : 1 + world.draw(3);
    const ms = world.chance(50) ? world.draw(8000) : world.draw(400_000);
    for (let i = 0; i < count; i++) {
      const index = world.draw(machines.length);
      const wire = wires[index];
      if (wire === undefined) continue;
      wire.cut(up, down);
      oracle.note(`m${index}/0 cut off${both ? "" : up ? " towards the server" : " from the server"} for ${ms} ms`);
      world.after(ms, wire.heal);
    }
  }

  function crashServer(): void {
    if (!server.up) return;
    oracle.note("the server dies");
    server.crash();
    world.after(200 + world.draw(world.chance(20) ? 240_000 : 8000), () => {
      server.start();
      oracle.note("the server is restored");
    });
  }

  function reload(): void {
    const { rules, moved } = redrawRules(world, server.rules, ++round);
    server.reload(rules);
    oracle.reloaded(moved);
  }

  function suspend(): void {
    const site = sites[world.draw(12)] ?? "";
    const publicId = PUBLIC_IDS[world.draw(PUBLIC_IDS.length)] ?? 1;
    server.suspend(site, publicId, true);
    oracle.suspended(site, publicId, true);
    world.after(5000 + world.draw(120_000), () => {
      server.suspend(site, publicId, false);
      oracle.suspended(site, publicId, false);
    });
  }

  /** Others than those that are suspended, each for itself. */
  function slow(): void {
    const site = sites[12 + world.draw(12)] ?? "";
    const publicId = PUBLIC_IDS[world.draw(PUBLIC_IDS.length)] ?? 1;
    if (slowed.has(`${site}|${publicId}`)) return;
    slowed.add(`${site}|${publicId}`);
    const connections = 1 + world.draw(20);
    server.slow(site, publicId, connections);
    oracle.slowed(site, publicId, connections);
    world.after(20_000 + world.draw(400_000), () => {
      slowed.delete(`${site}|${publicId}`);
      server.slow(site, publicId, 0);
      oracle.slowed(site, publicId, 0);
    });
  }

  const faults = [crashMachine, crashMachine, cut, cut, cut, crashServer, reload, suspend, suspend, slow];
  const again = (): void => {
    if (stormy()) faults[world.draw(faults.length)]?.();
    world.after(3000 + world.draw(30_000), again);
  };
  world.after(20_000, again);
}

/** What the wires do with messages under a deliberate mistake. */
function tamperOf(world: World, broken: Break | undefined): Tamper {
  const untouched: Tamper = { toServer: (message) => [message], toClient: (message) => [message] };
  switch (broken) {
    case "share":
      return {
        ...untouched,
        toClient: (m): ServerMessage[] => [m.t === "shares" && m.members > 0 ? { ...m, members: 1 } : m],
      };
    case "until":
      return {
        ...untouched,
        toClient: (m): ServerMessage[] => [m.t === "grant" ? { ...m, until: m.until + 60_000 } : m],
      };
    case "returns":
      return { ...untouched, toServer: (m): ClientMessage[] => (m.t === "return" ? [m, m] : [m]) };
    case "releases":
      return { ...untouched, toServer: (m): ClientMessage[] => (m.t === "release" && world.chance(5) ? [] : [m]) };
    case "revokes":
      return { ...untouched, toClient: (m): ServerMessage[] => (m.t === "revoke" ? [] : [m]) };
    default:
      return untouched;
  }
}
