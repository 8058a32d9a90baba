/**
 * From a recipient domain to its lane: resolve the site, choose the outgoing IP (`affinities.ts`), hand the message over. Domains on the
 * same exchangers share a site and so its lanes, sessions and limits. What waits for DNS waits here, per domain. When an IP is
 * held for a site or cannot reach it, what waits there moves to another IP of the affinity; when it is free again, mail comes back.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { MtaSettings } from "../config/settings.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import { plainSite } from "../model/site-mark.ts";
import type { LaneKey, LaneReport, Traffic } from "../model/traffic.ts";
import { openAffinities } from "./affinities.ts";
import type { Held } from "./held.ts";
import type { Lane } from "./lane-contract.ts";
import { type LanePath, laneName, openLaneTable } from "./lane-table.ts";
import type { Resolver, Route } from "./resolver.ts";
import type { TlsPolicies } from "./tls-policy.ts";
import type { SiteRoute, TlsPolicy } from "./tls-policy/contract.ts";

export interface Sites {
  /** Places messages in their lanes, then lets the lanes run. */
  place(messages: readonly Held[]): void;
  /** Another IP of its affinity takes a message of `from`; false: none is usable. */
  elsewhere(held: Held, from: Lane): boolean;
  /** A lane is of no use now, or is again. */
  turned(lane: Lane): void;
  /** Domains of which no lane of this affinity takes more; their parts need not be claimed. */
  saturatedDomains(affinity: string, urgent: boolean): string[];
  /** Nothing enters a lane any more: what comes goes back. */
  close(): void;
  readonly lanes: Iterable<Lane>;
  /** Of which it is known where their mail goes. */
  readonly knownDomains: number;
  path(key: LaneKey): LanePath | undefined;
  /** What waits here and in the lanes, for what. */
  reports(): LaneReport[];
  /** Called every second: forgets what nothing is said of any more. */
  sweep(): void;
}

export interface SitesDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: Pick<MtaSettings, "affinities">;
  readonly resolver: Resolver;
  readonly traffic: Pick<Traffic, "onChange">;
  /** null: what a domain asks of TLS is not looked up. */
  readonly policies: Pick<TlsPolicies, "policyOf" | "refuse"> | null;
  openLane(key: LaneKey, blockedSince: number): Lane;
  /** The lane is closed: there are too many that only wait. */
  gone(lane: Lane): void;
  giveBack(held: Held, notBefore: number): void;
  /** For what never reaches a lane: unroutable, or DNS failing. */
  finish(held: Held, outcome: Outcome): void;
  /** See lane-table.ts. */
  readonly mostStanding?: number;
}

/** How long a domain's lane is known without asking the resolver (which has the true cache). */
const KNOWN_MS = 30_000;
const KNOWN_MOST = 50_000;
const FORGET_MS = 60_000;
/** Messages that no IP may carry come back after so long: the settings may have changed. */
const HOMELESS_MS = 60_000;
/** Domains waiting for DNS that are told by name. */
const TOLD = 200;

/** Where a domain's mail goes and under which policy, or what its messages are told. */
type Found =
  | { readonly route: SiteRoute; readonly policy: TlsPolicy | null }
  | { readonly route: null; readonly why: Outcome };

interface Known {
  readonly route: SiteRoute;
  readonly policy: TlsPolicy | null;
  readonly until: number;
}

interface Asked {
  readonly since: number;
  readonly messages: Held[];
  /** The exchangers are known, their policy is being looked up. */
  routed: boolean;
}

export function openSites(deps: SitesDeps): Sites {
  const { clock, log, settings, resolver } = deps;
  const table = openLaneTable({
    clock,
    openLane: deps.openLane,
    gone(lane) {
      void lane.close(AbortSignal.abort());
      affinities.changed();
      deps.gone(lane);
    },
    ...(deps.mostStanding !== undefined && { mostStanding: deps.mostStanding }),
  });
  const affinities = openAffinities(settings.affinities, (site, ip) => table.get(site, ip)?.usable !== false);
  const known = new Map<string, Known>();
  const waiting = new Map<string, Asked>();
  /** Lanes that were given something outside `place`. */
  const touchedLater = new Set<Lane>();
  let complainedAt = Number.NEGATIVE_INFINITY;
  let forgetAt = 0;
  let closed = false;

  deps.traffic.onChange(({ site, publicId }) => {
    const plain = plainSite(site);
    for (const lane of table.ofSite(plain)) if (lane.key.publicId === publicId) lane.turned();
  });

  function enter(held: Held, { route, policy }: Omit<Known, "until">, touched: Set<Lane>): void {
    if (closed) return deps.giveBack(held, 0);
    const ip = affinities.choose(held.part.delivery.affinity, held.domain, route.site);
    if (ip === null) return homeless(held);
    const lane = table.lane({ route, ip, policy });
    lane.enqueue(held);
    touched.add(lane);
  }

  /** Never from an IP that was not meant for it: reputations are kept apart on purpose. */
  function homeless(held: Held): void {
    const { affinity, id } = held.part.delivery;
    deps.giveBack(held, clock.now() + HOMELESS_MS);
    const now = clock.monotonic();
    if (now - complainedAt < HOMELESS_MS) return;
    complainedAt = now;
    const fields = { affinity, delivery: id, domain: held.domain };
    if (affinities.knows(affinity))
      log.error(fields, "no IP of the affinity may send to this domain: messages are held");
    else log.error(fields, "the affinity is not in the settings any more: its deliveries are held");
  }

  function ask(domain: string): void {
    void find(domain).then((found) => {
      const messages = waiting.get(domain)?.messages ?? [];
      waiting.delete(domain);
      if (found.route === null) {
        for (const held of messages) deps.finish(held, found.why);
        return;
      }
      const touched = new Set<Lane>();
      if (known.size >= KNOWN_MOST) known.clear();
      known.set(domain, { ...found, until: clock.monotonic() + KNOWN_MS });
      for (const held of messages) enter(held, found, touched);
      for (const lane of touched) lane.pump();
    });
  }

  async function find(domain: string): Promise<Found> {
    const route = await resolver.route(domain);
    if (route.kind !== "site") return { route: null, why: noRoute(route) };
    const { policies } = deps;
    if (policies === null) return { route, policy: null };
    const asked = waiting.get(domain);
    if (asked !== undefined) asked.routed = true;
    const policy = await policies.policyOf(domain, route);
    if (policy.refusal !== null) return { route: null, why: policies.refuse(policy.refusal, {}) };
    return { route: policy.route, policy };
  }

  function pumpLater(lane: Lane): void {
    touchedLater.add(lane);
    if (touchedLater.size > 1) return;
    setImmediate(() => {
      const lanes = [...touchedLater];
      touchedLater.clear();
      for (const each of lanes) each.pump();
    });
  }

  function full(urgent: boolean): Map<string, Set<string>> {
    const bySite = new Map<string, Set<string>>();
    for (const lane of table.all) {
      if (!(urgent ? lane.shut : lane.saturated)) continue;
      const names = bySite.get(lane.key.site);
      if (names === undefined) bySite.set(lane.key.site, new Set([laneName(lane.key)]));
      else names.add(laneName(lane.key));
    }
    return bySite;
  }

  return {
    place(messages) {
      const now = clock.monotonic();
      const touched = new Set<Lane>();
      for (const held of messages) {
        const there = known.get(held.domain);
        if (there !== undefined && there.until > now) enter(held, there, touched);
        else {
          const asked = waiting.get(held.domain);
          if (asked !== undefined) asked.messages.push(held);
          else {
            waiting.set(held.domain, { since: clock.now(), messages: [held], routed: false });
            ask(held.domain);
          }
        }
      }
      for (const lane of touched) lane.pump();
    },
    elsewhere(held, from) {
      const { affinity } = held.part.delivery;
      const path = table.path(from.key);
      const others = affinities.allowed(affinity, held.domain).length;
      if (closed || path === undefined || others < 2 || held.passed >= others) return false;
      affinities.changed();
      const ip = affinities.choose(affinity, held.domain, from.key.site);
      const to = ip === null ? from : table.lane({ ...path, ip });
      if (to === from || !to.usable) return false;
      to.enqueue(held);
      pumpLater(to);
      return true;
    },
    turned(lane) {
      affinities.changed();
      if (!lane.usable) lane.moveOn();
      else for (const other of table.ofSite(plainSite(lane.key.site))) if (!other.usable) other.moveOn();
    },
    saturatedDomains(affinity, urgent) {
      const bySite = full(urgent);
      const domains: string[] = [];
      if (bySite.size === 0) return domains;
      for (const [domain, { route }] of known) {
        const names = bySite.get(route.site);
        if (names === undefined) continue;
        // An IP that has no lane to the site yet has room.
        const ips = affinities.allowed(affinity, domain);
        const room = ips.some(
          (ip) => !names.has(laneName({ site: route.site, publicId: ip.publicId, localAddress: ip.address })),
        );
        if (!room && ips.length > 0) domains.push(domain);
      }
      return domains;
    },
    close() {
      closed = true;
    },
    get lanes() {
      return table.all;
    },
    get knownDomains() {
      return known.size;
    },
    path: table.path,
    sweep() {
      table.sweep();
      const now = clock.monotonic();
      if (now < forgetAt) return;
      forgetAt = now + FORGET_MS;
      // One whose lane is there is asked for when parts are claimed (saturatedDomains).
      for (const [domain, { route, until }] of known)
        if (until <= now && table.ofSite(plainSite(route.site)).size === 0) known.delete(domain);
    },
    reports() {
      const told: LaneReport[] = [];
      for (const lane of table.all) {
        const report = lane.report();
        if (report.waiting + report.inFlight + report.sessions > 0 || report.hold !== null) told.push(report);
      }
      for (const [domain, asked] of waiting.entries().take(TOLD)) told.push(lookingUp(domain, asked));
      return told;
    },
  };
}

function noRoute(route: Exclude<Route, { kind: "site" }>): Outcome {
  return route.kind === "unroutable"
    ? outcome("unroutable", "resolve", { enhanced: route.enhanced, text: route.text })
    : outcome("unreachable", "resolve", { enhanced: "4.4.3", text: route.text });
}

function lookingUp(domain: string, { since, messages, routed }: Asked): LaneReport {
  const hold = routed
    ? ({ kind: "tls-policy", by: "mta", text: "its TLS policy is being looked up", since, until: 0 } as const)
    : ({ kind: "dns", by: "dns", text: "its exchangers are being looked up", since, until: 0 } as const);
  return { site: domain, mx: "", publicId: 0, waiting: messages.length, inFlight: 0, sessions: 0, hold };
}
