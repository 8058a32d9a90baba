/**
 * What may go under a course at its stage (course.ts): tighter limits, and how many messages are left in the running period. Nothing is
 * ever above what the MX rule gives. A course over many sites or public ids (wide) counts the messages of all of them together.
 */
import type { BackOffLimits } from "../../model/reply-rules.ts";
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
  const wide = course.site === "" || course.publicId === null || course.kind === "suspension";
  const perHour = course.stage === "ramp" && wide ? shareOf(course.base, rampShare(course)) : tight.messagesPerHour;
  const limited = perHour !== limits.messagesPerHour || wide;
  const smooth = limits.pacing === "smooth";
  const ofHour = limited && perHour > 0 ? leftOfHour(course.hour, perHour, smooth, now) : Infinity;
  const perMinute = tight.messagesPerMinute;
  const ofMinute =
    perMinute !== limits.messagesPerMinute ? leftOfMinute(course.minute, perMinute, smooth, now) : Infinity;
  const full = Math.max(ofHour === 0 ? course.hour.fullUntil : 0, ofMinute === 0 ? course.minute.fullUntil : 0);
  return { limits: tight, connections: tight.connections, messages: Math.min(ofHour, ofMinute), closedUntil: full };
}

function rampShare(course: Course): number {
  return 2 ** (course.step - RAMP_STEPS);
}

function shareOf(normal: number, share: number): number {
  return Math.max(1, Math.floor(normal * share));
}

/** Never above what is given, where that is a limit. */
function tighten(course: Course, limits: Limits): Limits {
  if (course.stage === "probe") {
    const messagesPerConnection = Math.min(limits.messagesPerConnection, course.remedy.probe);
    return { ...limits, connections: 1, messagesPerConnection };
  }
  const share = { share: rampShare(course), value: 0 };
  const asIs = { share: 1, value: 0 };
  const second: BackOffLimits =
    course.stage === "ramp"
      ? { connections: share, messagesPerConnection: asIs, messagesPerMinute: asIs, messagesPerHour: share }
      : course.remedy.limits;
  const lower = (normal: number, amount: BackOffLimits["connections"], base: number): number => {
    if (amount.value > 0) return normal > 0 ? Math.min(normal, amount.value) : amount.value;
    return amount.share >= 1 ? normal : shareOf(normal || base, amount.share);
  };
  return {
    ...limits,
    connections: lower(limits.connections, second.connections, 1),
    messagesPerConnection: lower(limits.messagesPerConnection, second.messagesPerConnection, 1),
    messagesPerMinute: lower(limits.messagesPerMinute, second.messagesPerMinute, course.base / 60),
    messagesPerHour: lower(limits.messagesPerHour, second.messagesPerHour, course.base),
  };
}
