/**
 * The paths with statistics in memory. Names are a stranger's: a path is only as many octets as they are allowed, and of more paths than `most`
 * the one that was silent longest goes, so a flood of sites costs time and no memory.
 */
import { harmless } from "../../model/harmless.ts";
import { plainSite } from "../../model/site-mark.ts";
import { makeRing, type Ring } from "./ring.ts";

/** The hour is cut into twelve periods (spec modules.md §6.5, 18.3). */
export const PERIODS = 12;
export const PERIOD_MS = 300_000;
const MINUTE_SLOTS = 6;
const MINUTE_SLOT_MS = 10_000;
/** A site is the names of up to 20 exchangers; an index of PostgreSQL takes keys of 2,700 octets. */
const SITE_CHARACTERS = 600;

export interface PathState {
  readonly publicId: number;
  readonly site: string;
  mx: string;
  readonly ip: string;
  readonly hour: Ring;
  readonly minute: Ring;
  lastReply: string;
  lastReplyAt: number;
  seenAt: number;
}

export interface Paths {
  /** The path of a report, made when it is new. */
  get(given: { site: string; publicId: number; mx: string; ip: string }, now: number): PathState;
  all(): Iterable<PathState>;
  sites(): Iterable<string>;
  /** Those whose first exchanger this is. */
  beginning(first: string): Iterable<string>;
  /** Those of a site, by any spelling of it. */
  of(site: string): Iterable<PathState>;
  forgetSilent(before: number): void;
  readonly size: number;
}

/** @param leaving called with a path that is forgotten. */
export function openPaths(most: number, leaving: (path: PathState) => void): Paths {
  /** The one that was silent longest is the first. */
  const paths = new Map<string, PathState>();
  const bySite = new Map<string, Set<PathState>>();
  const byFirst = new Map<string, Set<string>>();

  function forget(key: string, path: PathState): void {
    leaving(path);
    paths.delete(key);
    const group = bySite.get(path.site);
    group?.delete(path);
    if (group?.size !== 0) return;
    bySite.delete(path.site);
    const first = firstOf(path.site);
    const same = byFirst.get(first);
    same?.delete(path.site);
    if (same?.size === 0) byFirst.delete(first);
  }

  function make(site: string, publicId: number, ip: string): PathState {
    const path: PathState = {
      publicId,
      site,
      mx: "",
      ip,
      hour: makeRing(PERIODS, PERIOD_MS),
      minute: makeRing(MINUTE_SLOTS, MINUTE_SLOT_MS),
      lastReply: "",
      lastReplyAt: 0,
      seenAt: 0,
    };
    const group = bySite.get(site);
    if (group !== undefined) {
      group.add(path);
      return path;
    }
    bySite.set(site, new Set([path]));
    const same = byFirst.get(firstOf(site));
    if (same === undefined) byFirst.set(firstOf(site), new Set([site]));
    else same.add(site);
    return path;
  }

  return {
    get(given, now) {
      // Nearly every report is of a known path under a name that was clean: then nothing has to be cleaned (2 instead of 8 µs).
      let key = `${given.publicId} ${given.ip} ${given.site}`;
      let path = paths.get(key);
      if (path === undefined) {
        const site = siteName(given.site);
        const ip = harmless(given.ip, 64);
        const publicId = Number.isInteger(given.publicId) && Math.abs(given.publicId) < 2 ** 31 ? given.publicId : 0;
        key = `${publicId} ${ip} ${site}`;
        path = paths.get(key) ?? make(site, publicId, ip);
      }
      paths.delete(key);
      paths.set(key, path);
      if (path.mx !== given.mx) path.mx = harmless(given.mx, 255);
      path.seenAt = Math.max(path.seenAt, now);
      if (paths.size > most) forget(...paths.entries().next().value!);
      return path;
    },
    all: () => paths.values(),
    sites: () => bySite.keys(),
    beginning: (first) => byFirst.get(first) ?? [],
    of: (site) => bySite.get(siteName(site)) ?? [],
    forgetSilent(before) {
      for (const [key, path] of paths) {
        if (path.seenAt >= before) break;
        forget(key, path);
      }
    },
    get size() {
      return paths.size;
    },
  };
}

export const firstOf = (site: string): string => site.split(",", 1)[0] ?? "";

/** The site as the statistics know it: without the mark of its TLS policy, no longer than an index takes. */
export function siteName(site: string): string {
  return harmless(plainSite(site), SITE_CHARACTERS);
}
