/**
 * What measures leave this process without the server (messages.ts Curb): its share of a second set of limits. Each curb counts for itself
 * all that goes under it here, messages by a pace and connections; so it holds for what the measure is about, however many lanes and
 * counters that is. A curb's messages go evenly whatever the rule's pacing: its periods are the server's, and nobody knows what is left of one.
 */
import { amountOf, lowered } from "../../model/back-off.ts";
import { type PathTest, pathTest } from "../../model/mask.ts";
import type { Limits } from "../../model/traffic.ts";
import type { Curb, GivenBack, ServerMessage } from "../messages.ts";
import { type Pace, giveBackTo, openPace, paced, partPassed, take } from "../pace.ts";

/** A curb and what goes under it. */
export interface Under {
  readonly curb: Curb;
  /** Connections that are open under it, as far as they were counted. */
  conns: number;
}

export interface Curbs {
  readonly idle: boolean;
  tell(message: Extract<ServerMessage, { t: "curbs" }>): void;
  /** The server is lost (server ms). */
  mark(now: number): void;
  /** Those in force for a path. */
  over(site: string, publicId: number, mx: string, now: number): readonly Under[];
  /** The connections of each are counted anew. */
  uncount(): void;
  /** Messages that may go under it of a path with these limits, and with none when to look again. `members`: the share is the part of one of so many. */
  room(
    under: Under,
    limits: Limits,
    members: number,
    now: number,
  ): { readonly messages: number; readonly nextAt: number };
  spend(unders: readonly Under[], messages: number): void;
  back(unders: readonly Under[], back: readonly GivenBack[]): void;
}

interface Known extends Under {
  readonly test: PathTest;
  /** Of the limits an hour and a minute; null: not asked for since the server was lost. */
  paces: readonly [hour: Pace, minute: Pace] | null;
}

const HOUR = 3_600_000;
const MINUTE = 60_000;
/** Paths whose curbs are remembered; then all are forgotten. */
const MOST_PATHS = 20_000;

/** `process`: shifts the turns of this process against those of others (pace.ts partPassed). */
export function openCurbs(process: string): Curbs {
  const all = new Map<string, Known>();
  const paths = new Map<string, readonly Known[]>();
  let markedAt = 0;

  function pacesOf(known: Known): readonly [Pace, Pace] {
    const { curb } = known;
    const at = Math.max(markedAt, curb.from);
    const passed = partPassed(process, curb.id, at);
    return (known.paces ??= [openPace(at, passed), openPace(at, passed)]);
  }

  return {
    get idle() {
      return all.size === 0;
    },
    tell(message) {
      if (message.all) all.clear();
      for (const id of message.over) all.delete(id);
      for (const curb of message.curbs) all.set(curb.id, { curb, test: pathTest(curb), conns: 0, paces: null });
      paths.clear();
    },
    mark(now) {
      markedAt = now;
      for (const known of all.values()) known.paces = null;
    },
    over(site, publicId, mx, now) {
      if (all.size === 0) return [];
      const key = `${publicId} ${mx} ${site}`;
      let here = paths.get(key);
      if (here === undefined) {
        here = [...all.values()].filter(({ test }) => test(site, mx, publicId));
        if (paths.size >= MOST_PATHS) paths.clear();
        paths.set(key, here);
      }
      return here.filter(({ curb }) => curb.from <= now && (curb.until === 0 || now < curb.until));
    },
    uncount() {
      for (const known of all.values()) known.conns = 0;
    },
    room(under, limits, members, now) {
      const { limits: second, base, until } = under.curb;
      const ends = until === 0 ? Number.POSITIVE_INFINITY : until;
      if (second === null) return { messages: 0, nextAt: ends };
      let messages = Number.POSITIVE_INFINITY;
      let opensAt = Number.NEGATIVE_INFINITY;
      const [hour, minute] = pacesOf(under as Known);
      for (const [pace, limit, ms] of [
        [hour, amountOf(second.messagesPerHour, limits.messagesPerHour, base), HOUR],
        [minute, amountOf(second.messagesPerMinute, limits.messagesPerMinute, base / 60), MINUTE],
      ] as const) {
        if (limit === 0) continue;
        const { left, nextAt } = paced(pace, limit / members, ms, now);
        if (left < 1) opensAt = Math.max(opensAt, nextAt);
        messages = Math.min(messages, left);
      }
      return { messages, nextAt: Math.min(opensAt, ends) };
    },
    spend(unders, messages) {
      for (const under of unders) for (const pace of pacesOf(under as Known)) take(pace, messages);
    },
    back(unders, back) {
      for (const under of unders)
        for (const pace of pacesOf(under as Known)) for (const [at, messages] of back) giveBackTo(pace, at, messages);
    },
  };
}

/** What all of them leave of the limits of a rule. */
export function curbed(limits: Limits, unders: readonly Under[]): Limits {
  return unders.reduce(
    (left, { curb }) => (curb.limits === null ? left : lowered(left, curb.limits, curb.base)),
    limits,
  );
}

/** Connections this process may have under a curb: its share, and at least one. */
export function connectionsUnder({ curb }: Under, limits: Limits, members: number): number {
  if (curb.limits === null) return 0;
  return Math.max(1, Math.floor(lowered(limits, curb.limits, curb.base).connections / members));
}
