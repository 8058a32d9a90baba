/** What is known about the traffic to a domain: where its mail goes (DNS), what holds that site (statistics server), else what the database knows. */
import { compileMask, compileMasks } from "../../model/mask.ts";
import { plainSite } from "../../model/site-mark.ts";
import type { TrafficFacts, WhyHold } from "../../model/why-facts.ts";
import type { SiteAnswer } from "../../quota/answers.ts";
import type { MtaSettings } from "../../config/settings.ts";
import type { Sql } from "../../db/sql.ts";
import type { Clock } from "../../base/clock.ts";
import { harmless } from "../../model/harmless.ts";
import { listMeasures } from "../../db/measures.ts";
import { activeSuspensions } from "../../db/traffic-holds.ts";
import type { StatAnswers } from "./ask.ts";
import type { FindExchangers } from "./exchangers.ts";

export interface WhyDeps {
  readonly sql: Sql;
  readonly clock: Clock;
  readonly mta: Pick<MtaSettings, "affinities" | "leaseMs">;
  readonly stat: StatAnswers;
  readonly exchangers: FindExchangers;
}

/** Traffic of a domain from some outgoing IPs. */
export interface DomainTraffic {
  readonly domain: string;
  /** Names of the exchangers, [] when the DNS does not say them. */
  readonly exchangers: readonly string[];
  readonly facts: TrafficFacts;
  /** null when no statistics server answers. */
  readonly answer: SiteAnswer | null;
}

const MOST_MEASURES = 100;
/** One that began longer ago and has no end is one of which nobody knows the end. */
const MEASURES_MS = 24 * 3_600_000;

/** `affinity`: of the delivery; '' for all of them. Never rejects for DNS or statistics server. */
export async function trafficOf(deps: WhyDeps, domain: string, affinity: string): Promise<DomainTraffic> {
  const found = await deps.exchangers(domain);
  if (found.kind === "none")
    return { domain, exchangers: [], facts: { kind: "dns", text: harmless(found.text) }, answer: null };
  const publicIds = publicIdsOf(deps.mta, affinity, domain);
  const exchangers = found.names;
  const asked = await deps.stat.siteOf(exchangers, publicIds);
  if (asked.kind !== "answer") {
    const holds = await heldByDatabase(deps, exchangers, publicIds);
    return { domain, exchangers, facts: { kind: "away", text: asked.why, holds }, answer: null };
  }
  const site = asked.data.summary?.site ?? exchangers.join(",");
  const holds = holding([...asked.data.holds, ...shut(asked.data, publicIds)], publicIds);
  return { domain, exchangers, facts: { kind: "known", site, holds }, answer: asked.data };
}

/** Public ids that mail of an affinity to a domain may take; of an affinity this machine does not know, or of none: those of all. */
export function publicIdsOf(
  { affinities }: Pick<MtaSettings, "affinities">,
  affinity: string,
  domain: string,
): number[] {
  const named = affinities.filter(({ name }) => name === affinity);
  const ips = (named.length > 0 ? named : affinities)
    .flatMap((one) => one.ips)
    .filter(
      ({ includeDomains, excludeDomains }) =>
        (includeDomains.length === 0 || compileMasks(includeDomains)(domain)) && !compileMasks(excludeDomains)(domain),
    );
  return [...new Set(ips.map((ip) => ip.publicId))].slice(0, 200);
}

/**
 * What lets nothing go from an outgoing IP to any exchanger that is known, though nobody waits there now: machines give messages back to the
 * database rather than wait for long, and then no lane tells of it.
 */
function shut({ limits, holds }: SiteAnswer, publicIds: readonly number[]): WhyHold[] {
  return publicIds.flatMap((publicId): WhyHold[] => {
    const own = limits.filter((limit) => limit.publicId === publicId);
    const [first] = own.flatMap(({ hold }) => (hold === null ? [] : [hold])).sort((a, b) => endOf(a) - endOf(b));
    if (first === undefined || own.some(({ hold }) => hold === null)) return [];
    const known = holds.some((one) => one.kind === first.kind && (one.publicId === null || one.publicId === publicId));
    return known ? [] : [{ ...first, publicId }];
  });
}

/** 0 stands for no end, which is the latest of all. */
const endOf = ({ until }: { readonly until: number }): number => (until === 0 ? Number.POSITIVE_INFINITY : until);

/** Holds that keep the mail: one of all public ids does, those of single ones do when none of ours is free of them. */
export function holding(holds: readonly WhyHold[], publicIds: readonly number[]): WhyHold[] {
  const ours = holds.filter(({ publicId }) => publicId === null || publicIds.includes(publicId));
  const everywhere = ours.some(({ publicId }) => publicId === null);
  const free = publicIds.some((id) => !ours.some(({ publicId }) => publicId === id));
  return everywhere || !free ? ours : [];
}

/** For when no server answers: suspensions, and the measures that were at work when it last did. */
async function heldByDatabase(
  { sql, clock }: Pick<WhyDeps, "sql" | "clock">,
  exchangers: readonly string[],
  publicIds: readonly number[],
): Promise<WhyHold[]> {
  const site = exchangers.join(",");
  const since = clock.now() - MEASURES_MS;
  const [suspensions, measures] = await Promise.all([
    activeSuspensions(sql),
    listMeasures(sql, { site, since, limit: MOST_MEASURES }),
  ]);
  const suspended = suspensions
    .filter((one) => concerns(one.site, site, exchangers))
    .map((one): WhyHold => ({
      kind: "suspension",
      by: `operator ${harmless(one.by, 100)}`,
      text: `suspended: ${harmless(one.reason)}`,
      since: one.since,
      until: one.until,
      publicId: one.publicId,
    }));
  const measured = measures
    .filter((one) => one.endedAt === 0)
    .map((one): WhyHold => ({
      kind: one.kind === "warm-up" || one.kind === "suspension" ? one.kind : "back-off",
      by: harmless(one.by, 100),
      text: `${one.kind}, when the statistics server was last heard: ${harmless(one.reason)}`,
      since: one.since,
      until: 0,
      publicId: one.publicId,
    }));
  return holding([...suspended, ...measured.filter((one) => one.kind !== "suspension")], publicIds);
}

/** Whether a suspension's site (a name, a mask over exchanger names, '' for all) is for these exchangers. */
export function concerns(mask: string, site: string, exchangers: readonly string[]): boolean {
  const wanted = mask.toLowerCase();
  if (wanted === "" || wanted === plainSite(site)) return true;
  return exchangers.some(compileMask(wanted));
}
