/**
 * Which outgoing IP a message takes: those of its affinity whose masks let its domain pass (exclude after include), and of them, by
 * weight, those that are usable for the site now (spec modules.md §4.6: 5/5/1 is 45/45/10 %, without the first 83/17 %). When none
 * is usable all of them are meant: the message waits. A weight of 0 is a spare: taken when no other is usable.
 */
import type { MtaSettings } from "../config/settings.ts";
import { compileMasks, type Mask } from "../model/mask.ts";
import { openRecent } from "./recent.ts";

export type Affinity = MtaSettings["affinities"][number];
export type Ip = Affinity["ips"][number];

export interface Affinities {
  /** Whether the settings have it. */
  knows(affinity: string): boolean;
  /** The IPs that a domain's mail may take, in the order of the settings; none for an unknown affinity. */
  allowed(affinity: string, domain: string): readonly Ip[];
  /** The next one's turn. null: none is allowed. */
  choose(affinity: string, domain: string, site: string): Ip | null;
  /** Whether IPs are usable may have changed. */
  changed(): void;
}

interface Spoke {
  readonly ip: Ip;
  credit: number;
  turns: boolean;
}

interface Wheel {
  readonly spokes: readonly Spoke[];
  /** Of `changed` when it was last looked which of them are usable. */
  seen: number;
}

interface Known {
  readonly ips: readonly Ip[];
  /** The IPs some mask leaves out, else null: masks need not be asked. */
  readonly masks: readonly { readonly include: Mask | null; readonly exclude: Mask }[] | null;
}

const REMEMBERED = 50_000;

/** @param usable whether anything can go to the site from this IP now. */
export function openAffinities(settings: readonly Affinity[], usable: (site: string, ip: Ip) => boolean): Affinities {
  const known = new Map(settings.map(({ name, ips }) => [name, { ips, masks: masksOf(ips) } satisfies Known]));
  const wheels = openRecent<string, Wheel>(REMEMBERED);
  /** Of affinities with masks, by affinity and domain. */
  const passing = openRecent<string, readonly Ip[]>(REMEMBERED);
  let seen = 1;

  function allowed(affinity: string, domain: string): readonly Ip[] {
    const there = known.get(affinity);
    if (there === undefined) return [];
    const { ips, masks } = there;
    if (masks === null) return ips;
    const name = `${affinity} ${domain}`;
    let found = passing.get(name);
    if (found === undefined) {
      found = ips.filter((_, i) => passes(masks[i], domain));
      passing.set(name, found);
    }
    return found;
  }

  /** Smooth weighted round robin: 5/5/1 without runs. */
  function turn(wheel: Wheel): Ip | null {
    let best: Spoke | undefined;
    let total = 0;
    for (const spoke of wheel.spokes) {
      if (!spoke.turns) continue;
      spoke.credit += spoke.ip.weight;
      total += spoke.ip.weight;
      if (best === undefined || spoke.credit > best.credit) best = spoke;
    }
    if (best === undefined) return null;
    best.credit -= total;
    return best.ip;
  }

  return {
    knows: (affinity) => known.has(affinity),
    allowed,
    choose(affinity, domain, site) {
      const ips = allowed(affinity, domain);
      const [first] = ips;
      if (first === undefined) return null;
      if (ips.length === 1) return first;
      const name = `${affinity} ${site} ${known.get(affinity)?.masks === null ? "" : ips.map(addressOf).join(",")}`;
      let wheel = wheels.get(name);
      if (wheel === undefined) {
        wheel = { spokes: ips.map((ip) => ({ ip, credit: 0, turns: true })), seen: 0 };
        wheels.set(name, wheel);
      }
      if (wheel.seen !== seen) {
        look(wheel.spokes, site, usable);
        wheel.seen = seen;
      }
      return turn(wheel);
    },
    changed() {
      seen++;
    },
  };
}

/** Those that take turns: the usable ones that have a weight; else the usable ones; else those with a weight; else all. */
function look(spokes: readonly Spoke[], site: string, usable: (site: string, ip: Ip) => boolean): void {
  const able = spokes.filter(({ ip }) => usable(site, ip));
  const weighty = (some: readonly Spoke[]): readonly Spoke[] => some.filter(({ ip }) => ip.weight > 0);
  const chosen = [weighty(able), able, weighty(spokes), spokes].find((some) => some.length > 0) ?? spokes;
  for (const spoke of spokes) {
    const turns = chosen.includes(spoke);
    // Whoever comes back neither has saved up turns nor must catch up.
    if (turns !== spoke.turns) spoke.credit = 0;
    spoke.turns = turns;
  }
}

const addressOf = (ip: Ip): string => `${ip.publicId}@${ip.address}`;

function masksOf(ips: readonly Ip[]): Known["masks"] {
  if (ips.every((ip) => ip.includeDomains.length === 0 && ip.excludeDomains.length === 0)) return null;
  return ips.map((ip) => ({
    include: ip.includeDomains.length === 0 ? null : compileMasks(ip.includeDomains),
    exclude: compileMasks(ip.excludeDomains),
  }));
}

function passes(masks: { readonly include: Mask | null; readonly exclude: Mask } | undefined, domain: string): boolean {
  if (masks === undefined) return true;
  return (masks.include === null || masks.include(domain)) && !masks.exclude(domain);
}
