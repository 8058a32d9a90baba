/**
 * Who waits, and for how long it may. A wake-up is lost when a request waits at a counter that has had room for all of LOST_MS by the oracle's
 * own books. A machine is starved when it waits at a counter, and has no connection there, for longer than the turns of all who contend for
 * it can take. Time counts only while nothing is disturbed: server there, machine connected, not stopped, no new rules.
 */
import type { LaneKey } from "../../src/model/traffic.ts";
import { WINDOWS, windowLimit, windowStart } from "../../src/quota/counter.ts";
import type { Bursts } from "./bursts.ts";
import type { Count, Ledger } from "./ledger.ts";
import type { Machine } from "./machine.ts";
import type { Knows } from "./knows.ts";
import type { Site } from "./plan.ts";
import { HORIZON_MS, type SimServer } from "./server.ts";
import type { World } from "./world.ts";

export interface Waits {
  readonly starved: number;
  readonly lostWakeUps: number;
  asks(machine: Machine, request: object, lane: LaneKey, site: Site): void;
  gone(request: object): void;
  served(machine: number, count: Count): void;
  died(machine: number): void;
  disturbed(): void;
  suspended(site: string, publicId: number, on: boolean): void;
  /** Notes whether the counter is full now. */
  mark(count: Count): void;
  look(): void;
}

interface Waiting {
  readonly machine: number;
  readonly lane: LaneKey;
  readonly site: Site;
  since: number;
}

const LOST_MS = 90_000;
const SMALL = 40;
/** A turn at a connection and its end, with what the wire takes. */
const TURN_MS = 25_000;
/** What a machine that is gone may still use is kept for so long: horizon, the windows that ran at its end. */
const KEPT_MS = HORIZON_MS + 30_000 + 310_000;

export function openWaits(parts: {
  readonly world: World;
  readonly server: SimServer;
  readonly ledger: Ledger;
  readonly knows: readonly Knows[];
  readonly bursts: Bursts;
  readonly tell: (kind: string, about: string, text: string) => void;
}): Waits {
  const { world, server, ledger, knows, bursts, tell } = parts;
  const waiting = new Map<object, Waiting>();
  const stops = new Set<string>();
  /** By machine and counter: waits there since, without a connection. */
  const without = new Map<string, number>();
  let disturbedAt = 0;
  let starved = 0;
  let lostWakeUps = 0;

  const version = (): number => ledger.versions.length - 1;

  function countersOf({ lane, site }: Waiting): Count[] {
    return [...new Set(site.exchangers.map(({ mx, ip }) => ledger.nameOf(version(), lane.publicId, mx, ip)))].map(
      ledger.count,
    );
  }

  /** Machines whose shares are kept though they are not there. */
  function away(): number {
    return knows.filter(
      ({ aloneAt, disturbedAt: at }) => aloneAt !== Number.POSITIVE_INFINITY || world.now - at < 20_000,
    ).length;
  }

  const keptRecently = (): boolean => knows.some(({ disturbedAt: at }) => world.now - at < KEPT_MS);

  function full(count: Count): boolean {
    const limits = ledger.limitsOf(version(), count.rule);
    if (limits === null) return true;
    const at = server.now();
    // While shares of others are kept nobody but the engine knows how much is free: it has to be plenty.
    const part = keptRecently() ? 0.5 * (1 - Math.min(0.9, (away() + 2) / knows.length)) : 0.5;
    if (count.open.size >= (keptRecently() ? Math.floor(limits.connections * part) : limits.connections)) return true;
    if (limits.bytesPerSecond > 0 && count.bytes.count > 0.2 * 60 * limits.bytesPerSecond * part) return true;
    if (!bursts.slack(count, limits, at, part)) return true;
    return WINDOWS.some((w) => {
      const start = windowStart(w, at);
      const limit = windowLimit(limits, w, start);
      if (limit === Number.POSITIVE_INFINITY) return false;
      const made = count.starts[w] === start ? (count.attempts[w] ?? 0) : 0;
      // What was granted to a machine that died counts, and nobody but the engine knows it.
      if (limit < SMALL && keptRecently()) return true;
      return made >= Math.floor(part * limit);
    });
  }

  function mark(count: Count): void {
    if (full(count)) count.fullAt = world.now;
  }

  function sinceOf(one: Waiting): number {
    return Math.max(one.since, disturbedAt, (knows[one.machine] as Knows).disturbedAt);
  }

  function bound(count: Count, contenders: number): number {
    const limits = ledger.limitsOf(version(), count.rule);
    if (limits === null) return Number.POSITIVE_INFINITY;
    const turns = (per: number): number => Math.ceil(contenders / Math.max(1, per)) + 1;
    let ms = 40_000 + turns(limits.connections) * TURN_MS;
    for (const w of WINDOWS) {
      const start = windowStart(w, server.now());
      const limit = windowLimit(limits, w, start);
      if (limit === Number.POSITIVE_INFINITY) continue;
      if (limit < 1) return Number.POSITIVE_INFINITY;
      if (w === 2 && (count.attempts[w] ?? 0) >= 0.5 * limit) return Number.POSITIVE_INFINITY;
      if (w < 2) ms += turns(limit) * (w === 0 ? 60_000 : 300_000);
    }
    if (limits.bytesPerSecond > 0) ms += (contenders * 64_000 * 1000) / limits.bytesPerSecond;
    return ms;
  }

  function lookAtTurns(): void {
    const contending = new Map<Count, Set<number>>();
    for (const one of waiting.values())
      for (const count of countersOf(one)) {
        const machines = contending.get(count) ?? new Set(Array.from(count.open, ({ machine }) => machine));
        contending.set(count, machines.add(one.machine));
      }
    const seen = new Set<string>();
    for (const one of waiting.values()) {
      if (stops.has(`${one.lane.site}|${one.lane.publicId}`)) continue;
      for (const count of countersOf(one)) {
        const key = `${one.machine} ${count.name}`;
        if ([...count.open].some(({ machine }) => machine === one.machine)) continue;
        seen.add(key);
        const since = Math.max(
          without.get(key) ?? world.now,
          sinceOf(one),
          ...knows.map(({ disturbedAt: at }) => at + KEPT_MS),
        );
        without.set(key, Math.min(since, without.get(key) ?? since));
        const most = bound(count, contending.get(count)?.size ?? 1);
        if (world.now - Math.max(since, disturbedAt) <= most) continue;
        starved++;
        tell(
          "starved",
          count.name,
          `machine ${one.machine} waits for ${Math.round((world.now - since) / 1000)} s, bound ${Math.round(most / 1000)} s`,
        );
        without.set(key, world.now);
      }
    }
    for (const key of without.keys()) if (!seen.has(key)) without.delete(key);
  }

  return {
    get starved() {
      return starved;
    },
    get lostWakeUps() {
      return lostWakeUps;
    },
    asks: (machine, request, lane, site) =>
      void waiting.set(request, { machine: machine.index, lane, site, since: world.now }),
    gone: (request) => void waiting.delete(request),
    served: (machine, count) => void without.delete(`${machine} ${count.name}`),
    died(machine) {
      for (const [request, one] of waiting) if (one.machine === machine) waiting.delete(request);
    },
    disturbed: () => void (disturbedAt = world.now),
    suspended(site, publicId, on) {
      if (on) return void stops.add(`${site}|${publicId}`);
      stops.delete(`${site}|${publicId}`);
      for (const one of waiting.values()) if (one.lane.site === site) one.since = world.now;
    },
    mark,
    look() {
      if (!server.up) disturbedAt = world.now;
      for (const count of ledger.counts.values()) mark(count);
      for (const one of waiting.values()) {
        if (stops.has(`${one.lane.site}|${one.lane.publicId}`) || world.now - sinceOf(one) < LOST_MS) continue;
        const free = countersOf(one).find((count) => world.now - count.fullAt > LOST_MS);
        if (free === undefined) continue;
        lostWakeUps++;
        const waited = Math.round((world.now - sinceOf(one)) / 1000);
        tell(
          "lost wake-up",
          free.name,
          `machine ${one.machine} has waited for ${waited} s, room for ${Math.round((world.now - free.fullAt) / 1000)} s`,
        );
        one.since = world.now;
      }
      lookAtTurns();
    },
  };
}
