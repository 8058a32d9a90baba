/**
 * The course of a back-off or of the circuit breaker, for one site × public id, one site or one public id:
 *
 *     limits | stop ──until──▶ probe ──good──▶ ramp 1/16 ─▶ 1/8 ─▶ 1/4 ─▶ 1/2 ──▶ over
 *            ▲                   │ bad          │ bad
 *            └── twice as long ──┴──────────────┘
 *
 * `limits`: a second, lower set of limits. `stop`: nothing goes. `probe`: half open; a few messages over one connection, then nothing until
 * their results are in (what is not heard of in PROBE_MS is tried again). `ramp`: a share of the limits, doubled after each step that went
 * well. What may go at each stage is allowance.ts. A probe or ramp without any mail to send ends too, later: nothing here lasts for ever unless the site goes on saying no.
 */
import type { Remedy } from "../../model/reply-rules.ts";
import type { Limits } from "../../model/traffic.ts";
import type { Measure } from "../contract.ts";
import { type Meter, createMeter, spend } from "./meter.ts";

export interface Course {
  /** `suspension`: the ramp after one; it goes by time alone, the other measures watch over what comes back. */
  readonly kind: "back-off" | "breaker" | "suspension";
  /** '' for all sites (of a suspension also a mask), null for all public ids. */
  readonly site: string;
  readonly publicId: number | null;
  readonly by: string;
  reason: string;
  readonly remedy: Remedy;
  /** Messages an hour that went before it began: what a share is of where the rule has no limit. */
  readonly base: number;
  /** Matching replies in one step of the ramp that send it back. */
  readonly need: number;
  stage: Measure["stage"];
  since: number;
  /** When the stage, or the step of the ramp, began. */
  stageAt: number;
  /** When the stage ends by itself. */
  until: number;
  /** How many probes and ramps went badly. */
  tries: number;
  step: number;
  /** Messages of the probe that were granted, and when their results are no longer waited for; 0: none was. */
  granted: number;
  probeUntil: number;
  accepted: number;
  errors: number;
  matched: number;
  readonly hour: Meter;
  readonly minute: Meter;
  /** Tightened limits by those of the rule, as long as the stage lasts. */
  tight: WeakMap<Limits, Limits>;
}

export const RAMP_STEPS = 4;
/** Results of a probe's messages are waited for so long: the answer to a final dot may take ten minutes (RFC 5321 §4.5.3.2.6). */
export const PROBE_MS = 660_000;
/** A probe that nobody has mail for is left after it, a step of a ramp after IDLE_STEP_MS. */
export const IDLE_PROBE_MS = 86_400_000;
export const IDLE_STEP_MS = 3_600_000;
/** Results of a step below which a share of errors says nothing. */
const FEW = 10;

export function beginCourse(
  parts: Pick<Course, "kind" | "site" | "publicId" | "by" | "reason" | "remedy" | "base" | "need">,
  tries: number,
  now: number,
): Course {
  const course: Course = {
    ...parts,
    stage: "stop",
    since: now,
    stageAt: now,
    until: 0,
    tries,
    step: 0,
    granted: 0,
    probeUntil: 0,
    accepted: 0,
    errors: 0,
    matched: 0,
    hour: createMeter(),
    minute: createMeter(),
    tight: new WeakMap(),
  };
  close(course, now);
  return course;
}

function enter(course: Course, stage: Course["stage"], until: number, now: number): void {
  Object.assign(course, { stage, until, stageAt: now, granted: 0, probeUntil: 0, accepted: 0, errors: 0, matched: 0 });
  Object.assign(course, { hour: createMeter(), minute: createMeter(), tight: new WeakMap() });
}

function close(course: Course, now: number): void {
  const { action, durationMs, mostMs } = course.remedy;
  const ms = Math.min(durationMs * 2 ** Math.min(course.tries, 20), Math.max(mostMs, durationMs));
  course.step = 0;
  enter(course, action === "limits" ? "limits" : "stop", now + ms, now);
}

/** The probe or the ramp was bad: closed again, for longer. */
export function sendBack(course: Course, now: number): true {
  course.tries++;
  close(course, now);
  return true;
}

/** Straight to the ramp: the probe was good, or somebody lifts the measure. */
export function startRamp(course: Course, now: number): true {
  course.step = 0;
  enter(course, "ramp", now + Math.max(IDLE_STEP_MS, course.remedy.stepMs), now);
  return true;
}

/** Results of messages in its scope. True when the stage changed. `errorShare` is the breaker's. */
export function observeCourse(
  course: Course,
  results: { readonly accepted: number; readonly errors: number; readonly matched: number },
  errorShare: number,
  now: number,
): boolean {
  if (course.stage !== "probe" && course.stage !== "ramp") return false;
  course.accepted += results.accepted;
  course.errors += results.errors;
  course.matched += results.matched;
  const tried = course.accepted + course.errors;
  if (course.stage === "ramp") {
    const bad = course.matched >= course.need || (tried >= FEW && course.errors >= errorShare * tried);
    return bad && sendBack(course, now);
  }
  if (course.matched > 0) return sendBack(course, now);
  if (tried < course.remedy.probe) return false;
  return course.accepted > 0 ? startRamp(course, now) : sendBack(course, now);
}

/** When something happens by itself, and when a used up period ends. */
export function courseNextAt(course: Course): number {
  const { stage, stageAt, until, probeUntil, hour, minute } = course;
  const full = Math.min(hour.fullUntil || Infinity, minute.fullUntil || Infinity);
  if (stage === "probe") return Math.min(until, probeUntil || Infinity);
  if (stage === "ramp" && goesWell(course)) return Math.min(full, stageAt + course.remedy.stepMs);
  return Math.min(full, until);
}

/** `over` ends it; `changed` has another stage or a new period. */
export function tickCourse(course: Course, now: number): "over" | "changed" | "same" {
  let changed = false;
  for (const meter of [course.hour, course.minute]) {
    if (meter.fullUntil === 0 || meter.fullUntil > now) continue;
    meter.fullUntil = 0;
    changed = true;
  }
  if (course.stage === "probe") changed = tickProbe(course, now) || changed;
  else if (course.stage === "ramp") {
    const good = goesWell(course) && now >= course.stageAt + course.remedy.stepMs;
    if (good || now >= course.until) {
      course.step++;
      if (course.step >= RAMP_STEPS) return "over";
      enter(course, "ramp", now + Math.max(IDLE_STEP_MS, course.remedy.stepMs), now);
      changed = true;
    }
  } else if (now >= course.until) {
    enter(course, "probe", now + IDLE_PROBE_MS, now);
    changed = true;
  }
  return changed ? "changed" : "same";
}

function goesWell(course: Course): boolean {
  return course.accepted > 0 || course.kind === "suspension";
}

function tickProbe(course: Course, now: number): boolean {
  const waited = course.probeUntil > 0 && now >= course.probeUntil;
  if (waited && course.accepted > 0) return startRamp(course, now);
  if (waited && course.errors > 0) return sendBack(course, now);
  if (now >= course.until) return startRamp(course, now);
  if (!waited) return false;
  course.granted = 0;
  course.probeUntil = 0;
  return true;
}

export function grantCourse(course: Course, messages: number, now: number): void {
  if (course.stage === "probe") {
    course.granted = Math.max(0, course.granted + messages);
    if (messages > 0) course.probeUntil = now + PROBE_MS;
    if (course.granted === 0 && course.accepted + course.errors === 0) course.probeUntil = 0;
  } else if (course.stage !== "stop") {
    spend(course.hour, messages, now);
    spend(course.minute, messages, now);
  }
}

/** The clock was set by `delta` and says `now`: what is left of every time stays as it is. */
export function shiftCourse(course: Course, delta: number, now: number): void {
  course.since = Math.max(1, course.since + delta);
  course.stageAt = Math.max(1, course.stageAt + delta);
  course.until = Math.max(1, course.until + delta);
  if (course.probeUntil > 0) course.probeUntil = Math.max(1, course.probeUntil + delta);
  for (const meter of [course.hour, course.minute]) {
    const running = meter.at === now - delta - ((now - delta) % meter.ms);
    meter.at = running ? now - (now % meter.ms) : 0;
    if (meter.fullUntil > 0) meter.fullUntil = now;
    meter.pace.turnAt = Math.max(0, meter.pace.turnAt + delta);
  }
}
