/**
 * What a counter of a rule is called, and how its limits fall into windows: the minute, the period of five minutes (a twelfth of the hour;
 * spec modules.md §6.5) and the day, all cut by the server's clock in UTC. Server and client count by the same words.
 */
import type { MxRule } from "../model/mx-rules.ts";
import type { Limits, Scope } from "../model/traffic.ts";

export const MINUTE = 0;
export const PERIOD = 1;
export const DAY = 2;
export type Window = 0 | 1 | 2;
export const WINDOWS: readonly Window[] = [MINUTE, PERIOD, DAY];
export const LENGTHS = [60_000, 300_000, 86_400_000] as const;
const PERIODS = 12;
/** Without a server a member may use its share of a day only in this part of it: it goes on for minutes, not for a day. */
export const DAY_PARTS = 20;

/** `rule|publicId|ip`, with '' for what the scope leaves out. */
export function counterName(
  rule: Pick<MxRule, "id"> & { limits: { scope: Scope } },
  publicId: number,
  ip: string,
): string {
  const { scope } = rule.limits;
  return `${rule.id}|${scope === "rule" ? "" : publicId}|${scope === "path" ? ip : ""}`;
}

/** The parts of a name, or null. A rule's id may hold anything, the others hold no bar. */
export function readCounterName(
  name: string,
): { rule: string; publicId: number | null; ip: string; scope: Scope } | null {
  const last = name.lastIndexOf("|");
  const first = name.lastIndexOf("|", last - 1);
  if (first < 0) return null;
  const id = name.slice(first + 1, last);
  const ip = name.slice(last + 1);
  if (!/^\d{0,10}$/.test(id) || (id === "" && ip !== "")) return null;
  return {
    rule: name.slice(0, first),
    publicId: id === "" ? null : Number(id),
    ip,
    scope: id === "" ? "rule" : ip === "" ? "ip" : "path",
  };
}

export function windowStart(window: Window, at: number): number {
  return at - (at % LENGTHS[window]);
}

export function windowEnd(window: Window, at: number): number {
  return windowStart(window, at) + LENGTHS[window];
}

/** Messages of a window that begins at `start`; Infinity: no limit. What twelve periods do not share evenly goes to the first ones of the hour. */
export function windowLimit(limits: Limits, window: Window, start: number): number {
  if (window === MINUTE) return limits.messagesPerMinute || Number.POSITIVE_INFINITY;
  if (window === DAY) return limits.messagesPerDay || Number.POSITIVE_INFINITY;
  const hour = limits.messagesPerHour;
  if (hour === 0) return Number.POSITIVE_INFINITY;
  const rest = (start / LENGTHS[PERIOD]) % PERIODS < hour % PERIODS ? 1 : 0;
  return Math.floor(hour / PERIODS) + rest;
}
