/**
 * One look at everything that is asked about: lanes by site, measures, counters. Made at most once a second, however many ask, so that
 * questions cost the quotas next to nothing.
 */
import { compileMask } from "../../model/mask.ts";
import { matchRule, type MxRules } from "../../model/mx-rules.ts";
import type { Hold, HoldKind } from "../../model/traffic.ts";
import { byWeight } from "../../model/why.ts";
import type { LaneAnswer, MeasureAnswer, SiteHold } from "../../quota/answers.ts";
import { harmless } from "../../model/harmless.ts";
import type { CounterState, Measure } from "../contract.ts";
import { firstOf, siteName } from "../statistics/paths.ts";

/** What of a site is known before anybody looks at its statistics. */
export interface Look {
  readonly at: number;
  readonly lanesBySite: ReadonlyMap<string, readonly LaneAnswer[]>;
  readonly measures: readonly MeasureAnswer[];
  /** Of each measure, in the same order: whether a site is meant. */
  readonly concerns: readonly ((scene: Scene) => boolean)[];
  readonly counters: readonly CounterState[];
  /** By `counterKey`. */
  byKey(): ReadonlyMap<string, CounterState>;
  /** Names of all sites in order, each once. */
  names(): readonly string[];
  /** Sites of lanes by their first exchanger. */
  byFirst(): ReadonlyMap<string, readonly string[]>;
}

export interface LookedAt {
  readonly lanes: Iterable<LaneAnswer>;
  readonly measures: readonly Measure[];
  readonly counters: readonly CounterState[];
  /** Sites with statistics. */
  sites(): Iterable<string>;
}

export function makeLook(at: number, { lanes, measures, counters, sites }: LookedAt): Look {
  const lanesBySite = Map.groupBy(lanes, (lane) => lane.site);
  const names = once(() => {
    const all = new Set([...sites(), ...lanesBySite.keys()]);
    // Sites that are only suspended are among them: a person asks for them.
    for (const { site } of measures) if (site !== "" && !/[*?]/.test(site)) all.add(siteName(site));
    return [...all].sort();
  });
  return {
    names,
    byFirst: once(() => Map.groupBy(lanesBySite.keys(), firstOf)),
    at,
    lanesBySite,
    measures: measures.map(measureAnswer),
    concerns: measures.map(({ site }) => concerning(site)),
    counters,
    byKey: once(() => new Map(counters.map((one) => [counterKey(one.rule, one.publicId, one.ip), one]))),
  };
}

/** Made when it is first asked for: most questions need neither. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

const counterKey = (rule: string, publicId: number | null, ip: string): string => `${rule}\n${publicId ?? ""}\n${ip}`;

export function measureAnswer({ kind, site, publicId, stage, by, reason, since, until }: Measure): MeasureAnswer {
  return {
    kind,
    site: harmless(site, 600),
    publicId,
    stage,
    by: harmless(by, 100),
    reason: harmless(reason),
    since,
    until,
  };
}

/** A site as rules and measures see it: each exchanger name of it, and each public id that has to do with it. */
export interface Scene {
  readonly site: string;
  readonly names: readonly string[];
  readonly publicIds: readonly number[];
  /** Addresses that were met. */
  readonly ips: ReadonlySet<string>;
}

/** Measures that are for a site: by its name, by a mask over one of its exchangers, or for all. */
export function measuresOf(look: Look, scene: Scene): MeasureAnswer[] {
  return look.measures.filter(
    ({ publicId }, i) =>
      (publicId === null || scene.publicIds.length === 0 || scene.publicIds.includes(publicId)) &&
      look.concerns[i]!(scene),
  );
}

/** Whether a site's name or a mask over exchanger names ('' for all) means a site. */
function concerning(text: string): (scene: Scene) => boolean {
  if (text === "") return () => true;
  if (text.includes(",")) return ({ site }) => site === siteName(text);
  const matches = compileMask(text);
  return ({ site, names }) => site === text || names.some(matches);
}

const KIND: Readonly<Record<string, HoldKind>> = {
  "back-off": "back-off",
  breaker: "back-off",
  suspension: "suspension",
  "warm-up": "warm-up",
};

/** Everything that keeps messages to a site from going now, what matters most first. */
export function holdsOf(look: Look, scene: Scene, rules: MxRules): SiteHold[] {
  const lanes = look.lanesBySite.get(scene.site) ?? [];
  const waiting = lanes.some((lane) => lane.waiting > 0);
  const holds: SiteHold[] = [];
  const told = lanes.flatMap(({ hold, publicId }): SiteHold[] => (hold === null ? [] : [{ ...named(hold), publicId }]));
  const measures = measuresOf(look, scene);
  const stops = measures.filter(({ stage }) => stage === "stop");
  for (const measure of measures) {
    // A second set of limits holds nobody who does not wait, nor whom something else stops.
    if (measure.stage !== "stop" && (!waiting || stops.some(({ publicId }) => fits(publicId, measure.publicId))))
      continue;
    // The lane knows whether it is the hour's portion that is used up, or the day's.
    if (
      measure.kind === "warm-up" &&
      told.some(({ kind, publicId }) => kind === "warm-up" && fits(measure.publicId, publicId))
    )
      continue;
    const { by, since, until, publicId } = measure;
    holds.push({ kind: KIND[measure.kind] ?? "back-off", by, text: measureText(measure), since, until, publicId });
  }
  const same = (kind: HoldKind, publicId: number | null): boolean =>
    holds.some((hold) => hold.kind === kind && (hold.publicId === null || hold.publicId === publicId));
  // What a measure says already is not said again by each lane it holds, nor what a lane says by the counter.
  holds.push(...told.filter(({ kind, publicId }) => !BY_MEASURE.has(kind) || !same(kind, publicId)));
  for (const counter of countersOf(look, scene, rules)) {
    const known = told.some(({ by, publicId }) => by === ruleName(counter) && fits(counter.publicId, publicId));
    // Who waits although there is room waits for something else, if something else is known.
    const elsewhere =
      !isFull(counter) && holds.some(({ publicId }) => publicId === null || fits(counter.publicId, publicId));
    if (counter.waiting > 0 && !known && !elsewhere) holds.push(counterHold(counter));
  }
  return byWeight(unique(holds));
}

const BY_MEASURE: ReadonlySet<HoldKind> = new Set(["back-off", "suspension", "warm-up"]);
const fits = (wide: number | null, one: number | null): boolean => wide === null || wide === one;
const ruleName = ({ rule }: CounterState): string => `rule ${harmless(rule, 100)}`;

/** The engine gives the bare id of a rule as the one who set it. */
function named(hold: Hold): Hold {
  const ofRule = hold.kind === "quota" || hold.kind === "connections";
  return ofRule && hold.by !== "" && !hold.by.startsWith("rule ") ? { ...hold, by: `rule ${hold.by}` } : hold;
}

/** Several machines tell the same: once is enough, and it began with the first of them. */
function unique(holds: readonly SiteHold[]): SiteHold[] {
  const known = new Map<string, SiteHold>();
  for (const hold of holds) {
    const key = `${hold.kind} ${hold.publicId} ${hold.by} ${hold.text}`;
    const same = known.get(key);
    if (same === undefined) known.set(key, hold);
    else known.set(key, { ...same, since: earlier(same.since, hold.since), until: Math.max(same.until, hold.until) });
  }
  return [...known.values()];
}

const earlier = (a: number, b: number): number => (a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b));

const STAGES: Readonly<Record<string, string>> = {
  limits: "lower limits",
  probe: "a few messages try whether it takes mail again",
  ramp: "the limits grow again",
};

function measureText({ kind, stage, reason }: MeasureAnswer): string {
  const what = stage === "stop" ? (kind === "suspension" ? "suspended" : "stopped") : (STAGES[stage] ?? stage);
  return reason === "" ? what : `${what}: ${reason}`;
}

/** The counters that messages to a site are counted by, of whatever scope their rules are. */
export function countersOf(look: Look, scene: Scene, rules: MxRules): CounterState[] {
  const found = new Set<CounterState>();
  const byKey = look.byKey();
  const add = (rule: string, publicId: number | null, ip: string): void => {
    const counter = byKey.get(counterKey(rule, publicId, ip));
    if (counter !== undefined) found.add(counter);
  };
  for (const publicId of scene.publicIds) {
    const ids = new Set(scene.names.map((name) => matchRule(rules, name, publicId).id));
    for (const rule of ids) {
      add(rule, null, "");
      add(rule, publicId, "");
      for (const ip of scene.ips) add(rule, publicId, ip);
    }
  }
  return [...found];
}

const isSpent = ({ periodLimit, spent }: CounterState): boolean => periodLimit > 0 && spent >= periodLimit;
const isFull = (counter: CounterState): boolean => isSpent(counter) || counter.connections >= counter.connectionLimit;

function counterHold(counter: CounterState): SiteHold {
  const { publicId, periodLimit, spent, periodEnd, connections, connectionLimit, waiting } = counter;
  const by = ruleName(counter);
  const spentAll = isSpent(counter);
  const hold: Hold = spentAll
    ? {
        kind: "quota",
        by,
        text: `${spent} of ${periodLimit} messages of this period are used`,
        since: 0,
        until: periodEnd,
      }
    : {
        kind: "connections",
        by,
        text: `${connections} of ${connectionLimit} connections are open and ${waiting} more ${waiting === 1 ? "is" : "are"} asked for`,
        since: 0,
        until: 0,
      };
  return { ...hold, publicId };
}
