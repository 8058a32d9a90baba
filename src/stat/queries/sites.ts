/** The queries about sites: a page of them, and one with everything that is known. */
import { setImmediate as breathe } from "node:timers/promises";
import { matchRule, type MxRules } from "../../model/mx-rules.ts";
import type { Limits } from "../../model/traffic.ts";
import {
  type LaneAnswer,
  type LimitAnswer,
  type PathAnswer,
  SITE_STATES,
  type SiteAnswer,
  type SitesAnswer,
  type SiteState,
  type SiteSummary,
  errorsOf,
  type Counts,
} from "../../quota/answers.ts";
import type { Governor } from "../contract.ts";
import type { PathLive, Statistics } from "../statistics.ts";
import { siteName } from "../statistics/paths.ts";
import { sumCounts } from "../statistics/ring.ts";
import { type Args, fit, numberArg, numbersArg, textArg, textsArg } from "./fit.ts";
import { countersOf, holdsOf, type Look, measuresOf, type Scene } from "./look.ts";

export interface SitesDeps {
  readonly statistics: Pick<Statistics, "sites" | "sitesBeginning" | "recentSites" | "paths" | "slots" | "totals">;
  readonly governor: Pick<Governor, "govern">;
  rules(): MxRules;
  look(now: number): Look;
  /** How many are connected. */
  members(): number;
}

const PAGE = 200;
/** Sites that are looked at for one answer, at some 20 µs each: a page of a rare state is short rather than slow. */
const SCANNED = 2_000;
/** … and before others have their turn: a grant does not wait for a question. */
const AT_ONCE = 50;
const MOST_PATHS = 200;
const MOST_LIMITS = 40;
const MOST_LANES = 200;
/** A tenth of at least ten tries. */
const MANY_ERRORS = 0.1;
const FEW_TRIES = 10;
const SLOW_MS = 5_000;

export async function answerSites(deps: SitesDeps, args: Args, now: number): Promise<SitesAnswer> {
  const state = textArg(args, "state");
  if (state !== "" && !(SITE_STATES as readonly string[]).includes(state))
    throw new Error(`state is one of ${SITE_STATES.join(", ")}`);
  const limit = Math.max(1, numberArg(args, "limit", 100, PAGE));
  const after = textArg(args, "after");
  const look = deps.look(now);
  if (textArg(args, "order") === "top") return topSites(deps, look, limit, now);
  const names = look.names();
  const found: SiteSummary[] = [];
  let next = "";
  let scanned = 0;
  for (let i = firstAfter(names, after); i < names.length && found.length < limit && scanned < SCANNED; i++) {
    next = names[i]!;
    const summary = summarise(deps, look, next, now);
    if (state === "" || summary.state === state) found.push(summary);
    if (++scanned % AT_ONCE === 0) await breathe();
  }
  const sites = fit(found);
  if (sites.length < found.length) next = sites.at(-1)?.site ?? next;
  return { ...common(deps, now), sites, next: next === names.at(-1) ? "" : next };
}

/** Position of the first name behind `after`. */
function firstAfter(names: readonly string[], after: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle]! <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function common({ statistics, members }: SitesDeps, now: number): Pick<SitesAnswer, "now" | "totals" | "members"> {
  return { now, totals: statistics.totals, members: members() };
}

/** Those with most to do: what a person wants to see first. One page. */
async function topSites(deps: SitesDeps, look: Look, limit: number, now: number): Promise<SitesAnswer> {
  const waiting = [...look.lanesBySite]
    .map(([site, lanes]) => ({ site, waiting: lanes.reduce((sum, lane) => sum + lane.waiting, 0) }))
    .toSorted((a, b) => b.waiting - a.waiting)
    .slice(0, SCANNED / 2);
  const names = new Set([...waiting.map(({ site }) => site), ...deps.statistics.recentSites(SCANNED / 2)]);
  const found: SiteSummary[] = [];
  for (const name of names) {
    found.push(summarise(deps, look, name, now));
    if (found.length % AT_ONCE === 0) await breathe();
  }
  found.sort(
    (a, b) => b.waiting - a.waiting || b.hour.attempts - a.hour.attempts || errorsOf(b.hour) - errorsOf(a.hour),
  );
  return { ...common(deps, now), sites: fit(found.slice(0, limit)), next: "" };
}

function sceneOf(
  site: string,
  lanes: readonly LaneAnswer[],
  paths: readonly PathLive[],
  asked: readonly number[] = [],
): Scene {
  const names = new Set([...site.split(","), ...lanes.map((lane) => lane.mx), ...paths.map((path) => path.mx)]);
  names.delete("");
  const ids = new Set([...asked, ...lanes.map((lane) => lane.publicId), ...paths.map((path) => path.publicId)]);
  return {
    site,
    names: [...names].slice(0, 50),
    publicIds: [...ids].sort((a, b) => a - b),
    ips: new Set(paths.map((path) => path.ip)),
  };
}

function summarise(deps: SitesDeps, look: Look, site: string, now: number, live?: readonly PathLive[]): SiteSummary {
  const paths = live ?? deps.statistics.paths(site, now);
  const lanes = look.lanesBySite.get(site) ?? [];
  const scene = sceneOf(site, lanes, paths);
  const minute = sumCounts(paths.map((path) => path.minute));
  const hour = sumCounts(paths.map((path) => path.hour));
  const sum = (name: "waiting" | "inFlight" | "sessions"): number => lanes.reduce((all, lane) => all + lane[name], 0);
  const last = paths.reduce<PathLive | null>((a, b) => (a === null || b.lastReplyAt > a.lastReplyAt ? b : a), null);
  const [hold = null] = holdsOf(look, scene, deps.rules());
  const waiting = sum("waiting");
  return {
    site,
    mx: lanes[0]?.mx ?? site.split(",", 1)[0]!,
    publicIds: scene.publicIds.slice(0, 100),
    state: stateOf(hold !== null, waiting, minute, hour),
    waiting,
    inFlight: sum("inFlight"),
    sessions: sum("sessions"),
    minute,
    hour,
    lastReply: last?.lastReply ?? "",
    lastReplyAt: last?.lastReplyAt ?? 0,
    hold,
  };
}

function stateOf(held: boolean, waiting: number, minute: Counts, hour: Counts): SiteState {
  if (held) return "held";
  const errors = errorsOf(hour);
  const tries = hour.attempts + hour.refused + hour.timedOut;
  if (tries >= FEW_TRIES && errors / tries >= MANY_ERRORS) return "errors";
  if (hour.attempts > 0 && hour.latencyMs / hour.attempts >= SLOW_MS) return "slow";
  return waiting > 0 && minute.attempts === 0 ? "slow" : "ok";
}

/**
 * `publicIds`: the outgoing IPs that are asked about besides those that have to do with it already. By `site`, or the one that `exchangers` (names in order of preference) are: exactly, else the one that has most of them.
 */
export function answerSite(deps: SitesDeps, args: Args, now: number): SiteAnswer {
  const look = deps.look(now);
  const site = siteOf(deps, look, args);
  const lanes = look.lanesBySite.get(site) ?? [];
  const paths = deps.statistics.paths(site, now);
  const asked = numbersArg(args, "publicIds", 200);
  const scene = sceneOf(site, lanes, paths, asked);
  const measures = measuresOf(look, scene);
  const known = lanes.length + paths.length + measures.filter((measure) => measure.site !== "").length > 0;
  const busiest = paths.toSorted((a, b) => b.hour.attempts - a.hour.attempts || errorsOf(b.hour) - errorsOf(a.hour));
  const shown = fit(
    busiest.slice(0, MOST_PATHS).map((path) => pathAnswer(path, look, deps.rules())),
    80 * 1024,
  );
  return {
    now,
    summary: known ? summarise(deps, look, site, now, paths) : null,
    paths: shown,
    morePaths: paths.length - shown.length,
    limits: fit(limitsOf(deps, scene, busiest, now), 40 * 1024),
    measures: fit(measures, 20 * 1024),
    holds: fit(holdsOf(look, scene, deps.rules()), 20 * 1024),
    lanes: fit(lanes.toSorted((a, b) => b.waiting - a.waiting).slice(0, MOST_LANES), 30 * 1024),
    slots: deps.statistics.slots(site, now),
  };
}

function siteOf(deps: SitesDeps, look: Look, args: Args): string {
  const exchangers = textsArg(args, "exchangers", 50).map((name) => name.toLowerCase());
  if (exchangers.length === 0) {
    const site = textArg(args, "site");
    if (site === "") throw new Error("which site? name it");
    return siteName(site.toLowerCase());
  }
  const whole = siteName(exchangers.join(","));
  const beginning = (first: string): Iterable<string> =>
    new Set([...deps.statistics.sitesBeginning(first), ...(look.byFirst().get(first) ?? [])]);
  for (const site of beginning(exchangers[0]!)) if (site === whole) return whole;
  // An mta leaves out exchangers that have no address, so its name for the site may be a part of ours.
  const asked = new Set(exchangers);
  let best = whole;
  let most = 0;
  for (const first of asked)
    for (const site of beginning(first)) {
      const names = site.split(",");
      if (names.length > most && names.every((name) => asked.has(name))) {
        best = site;
        most = names.length;
      }
    }
  return best;
}

function pathAnswer(path: PathLive, look: Look, rules: MxRules): PathAnswer {
  const { publicId, mx, ip, minute, hour, lastReply, lastReplyAt, site } = path;
  const scene: Scene = { site, names: [mx], publicIds: [publicId], ips: new Set([ip]) };
  const own = countersOf(look, scene, rules).find((counter) => counter.ip === ip);
  return { publicId, mx, ip, connections: own?.connections ?? null, minute, hour, lastReply, lastReplyAt };
}

function limitsOf(deps: SitesDeps, scene: Scene, paths: readonly PathLive[], now: number): LimitAnswer[] {
  const met = paths.map(({ publicId, mx, ip }) => ({ publicId, mx, ip }));
  const ids = scene.publicIds.length > 0 ? scene.publicIds : [0];
  // What was not connected to yet: its exchangers by name.
  const unmet = ids
    .filter((id) => !met.some(({ publicId }) => publicId === id))
    .flatMap((publicId) =>
      (met.length > 0 ? scene.names.slice(0, 1) : scene.names).map((mx) => ({ publicId, mx, ip: "" })),
    );
  const room = MOST_LIMITS - Math.min(unmet.length, MOST_LIMITS / 2);
  return [...met.slice(0, room), ...unmet]
    .slice(0, MOST_LIMITS)
    .map((path) => limitAnswer(deps, scene.site, path, now));
}

/** The rule for a path, and what governs it now. */
export function limitAnswer(
  { rules, governor }: Pick<SitesDeps, "rules" | "governor">,
  site: string,
  path: { readonly publicId: number; readonly mx: string; readonly ip: string },
  now: number,
): LimitAnswer {
  const rule = matchRule(rules(), path.mx, path.publicId);
  const governed: { limits: Limits; hold: LimitAnswer["hold"] } = governor.govern(site, path, rule.limits, now);
  return {
    ...path,
    rule: rule.id,
    origin: rule.origin,
    origins: rule.origins as Readonly<Record<string, string>>,
    note: rule.note,
    ruleLimits: rule.limits,
    limits: governed.limits,
    hold: governed.hold,
  };
}
