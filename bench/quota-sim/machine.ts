/**
 * A machine with one mta, reduced to what matters for quotas: lanes with a backlog, connections asked for through the real client, messages
 * attempted one after the other. It crashes and starts again; it tells the oracle what it does, at the moment it does it.
 */
import { outcome } from "../../src/model/outcome.ts";
import type { ConnectionGrant, LaneKey } from "../../src/model/traffic.ts";
import { type QuotaClient, openQuotaClient } from "../../src/quota/client.ts";
import type { Link } from "../../src/quota/link-contract.ts";
import type { Site } from "./plan.ts";
import { type World, machineClock } from "./world.ts";

/** What a machine does, as the oracle hears it. `conn` is a number of its own. */
export interface Watcher {
  asks(machine: Machine, request: object, lane: LaneKey, site: Site): void;
  granted(machine: Machine, request: object, conn: number, lane: LaneKey, ip: string, mx: string): void;
  gaveUp(machine: Machine, request: object): void;
  closed(machine: Machine, conn: number): void;
  /** A message that was taken from the grant at `since`. */
  attempted(machine: Machine, lane: LaneKey, ip: string, mx: string, bytes: number, since: number): void;
}

export interface Machine {
  readonly name: string;
  readonly index: number;
  readonly alive: boolean;
  readonly client: QuotaClient | null;
  /** Messages for a lane. */
  load(site: Site, publicId: number, messages: number): void;
  crash(): void;
  start(): void;
  backlog(): number;
}

interface Lane {
  readonly key: LaneKey;
  readonly site: Site;
  backlog: number;
  asked: number;
  open: number;
  /** The most connections it wants. */
  readonly width: number;
}

export function openMachine(
  world: World,
  options: { index: number; link: () => Link; watcher: Watcher; processes: () => string },
): Machine {
  const { index, watcher } = options;
  const name = `m${index}/0`;
  let client: QuotaClient | null = null;
  let clock = machineClock(world, 0, 0);
  let lanes = new Map<string, Lane>();
  let life = 0;
  let conns = 0;
  let stop = new AbortController();
  /** Its disk: it survives a crash. */
  let noted = false;

  const machine: Machine = {
    name,
    index,
    get alive() {
      return client !== null;
    },
    get client() {
      return client;
    },
    load(site, publicId, messages) {
      if (client === null) return;
      const id = `${site.name}|${publicId}`;
      let lane = lanes.get(id);
      if (lane === undefined) {
        const key = { site: site.name, mx: site.exchangers[0]?.mx ?? "", publicId, localAddress: "" };
        lane = { key, site, backlog: 0, asked: 0, open: 0, width: 1 + world.draw(6) };
        lanes.set(id, lane);
      }
      lane.backlog += messages;
      pump(lane);
    },
    crash() {
      life++;
      stop.abort();
      clock.stop();
      client = null;
      lanes = new Map();
    },
    start() {
      life++;
      stop = new AbortController();
      // Off by up to hours, running wrong by up to 200 ppm: no permission may depend on it.
      clock = machineClock(world, world.draw(7_200_000) - 3_600_000, (world.draw(401) - 200) / 1e6);
      const note = { found: noted, set: (on: boolean): void => void (noted = on) };
      client = openQuotaClient({ clock, link: options.link(), process: options.processes(), note });
      client.onChange(() => {});
    },
    backlog: () => [...lanes.values()].reduce((sum, lane) => sum + lane.backlog, 0),
  };

  /** As many connections as the lane wants for what it has. */
  function pump(lane: Lane): void {
    while (client !== null && lane.asked + lane.open < Math.min(lane.width, Math.ceil(lane.backlog / 5))) ask(lane);
  }

  function ask(lane: Lane): void {
    const born = life;
    if (client === null) return;
    lane.asked++;
    const request = {};
    const patience = world.chance(5) ? AbortSignal.any([stop.signal, soon()]) : stop.signal;
    watcher.asks(machine, request, lane.key, lane.site);
    const urgent = world.chance(10);
    void client.connection(lane.key, lane.site.exchangers, urgent, patience).then((grant) => {
      if (born !== life) return;
      lane.asked--;
      if (grant === null) {
        watcher.gaveUp(machine, request);
        world.after(1000, () => born === life && pump(lane));
        return;
      }
      carry(lane, grant, request);
    });
  }

  /** Somebody changes his mind. */
  function soon(): AbortSignal {
    const control = new AbortController();
    world.after(world.draw(5000), () => control.abort());
    return control.signal;
  }

  function carry(lane: Lane, grant: ConnectionGrant, request: object): void {
    const born = life;
    const conn = ++conns;
    const { ip, mx } = grant.exchanger;
    const each = 10 + world.draw(world.chance(20) ? 800 : 120);
    let sent = 0;
    let waiting = false;
    lane.open++;
    watcher.granted(machine, request, conn, lane.key, ip, mx);

    const end = (): void => {
      lane.open--;
      watcher.closed(machine, conn);
      grant.close();
      pump(lane);
    };
    const next = (): void => {
      if (born !== life || waiting) return;
      if (grant.revoked || sent >= grant.limits.messagesPerConnection) return void later(world.draw(100), end);
      if (lane.backlog === 0) return void idle();
      const wanted = Math.min(lane.backlog, 1 + world.draw(5));
      let called = false;
      const got = grant.messages(wanted, () => {
        if (called) return;
        called = true;
        // The mta is called in a turn of its own.
        later(0, () => {
          if (!waiting) return;
          waiting = false;
          next();
        });
      });
      if (got === 0) {
        waiting = !grant.revoked && !called;
        if (!waiting) later(1, next);
        return;
      }
      const unused = world.chance(3) ? world.draw(got + 1) : 0;
      if (unused > 0) grant.unused(unused);
      sent += got - unused;
      lane.backlog -= Math.min(lane.backlog, got - unused);
      send(got - unused, world.now);
    };
    /** One attempt after the other; what is not on its way a moment after its permission goes back. */
    const send = (count: number, since: number): void => {
      if (count === 0) return void later(1, next);
      later(world.draw(each), () => {
        if (world.now - since > FRESH_MS) {
          sent -= count;
          lane.backlog += count;
          grant.unused(count);
          return void later(1, next);
        }
        const bytes = 2000 + world.draw(30_000);
        watcher.attempted(machine, lane.key, ip, mx, bytes, since);
        client?.observe({ publicId: lane.key.publicId, mx, ip, site: lane.key.site }, ACCEPTED, bytes);
        send(count - 1, since);
      });
    };
    const later = (ms: number, fn: () => void): void => {
      world.after(ms, () => {
        if (born === life) fn();
      });
    };
    const idle = (): void =>
      later(world.draw(200) + (world.chance(30) ? 4000 : 0), () =>
        lane.backlog > 0 && !grant.revoked ? next() : end(),
      );

    // To connect takes a while, and sometimes fails.
    later(20 + world.draw(300), () => (world.chance(4) ? end() : next()));
  }

  return machine;
}

/** As the mta's lines keep messages in hand (src/mta/line.ts). */
const FRESH_MS = 250;
const ACCEPTED = outcome("accepted", "dot", { code: 250, text: "250 ok", latencyMs: 30 });
