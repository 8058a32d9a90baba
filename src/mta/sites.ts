/**
 * From a recipient domain to its lane: resolve the site, choose the outgoing IP by weight, hand the message over. Domains on the same
 * exchangers share a site and so its lanes, sessions and limits. What waits for DNS waits here, per domain.
 */
import type { Clock } from "../base/clock.ts";
import type { MtaSettings } from "../config/settings.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import type { LaneKey } from "../model/traffic.ts";
import type { Held } from "./held.ts";
import type { Lane } from "./lane-contract.ts";
import type { Resolver, Route } from "./resolver.ts";

export type Ip = MtaSettings["affinities"][number]["ips"][number];
type SiteRoute = Extract<Route, { kind: "site" }>;

/** A lane's way out and its exchangers; what `connect` needs. */
export interface LanePath {
  readonly route: SiteRoute;
  readonly ip: Ip;
}

export interface Sites {
  /** Places messages in their lanes, then lets the lanes run. */
  place(messages: readonly Held[]): void;
  /** Domains of which no lane of this affinity takes more; their parts need not be claimed. */
  saturatedDomains(affinity: string, urgent: boolean): string[];
  /** Nothing enters a lane any more: what comes goes back. */
  close(): void;
  readonly lanes: Iterable<Lane>;
  /** Messages waiting for DNS. */
  readonly resolving: number;
  path(key: LaneKey): LanePath | undefined;
}

export interface SitesDeps {
  readonly clock: Clock;
  readonly settings: MtaSettings;
  readonly resolver: Resolver;
  openLane(key: LaneKey): Lane;
  giveBack(held: Held): void;
  /** For what never reaches a lane: unroutable, or DNS failing. */
  finish(held: Held, outcome: Outcome): void;
}

/** How long a domain's lane is known without asking the resolver (which has the true cache). */
const KNOWN_MS = 30_000;
const KNOWN_MOST = 50_000;

interface Known {
  readonly route: SiteRoute;
  readonly until: number;
}

export function openSites(deps: SitesDeps): Sites {
  const { clock, settings, resolver } = deps;
  const lanes = new Map<string, Lane>();
  const paths = new Map<string, LanePath>();
  const known = new Map<string, Known>();
  const waiting = new Map<string, Held[]>();
  const wheels = new Map<string, { ip: Ip; credit: number }[]>();
  let sweepAt = 0;
  let closed = false;

  const name = (key: LaneKey): string => `${key.site} ${key.publicId} ${key.localAddress}`;

  function laneFor(route: SiteRoute, ip: Ip): Lane {
    const key: LaneKey = {
      site: route.site,
      mx: route.exchangers[0]?.name ?? route.site,
      publicId: ip.publicId,
      localAddress: ip.address,
    };
    let lane = lanes.get(name(key));
    if (lane === undefined) {
      lane = deps.openLane(key);
      lanes.set(name(key), lane);
    }
    // The newest route wins: exchangers may have changed their addresses under the same names.
    paths.set(name(key), { route, ip });
    return lane;
  }

  /** Smooth weighted round robin per site: 5/5/1 gives 45/45/10 % without runs. */
  function chooseIp(affinity: string, site: string): Ip {
    const ips = settings.affinities.find((a) => a.name === affinity)?.ips ?? settings.affinities[0]?.ips ?? [];
    const first = ips[0];
    if (first === undefined) throw new RangeError(`affinity ${affinity} has no IP`);
    if (ips.length === 1) return first;
    const key = `${affinity} ${site}`;
    let wheel = wheels.get(key);
    if (wheel === undefined) {
      wheel = ips.map((ip) => ({ ip, credit: 0 }));
      wheels.set(key, wheel);
    }
    let best = wheel[0] ?? { ip: first, credit: 0 };
    let total = 0;
    for (const spoke of wheel) {
      spoke.credit += spoke.ip.weight;
      total += spoke.ip.weight;
      if (spoke.credit > best.credit) best = spoke;
    }
    best.credit -= total;
    return best.ip;
  }

  function enter(held: Held, route: SiteRoute, touched: Set<Lane>): void {
    if (closed) return deps.giveBack(held);
    const lane = laneFor(route, chooseIp(held.part.delivery.affinity, route.site));
    lane.enqueue(held);
    touched.add(lane);
  }

  function ask(domain: string): void {
    void resolver.route(domain).then((route) => {
      const messages = waiting.get(domain) ?? [];
      waiting.delete(domain);
      const touched = new Set<Lane>();
      if (route.kind === "site") {
        if (known.size >= KNOWN_MOST) known.clear();
        known.set(domain, { route, until: clock.now() + KNOWN_MS });
        for (const held of messages) enter(held, route, touched);
      } else {
        const why =
          route.kind === "unroutable"
            ? outcome("unroutable", "resolve", { enhanced: route.enhanced, text: route.text })
            : outcome("unreachable", "resolve", { enhanced: "4.4.3", text: route.text });
        for (const held of messages) deps.finish(held, why);
      }
      for (const lane of touched) lane.pump();
    });
  }

  /** Lanes with nothing to do go: a newsletter meets a hundred thousand sites. */
  function sweep(now: number): void {
    if (now < sweepAt) return;
    sweepAt = now + 10_000;
    for (const [key, lane] of lanes)
      if (lane.idle) {
        lanes.delete(key);
        paths.delete(key);
        wheels.delete(key);
      }
    if (wheels.size > KNOWN_MOST) wheels.clear();
  }

  return {
    place(messages) {
      const now = clock.now();
      const touched = new Set<Lane>();
      for (const held of messages) {
        const there = known.get(held.domain);
        if (there !== undefined && there.until > now) enter(held, there.route, touched);
        else {
          const queue = waiting.get(held.domain);
          if (queue !== undefined) queue.push(held);
          else {
            waiting.set(held.domain, [held]);
            ask(held.domain);
          }
        }
      }
      for (const lane of touched) lane.pump();
      sweep(now);
    },
    saturatedDomains(affinity, urgent) {
      const ips = settings.affinities.find((a) => a.name === affinity)?.ips ?? [];
      const full = new Map<string, number>();
      for (const lane of lanes.values())
        if (
          (urgent ? lane.shut : lane.saturated) &&
          ips.some((ip) => ip.publicId === lane.key.publicId && ip.address === lane.key.localAddress)
        )
          full.set(lane.key.site, (full.get(lane.key.site) ?? 0) + 1);
      if (full.size === 0) return [];
      const domains: string[] = [];
      // An IP that has no lane to the site yet has room.
      for (const [domain, { route }] of known) if ((full.get(route.site) ?? 0) >= ips.length) domains.push(domain);
      return domains;
    },
    close() {
      closed = true;
    },
    get lanes() {
      return lanes.values();
    },
    get resolving() {
      let count = 0;
      for (const queue of waiting.values()) count += queue.length;
      return count;
    },
    path: (key) => paths.get(name(key)),
  };
}
