/**
 * Warming up new IPs: for each public id and mask over exchanger names a plan of messages a day. A day of the plan is a day on which mail
 * was sent (at least a tenth of what it allows), whatever the calendar says; days are those of UTC. At most a sixth of a day's messages goes
 * in one clock hour, so a newsletter at nine does not use up the day in a minute, and one that takes a morning still counts. When the hour
 * or the day is used up the path is on hold and warm IPs of the affinity take over. Too many errors pause it for the day, and that day does
 * not count. A plan that is taken out of the settings is kept for three days: put in again by then it goes on, later it begins anew.
 */
import type { WarmUpSettings } from "../../config/stat-settings.ts";
import { compileMask } from "../../model/mask.ts";
import type { Hold } from "../../model/traffic.ts";
import { type Counts, countsOf, NOTHING, plainCounts, readCounts } from "./warm-up-counts.ts";

export interface WarmUpState {
  readonly publicId: number;
  readonly mx: string;
  /** Sending day, from 1; days + 1 when the IP is warm. */
  readonly day: number;
  readonly days: number;
  /** Messages of today's plan and how many of them were granted; 0 when warm. */
  readonly planned: number;
  readonly sent: number;
  /** Results of today. */
  readonly accepted: number;
  readonly errors: number;
  /** Why nothing goes until tomorrow, '' when that is not so. */
  readonly paused: string;
  readonly pausedSince: number;
  /** Begin of the day that is counted (UTC). */
  readonly dayAt: number;
}

/** Messages that may go now (Infinity: no warm-up here), or until when not and why. */
export interface WarmUpAllowance {
  readonly messages: number;
  readonly hold: Hold | null;
}

export interface WarmUp {
  set(settings: readonly WarmUpSettings[], now: number): void;
  /** Whether anything of this public id is warmed up. */
  has(publicId: number): boolean;
  allow(publicId: number, mx: string, now: number): WarmUpAllowance;
  granted(publicId: number, mx: string, messages: number, now: number): void;
  /** Results; the state when that paused it. */
  observe(publicId: number, mx: string, accepted: number, errors: number, now: number): WarmUpState | null;
  /** When somebody who was refused may go on; Infinity: nobody was. */
  nextAt(): number;
  /** Public ids that may go on, and the pauses that are over. */
  tick(now: number): { readonly opened: readonly number[]; readonly resumed: readonly WarmUpState[] };
  states(now: number): readonly WarmUpState[];
  /** Each with what keeps everything of it now, or null. */
  holds(now: number): readonly { readonly state: WarmUpState; readonly hold: Hold | null }[];
  /** The clock was set by `delta` and says `now`. */
  shift(delta: number, now: number): void;
  snapshot(): unknown;
  restore(snapshot: unknown): void;
}

interface Entry extends Counts {
  readonly settings: WarmUpSettings;
  readonly matches: (mx: string) => boolean;
  /** Somebody was refused until then; 0: nobody. */
  closedUntil: number;
}

const HOUR = 3_600_000;
const DAY = 86_400_000;
const FREE: WarmUpAllowance = { messages: Infinity, hold: null };
/** Results of a day below which a share of errors says nothing. */
const ENOUGH = 50;
const KNOWN_MOST = 10_000;
/** Plans that are not in the settings any more: long enough to see a mistake, not so long that the next IP of this number is taken for warm. */
const SHELVED_MS = 3 * DAY;
const SHELVED_MOST = 1000;

export function createWarmUp(): WarmUp {
  let entries = new Map<string, Entry>();
  let byId = new Map<number, Entry[]>();
  /** Counts of plans that are not in the settings, by key. */
  const shelf = new Map<string, Counts>();
  /** Of an exchanger: its entry by public id. */
  const known = new Map<string, Entry | null>();

  function find(publicId: number, mx: string): Entry | null {
    const list = byId.get(publicId);
    if (list === undefined) return null;
    const key = `${publicId} ${mx}`;
    let entry = known.get(key);
    if (entry === undefined) {
      entry = list.find(({ matches }) => matches(mx)) ?? null;
      if (known.size >= KNOWN_MOST) known.clear();
      known.set(key, entry);
    }
    return entry;
  }

  /** Pauses that ended since the last tick. */
  let resumed: WarmUpState[] = [];

  function shelve(key: string, counts: Counts): void {
    const [oldest] = shelf.keys();
    if (shelf.size >= SHELVED_MOST && oldest !== undefined) shelf.delete(oldest);
    shelf.set(key, counts);
  }

  /** A new day, a new hour. */
  function turn(entry: Entry, now: number): void {
    const dayAt = startOf(now, DAY);
    const hourAt = startOf(now, HOUR);
    if (dayAt !== entry.dayAt) {
      const plan = planOf(entry);
      if (entry.paused !== "") resumed.push(stateOf(entry));
      if (plan > 0 && entry.sent * 10 >= plan && entry.paused === "") entry.day++;
      Object.assign(entry, { dayAt, sent: 0, accepted: 0, errors: 0, paused: "", pausedSince: 0 });
    }
    if (hourAt !== entry.hourAt) Object.assign(entry, { hourAt, sentInHour: 0 });
  }

  return {
    set(settings, now) {
      const before = entries;
      // A day that is over is judged by the plan it was sent under.
      for (const entry of before.values()) turn(entry, now);
      for (const [key, { dayAt }] of shelf) if (dayAt + SHELVED_MS < now) shelf.delete(key);
      entries = new Map();
      for (const one of settings) {
        const key = `${one.publicId}|${one.mx}`;
        if (entries.has(key)) continue;
        const counts = countsOf(before.get(key) ?? shelf.get(key) ?? NOTHING);
        entries.set(key, { ...counts, settings: one, matches: compileMask(one.mx), closedUntil: 0 });
        shelf.delete(key);
      }
      for (const [key, entry] of before) {
        if (entries.has(key)) continue;
        if (entry.paused !== "") resumed.push(stateOf(entry));
        shelve(key, countsOf(entry));
      }
      byId = Map.groupBy(entries.values(), ({ settings }) => settings.publicId);
      known.clear();
      for (const entry of entries.values()) turn(entry, now);
    },
    has: (publicId) => byId.has(publicId),
    allow(publicId, mx, now) {
      const entry = find(publicId, mx);
      if (entry === null) return FREE;
      turn(entry, now);
      const plan = planOf(entry);
      if (plan === 0) return FREE;
      const allowance = allowanceOf(entry, plan);
      const until = allowance.hold?.until ?? 0;
      if (until > 0) entry.closedUntil = entry.closedUntil === 0 ? until : Math.min(until, entry.closedUntil);
      return allowance;
    },
    granted(publicId, mx, messages, now) {
      const entry = find(publicId, mx);
      if (entry === null) return;
      turn(entry, now);
      entry.sent = Math.max(0, entry.sent + messages);
      entry.sentInHour = Math.max(0, entry.sentInHour + messages);
    },
    observe(publicId, mx, accepted, errors, now) {
      const entry = find(publicId, mx);
      if (entry === null || planOf(entry) === 0) return null;
      turn(entry, now);
      entry.accepted += accepted;
      entry.errors += errors;
      const tried = entry.accepted + entry.errors;
      const bad = tried >= ENOUGH && entry.errors > 0 && entry.errors >= entry.settings.pauseAt * tried;
      if (!bad || entry.paused !== "") return null;
      entry.paused = `${entry.errors} of ${tried} messages were deferred or rejected today`;
      entry.pausedSince = now;
      return stateOf(entry);
    },
    nextAt() {
      if (resumed.length > 0) return 0;
      let next = Infinity;
      for (const entry of entries.values()) {
        const until = entry.paused === "" ? entry.closedUntil : entry.dayAt + DAY;
        if (until > 0) next = Math.min(next, until);
      }
      return next;
    },
    tick(now) {
      const opened: number[] = [];
      for (const entry of entries.values()) {
        turn(entry, now);
        if (entry.closedUntil === 0 || entry.closedUntil > now) continue;
        entry.closedUntil = 0;
        opened.push(entry.settings.publicId);
      }
      const over = resumed;
      resumed = [];
      return { opened: [...opened, ...over.map(({ publicId }) => publicId)], resumed: over };
    },
    states(now) {
      for (const entry of entries.values()) turn(entry, now);
      return [...entries.values()].map(stateOf);
    },
    holds(now) {
      for (const entry of entries.values()) turn(entry, now);
      return [...entries.values()]
        .filter((entry) => planOf(entry) > 0)
        .map((entry) => ({ state: stateOf(entry), hold: allowanceOf(entry, planOf(entry)).hold }));
    },
    shift(delta, now) {
      const before = now - delta;
      for (const entry of entries.values()) {
        if (entry.pausedSince > 0) entry.pausedSince = Math.max(0, entry.pausedSince + delta);
        // The running day and hour go on as those of the new time: what was sent in them stays sent.
        if (entry.dayAt === startOf(before, DAY)) entry.dayAt = startOf(now, DAY);
        if (entry.hourAt === startOf(before, HOUR)) entry.hourAt = startOf(now, HOUR);
        if (entry.closedUntil > 0) entry.closedUntil = now;
      }
    },
    snapshot: () => [...shelf, ...entries].map(([key, counts]) => plainCounts(key, counts)),
    restore(snapshot) {
      if (!Array.isArray(snapshot)) return;
      for (const plain of snapshot as unknown[]) {
        const saved = readCounts(plain);
        if (saved === null) continue;
        const [key, counts] = saved;
        const entry = entries.get(key);
        // A server with other settings led: what it counted is not ours to forget.
        if (entry === undefined) shelve(key, counts);
        else Object.assign(entry, counts);
      }
    },
  };
}

/** 0: warm. */
function planOf({ settings, day }: Entry): number {
  return settings.plan[day] ?? 0;
}

function allowanceOf(entry: Entry, plan: number): WarmUpAllowance {
  const ofDay = entry.paused === "" ? Math.max(0, plan - entry.sent) : 0;
  const ofHour = Math.max(0, hourOf(plan) - entry.sentInHour);
  const messages = Math.min(ofDay, ofHour);
  if (messages > 0) return { messages, hold: null };
  const until = ofDay === 0 ? entry.dayAt + DAY : entry.hourAt + HOUR;
  const { settings, day, paused } = entry;
  const today = `day ${day + 1} of ${settings.plan.length} of the warm-up`;
  const why =
    paused !== ""
      ? `paused until tomorrow: ${paused}`
      : ofDay === 0
        ? `all ${plan} messages of the day are sent`
        : `this hour's ${hourOf(plan)} of ${plan} messages are sent`;
  const since = paused === "" ? (ofDay === 0 ? entry.dayAt : entry.hourAt) : entry.pausedSince;
  const by = `warm-up ${settings.publicId} ${settings.mx}`;
  return { messages: 0, hold: { kind: "warm-up", by, text: `${today}: ${why}`, since, until } };
}

/** Of a day's messages those that may go in one hour. */
export function hourOf(plan: number): number {
  return Math.ceil(plan / 6);
}

function startOf(at: number, ms: number): number {
  return Math.max(0, at - (at % ms));
}

function stateOf(entry: Entry): WarmUpState {
  const { settings, day, sent, accepted, errors, paused, pausedSince, dayAt } = entry;
  const { publicId, mx, plan } = settings;
  return {
    publicId,
    mx,
    day: day + 1,
    days: plan.length,
    planned: planOf(entry),
    sent,
    accepted,
    errors,
    paused,
    pausedSince,
    dayAt,
  };
}
