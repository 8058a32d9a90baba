/**
 * The lanes of an mta, by name and by site. A newsletter meets a hundred thousand sites, so lanes with nothing to do go; and of those that
 * have no message either but stand for something (a parked one waits for the quota, another one rests) only so many are kept: when an IP
 * is suspended, or no statistics server answers, all sites are such. The oldest go first. What waits for them in the database comes with
 * its own time instead of being called, and finds a lane that knows how long its like had been blocked.
 */
import type { Clock } from "../base/clock.ts";
import { plainSite } from "../model/site-mark.ts";
import type { LaneKey } from "../model/traffic.ts";
import type { Ip } from "./affinities.ts";
import type { Lane } from "./lane-contract.ts";
import { openRecent } from "./recent.ts";
import type { SiteRoute, TlsPolicy } from "./tls-policy/contract.ts";

/** A lane's way out and its exchangers; what `connect` needs. */
export interface LanePath {
  readonly route: SiteRoute;
  readonly ip: Ip;
  /** Of the domain that last came this way: those of one lane ask the same. */
  readonly policy: TlsPolicy | null;
}

export interface LaneTable {
  readonly all: Iterable<Lane>;
  get(site: string, ip: Ip): Lane | undefined;
  /** The lane of this way; made when it is not there. The newest route wins: exchangers may have changed under the same names. */
  lane(path: LanePath): Lane;
  path(key: LaneKey): LanePath | undefined;
  /** All of a site, whatever the TLS policy of their domains. */
  ofSite(plain: string): ReadonlySet<Lane>;
  /** Called every second; looks every ten, more often when there are many. */
  sweep(): void;
}

export interface LaneTableDeps {
  readonly clock: Clock;
  /** `blockedSince`: what a lane of this name that had to go said of itself. */
  openLane(key: LaneKey, blockedSince: number): Lane;
  /** The lane had to go although it stood for something; it is to be closed. */
  gone(lane: Lane): void;
  /** Lanes without messages that are kept; default 5,000: about 20 KB each. */
  readonly mostStanding?: number;
}

const SWEEP_MS = 10_000;
const MOST_STANDING = 5_000;
/** Names of those that went, 0.2 KB each. */
const REMEMBERED = 100_000;
const NONE: ReadonlySet<Lane> = new Set();

export const laneName = (key: Pick<LaneKey, "site" | "publicId" | "localAddress">): string =>
  `${key.site} ${key.publicId} ${key.localAddress}`;

export function openLaneTable({ clock, mostStanding = MOST_STANDING, ...deps }: LaneTableDeps): LaneTable {
  const lanes = new Map<string, { readonly lane: Lane; path: LanePath }>();
  const bySite = new Map<string, Set<Lane>>();
  const blocked = openRecent<string, number>(REMEMBERED);
  let sweepAt = 0;

  function remove(name: string, lane: Lane): void {
    lanes.delete(name);
    const plain = plainSite(lane.key.site);
    const others = bySite.get(plain);
    others?.delete(lane);
    if (others?.size === 0) bySite.delete(plain);
  }

  const nameOf = (site: string, ip: Ip): string => laneName({ site, publicId: ip.publicId, localAddress: ip.address });

  return {
    get all() {
      return lanes.values().map(({ lane }) => lane);
    },
    get: (site, ip) => lanes.get(nameOf(site, ip))?.lane,
    lane(path) {
      const { route, ip } = path;
      const name = nameOf(route.site, ip);
      const there = lanes.get(name);
      if (there !== undefined) {
        if (there.path.route !== route || there.path.policy !== path.policy) there.path = path;
        return there.lane;
      }
      const key: LaneKey = {
        site: route.site,
        mx: route.exchangers[0]?.name ?? route.site,
        publicId: ip.publicId,
        localAddress: ip.address,
      };
      const lane = deps.openLane(key, blocked.get(name) ?? 0);
      blocked.delete(name);
      lanes.set(name, { lane, path });
      const plain = plainSite(route.site);
      const others = bySite.get(plain);
      if (others === undefined) bySite.set(plain, new Set([lane]));
      else others.add(lane);
      return lane;
    },
    path: (key) => lanes.get(laneName(key))?.path,
    ofSite: (plain) => bySite.get(plain) ?? NONE,
    sweep() {
      const now = clock.monotonic();
      if (now < sweepAt && lanes.size <= 2 * mostStanding) return;
      sweepAt = now + SWEEP_MS;
      const standing: [name: string, lane: Lane][] = [];
      for (const [name, { lane }] of lanes) {
        if (lane.idle) remove(name, lane);
        else if (lane.standing) standing.push([name, lane]);
      }
      for (const [name, lane] of standing.slice(0, Math.max(0, standing.length - mostStanding))) {
        if (lane.blockedSince > 0) blocked.set(name, lane.blockedSince);
        remove(name, lane);
        deps.gone(lane);
      }
    },
  };
}
