/** What the governor does, said for people: measures (lists, history) and holds (why nothing moves). */
import { harmless } from "../../model/harmless.ts";
import type { Hold } from "../../model/traffic.ts";
import type { Measure, Suspension } from "../contract.ts";
import { type Course, RAMP_STEPS } from "./course.ts";
import type { WarmUpState } from "./warm-up.ts";

const DAY = 86_400_000;

export function courseMeasure(course: Course): Measure {
  const { kind, site, publicId, stage, by, reason, since, stageAt, until, step } = course;
  // A step that goes well is over earlier than one that nobody has mail for.
  const rampEnd = stageAt + (RAMP_STEPS - step) * course.remedy.stepMs;
  return { kind, site, publicId, stage, by, reason, since, until: stage === "ramp" ? rampEnd : until };
}

export function courseHold(course: Course, until: number): Hold {
  const { kind, stage, by, reason, since } = course;
  const how = {
    stop: "nothing goes",
    limits: "the messages of this period are sent",
    probe: "the probe's messages are sent, their results are waited for",
    ramp: "the messages of this period are sent, more with each step",
  }[stage];
  return { kind: kind === "suspension" ? "suspension" : "back-off", by, text: `${how}: ${reason}`, since, until };
}

export function suspensionMeasure({ site, publicId, by, reason, since, until }: Suspension): Measure {
  return {
    kind: "suspension",
    site,
    publicId,
    stage: "stop",
    by: operator(by),
    reason: harmless(reason),
    since,
    until,
  };
}

export function suspensionHold({ by, reason, since, until }: Suspension): Hold {
  return { kind: "suspension", by: operator(by), text: `suspended: ${harmless(reason)}`, since, until };
}

function operator(by: string): string {
  return `operator ${harmless(by, 80)}`;
}

/** `site` is the mask. */
export function warmUpMeasure(state: WarmUpState): Measure {
  const { publicId, mx, day, days, planned, sent, errors, paused, pausedSince, dayAt } = state;
  const progress = `day ${day} of ${days}: ${sent} of ${planned} messages sent today${errors > 0 ? `, ${errors} errors` : ""}`;
  return {
    kind: "warm-up",
    site: mx,
    publicId,
    stage: paused === "" ? "limits" : "stop",
    by: "warm-up",
    reason: paused === "" ? progress : `${progress}; paused until tomorrow: ${paused}`,
    since: paused === "" ? dayAt : pausedSince,
    until: dayAt + DAY,
  };
}
