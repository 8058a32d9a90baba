/**
 * When a delivery will be through, under the limits of now. Two things decide: how fast it goes (its own rate of the last minute), and the sites
 * whose limits allow so many messages an hour and no more. The later of both is the estimate, and it says what it is based on.
 */
import { harmless } from "./harmless.ts";
import type { WhyHold } from "./why-facts.ts";
import { stamp } from "./why-text.ts";

/** Open messages of a delivery that go to one site. */
export interface OpenAtSite {
  readonly site: string;
  readonly open: number;
  /** What its limits allow from all outgoing IPs of the delivery; 0: no limit. */
  readonly perHour: number;
  readonly rule: string;
  /** Nothing at all may go there now; null: something may. */
  readonly stop: WhyHold | null;
}

export interface EtaFacts {
  readonly now: number;
  readonly open: number;
  /** Messages settled a second, over the last minute. */
  readonly rate: number;
  readonly sites: readonly OpenAtSite[];
  /** Why the limits are not known, '' when they are. */
  readonly limitsUnknown: string;
}

export interface Eta {
  /** Epoch ms; 0: not known. */
  readonly at: number;
  /** `rate`: as fast as in the last minute. `limits`: a site's limits decide. `hold`: something stands. `none`: nothing to reckon with. */
  readonly basis: "rate" | "limits" | "hold" | "none";
  readonly text: string;
}

const HOUR_MS = 3_600_000;
/** Further away than this nobody believes an estimate: a hundred years. */
const FAR_MS = 100 * 365 * 24 * HOUR_MS;

export function estimate(facts: EtaFacts): Eta {
  const eta = reckon(facts);
  return eta.at > facts.now + FAR_MS || !Number.isFinite(eta.at) ? { ...eta, at: 0 } : eta;
}

function reckon(facts: EtaFacts): Eta {
  const { now, open, rate, sites, limitsUnknown } = facts;
  if (open <= 0) return { at: 0, basis: "none", text: "nothing is open" };
  const standing = sites.find((site) => site.stop !== null && site.stop.until === 0);
  if (standing?.stop) {
    return {
      at: 0,
      basis: "hold",
      text: `${count(standing.open)} for ${name(standing)} wait without an end: ${standing.stop.text} (${standing.stop.by})`,
    };
  }
  const limited = sites.filter((site) => site.perHour > 0 || site.stop !== null);
  const rest = open - limited.reduce((sum, site) => sum + site.open, 0);
  const atRate = rate > 0 ? now + (Math.max(0, rest) / rate) * 1000 : 0;
  const latest = limited.map((site) => ({ site, at: endOf(site, now, rate) })).toSorted((a, b) => b.at - a.at)[0];
  if (latest !== undefined && (latest.at > atRate || rest <= 0)) return byLimits(latest.site, latest.at);
  if (rate <= 0) return { at: 0, basis: "none", text: "nothing was sent in the last minute" };
  const unknown = limitsUnknown === "" ? "" : `; limits are not known: ${harmless(limitsUnknown)}`;
  return told(atRate, "rate", `${count(open)} at ${round(rate)} a second, the rate of the last minute${unknown}`);
}

/** When the messages of a site are through; without a limit they go at the delivery's rate once its stop is over. */
function endOf({ open, perHour, stop }: OpenAtSite, now: number, rate: number): number {
  const begins = Math.max(now, stop?.until ?? 0);
  if (perHour > 0) return begins + (open / perHour) * HOUR_MS;
  return rate > 0 ? begins + (open / rate) * 1000 : begins;
}

function byLimits(site: OpenAtSite, at: number): Eta {
  const { stop } = site;
  const held = stop === null ? "" : `, not before ${stamp(stop.until)}: ${stop.text} (${stop.by})`;
  const limit =
    site.perHour > 0
      ? ` at ${count(site.perHour)} an hour (rule ${harmless(site.rule, 100)}), if nothing else is sent there`
      : "";
  return told(at, stop === null ? "limits" : "hold", `${count(site.open)} for ${name(site)}${limit}${held}`);
}

const told = (at: number, basis: Eta["basis"], text: string): Eta => ({
  at: Math.round(at),
  basis,
  text,
});

const name = ({ site }: OpenAtSite): string => harmless(site.split(",", 1)[0] ?? "", 100);
const round = (n: number): string => (n >= 10 ? count(Math.round(n)) : String(Math.round(n * 10) / 10));
const count = (n: number): string => Math.round(n).toLocaleString("en");

/** A rule's limits as messages an hour; 0: none. A day's limit is one of every hour of it. */
export function perHourOf(limits: {
  readonly messagesPerMinute: number;
  readonly messagesPerHour: number;
  readonly messagesPerDay: number;
}): number {
  const each = [limits.messagesPerMinute * 60, limits.messagesPerHour, limits.messagesPerDay / 24].filter((n) => n > 0);
  return each.length === 0 ? 0 : Math.min(...each);
}
