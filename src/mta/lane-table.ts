/** The lanes of an mta, by name and by site. Lanes with nothing to do go: a newsletter meets a hundred thousand sites. */
import type { Clock } from "../base/clock.ts";
import { plainSite } from "../model/site-mark.ts";
import type { LaneKey } from "../model/traffic.ts";
import type { Ip } from "./affinities.ts";
import type { Lane } from "./lane-contract.ts";
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
  ofSite(plain: string): Iterable<Lane>;
  sweep(): void;
}

const SWEEP_MS = 10_000;

export const laneName = (key: Pick<LaneKey, "site" | "publicId" | "localAddress">): string =>
  `${key.site} ${key.publicId} ${key.localAddress}`;

export function openLaneTable(clock: Clock, openLane: (key: LaneKey) => Lane): LaneTable {
  const lanes = new Map<string, { readonly lane: Lane; path: LanePath }>();
  const bySite = new Map<string, Set<Lane>>();
  let sweepAt = 0;

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
      const lane = openLane({
        site: route.site,
        mx: route.exchangers[0]?.name ?? route.site,
        publicId: ip.publicId,
        localAddress: ip.address,
      });
      lanes.set(name, { lane, path });
      const plain = plainSite(route.site);
      const others = bySite.get(plain);
      if (others === undefined) bySite.set(plain, new Set([lane]));
      else others.add(lane);
      return lane;
    },
    path: (key) => lanes.get(laneName(key))?.path,
    ofSite: (plain) => bySite.get(plain) ?? [],
    sweep() {
      const now = clock.monotonic();
      if (now < sweepAt) return;
      sweepAt = now + SWEEP_MS;
      for (const [name, { lane }] of lanes) {
        if (!lane.idle) continue;
        lanes.delete(name);
        const plain = plainSite(lane.key.site);
        const others = bySite.get(plain);
        others?.delete(lane);
        if (others?.size === 0) bySite.delete(plain);
      }
    },
  };
}
