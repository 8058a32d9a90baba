/**
 * What each measure leaves to machines that have to go on without this server (quota/messages.ts Curb). What a receiver answers them nobody
 * weighs then, so nothing gets better by itself: behind the end of a stop or of lower limits, and instead of a probe, comes the first step
 * of the ramp, and it stays. A course over many sites or public ids counts them together, as far as a machine can: its own.
 */
import { ALL_AS_IS, shareOf } from "../../model/back-off.ts";
import type { BackOffLimits } from "../../model/reply-rules.ts";
import type { Hold } from "../../model/traffic.ts";
import type { Curb } from "../../quota/messages.ts";
import type { Suspension } from "../contract.ts";
import { isWide, rampShare } from "./allowance.ts";
import { type Course, beginCourse } from "./course.ts";
import { courseHold, suspensionHold } from "./measures.ts";
import { AFTER_SUSPENSION } from "./remedies.ts";
import { SHORT_MS } from "./suspensions.ts";
import { type WarmUpState, hourOf } from "./warm-up.ts";

export function courseCurbs(course: Course): Curb[] {
  const { kind, site, publicId, stage, since, until, base, remedy, step } = course;
  const id = `${kind} ${publicId ?? ""} ${since} ${site}`;
  const place = { site, exact: kind !== "suspension", publicId, base };
  if (stage === "ramp" || stage === "probe")
    return [{ id, ...place, from: 0, until: 0, hold: less(course, 0), limits: rampLimits(course, step) }];
  const limits = stage === "stop" ? null : remedy.limits;
  const hold = limits === null ? courseHold(course, until) : less(course, until);
  return [
    { id, ...place, from: 0, until, hold, limits },
    { id: `after ${id}`, ...place, from: until, until: 0, hold: less(course, 0), limits: rampLimits(course, 0) },
  ];
}

/** `base`: messages an hour that went before. */
export function suspensionCurbs(suspension: Suspension, base: number): Curb[] {
  const { id, site, publicId, by, reason, since, until } = suspension;
  const place = { site, exact: false, publicId, base };
  const stop = { id: `suspension ${id}`, ...place, from: 0, until, hold: suspensionHold(suspension), limits: null };
  if (until === 0 || until - since < SHORT_MS) return [stop];
  const what = { by: `operator ${by}`, reason: `resumed after: ${reason}`, remedy: AFTER_SUSPENSION, base, need: 1 };
  const ramp = beginCourse({ kind: "suspension", site, publicId, ...what }, 0, until);
  const limits = rampLimits(ramp, 0);
  return [stop, { id: `after suspension ${id}`, ...place, from: until, until: 0, hold: less(ramp, 0), limits }];
}

/** `shut`: what keeps everything of it now. Else an hour's part of the day: what is left of either only this server counts. */
export function warmUpCurbs({ publicId, mx, planned }: WarmUpState, shut: Hold | null): Curb[] {
  const anHour = hourOf(planned);
  const place = { site: mx, exact: false, publicId, base: anHour };
  const limits: BackOffLimits = { ...ALL_AS_IS, messagesPerHour: { share: 1, value: anHour } };
  const text = `of ${anHour} messages an hour only a part goes until the statistics server is back`;
  const hold: Hold = { kind: "warm-up", by: `warm-up ${publicId} ${mx}`, text, since: 0, until: 0 };
  const id = `warm-up ${publicId} ${mx}`;
  if (shut === null) return [{ id, ...place, from: 0, until: 0, hold, limits }];
  return [
    { id: `shut ${id}`, ...place, from: 0, until: shut.until, hold: shut, limits: null },
    { id, ...place, from: shut.until, until: 0, hold, limits },
  ];
}

function less(course: Course, until: number): Hold {
  const { kind, by, reason, since } = course;
  const text = `only a part goes until the statistics server is back: ${reason}`;
  return { kind: kind === "suspension" ? "suspension" : "back-off", by, text, since, until };
}

function rampLimits(course: Course, step: number): BackOffLimits {
  const share = rampShare(step);
  return {
    ...ALL_AS_IS,
    connections: { share, value: 0 },
    messagesPerHour: isWide(course) ? { share: 1, value: shareOf(course.base, share) } : { share, value: 0 },
  };
}
