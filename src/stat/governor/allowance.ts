/**
 * What may go under a course at its stage (course.ts): tighter limits, and how many messages are left in the running period. Nothing is
 * ever above what the MX rule gives. A course over many sites or public ids (wide) counts the messages of all of them together.
 */
import { ALL_AS_IS, lowered, shareOf } from "../../model/back-off.ts";
import type { Limits } from "../../model/traffic.ts";
import { type Course, RAMP_STEPS } from "./course.ts";
import { leftOfHour, leftOfMinute } from "./meter.ts";

/** What may go under a course. `closedUntil` > 0: nothing, until then. */
export interface Allowance {
  readonly limits: Limits;
  readonly connections: number;
  readonly messages: number;
  readonly closedUntil: number;
}

export function allowCourse(course: Course, limits: Limits, now: number): Allowance {
  if (course.stage === "stop")
    return { limits, connections: 0, messages: 0, closedUntil: Math.max(course.until, now + 1) };
  let tight = course.tight.get(limits);
  if (tight === undefined) course.tight.set(limits, (tight = tighten(course, limits)));
  if (course.stage === "probe") {
    const left = Math.max(0, course.remedy.probe - course.granted);
    const closedUntil = left > 0 ? 0 : Math.max(course.probeUntil, now + 1);
    return { limits: tight, connections: 1, messages: left, closedUntil };
  }
  const wide = isWide(course);
  const perHour =
    course.stage === "ramp" && wide ? shareOf(course.base, rampShare(course.step)) : tight.messagesPerHour;
  const limited = perHour !== limits.messagesPerHour || wide;
  const smooth = limits.pacing === "smooth";
  const ofHour = limited && perHour > 0 ? leftOfHour(course.hour, perHour, smooth, now) : Infinity;
  const perMinute = tight.messagesPerMinute;
  const ofMinute =
    perMinute !== limits.messagesPerMinute ? leftOfMinute(course.minute, perMinute, smooth, now) : Infinity;
  const full = Math.max(ofHour === 0 ? course.hour.fullUntil : 0, ofMinute === 0 ? course.minute.fullUntil : 0);
  return { limits: tight, connections: tight.connections, messages: Math.min(ofHour, ofMinute), closedUntil: full };
}

/** More than one site × public id. */
export function isWide({ site, publicId, kind }: Pick<Course, "site" | "publicId" | "kind">): boolean {
  return site === "" || publicId === null || kind === "suspension";
}

/** Of the limits, at a step of the ramp. */
export function rampShare(step: number): number {
  return 2 ** (step - RAMP_STEPS);
}

function tighten(course: Course, limits: Limits): Limits {
  if (course.stage === "probe") {
    const messagesPerConnection = Math.min(limits.messagesPerConnection, course.remedy.probe);
    return { ...limits, connections: 1, messagesPerConnection };
  }
  const share = { share: rampShare(course.step), value: 0 };
  const second =
    course.stage === "ramp" ? { ...ALL_AS_IS, connections: share, messagesPerHour: share } : course.remedy.limits;
  return lowered(limits, second, course.base);
}
