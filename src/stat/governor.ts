/**
 * The governor: what stands above the MX rules. Back-off from replies and the circuit breaker (governor/course.ts, fed by trouble.ts), the
 * suspensions of operators (suspensions.ts), the warm-up of new IPs (warm-up.ts). It is asked at every grant, so a path with nothing at
 * work costs a few look-ups. No clock and no timers: time comes in, and one that goes back moves everything with it, so that a clock set
 * wrong for a minute leaves no measure that lasts a year. Whatever happens, nothing it allows is above what the MX rule gives.
 */
import type { StatSettings } from "../config/stat-settings.ts";
import { harmless } from "../model/harmless.ts";
import { pathTest } from "../model/mask.ts";
import type { ReplyRule, ReplyRules } from "../model/reply-rules.ts";
import type { Curb } from "../quota/messages.ts";
import type { Governed, Governor, Measure, Suspension } from "./contract.ts";
import { free, tighter, under } from "./governor/combine.ts";
import {
  type Course,
  courseNextAt,
  grantCourse,
  observeCourse,
  shiftCourse,
  sendBack,
  startRamp,
  tickCourse,
} from "./governor/course.ts";
import { createCourses } from "./governor/courses.ts";
import { courseMeasure, suspensionHold, suspensionMeasure, warmUpMeasure } from "./governor/measures.ts";
import { breakerRemedy } from "./governor/remedies.ts";
import { coursesOf, plainCourse, suspensionsOf } from "./governor/saved.ts";
import { courseCurbs, suspensionCurbs, warmUpCurbs } from "./governor/curbs.ts";
import { createSuspensions } from "./governor/suspensions.ts";
import { type Match, type Where, createTrouble, spanText } from "./governor/trouble.ts";
import { type WarmUpState, createWarmUp } from "./governor/warm-up.ts";

export interface GovernorOptions {
  readonly replyRules: ReplyRules;
  readonly settings: Pick<StatSettings, "breaker" | "warmUp">;
  /** A measure began or says something new (false), or is over: `until` is when (true). For the history; never called for suspensions. */
  readonly record: (measure: Measure, ended: boolean) => void;
}

/** The governor and what only its server asks. */
export interface TrafficGovernor extends Governor {
  setReplyRules(rules: ReplyRules, now: number): void;
  /** What is counted and what is at work stays: plans go on at their day, what the breaker stopped is stopped for as long as it was said. */
  setSettings(settings: GovernorOptions["settings"], now: number): void;
  /** All suspensions in force; those that are gone come back over a ramp. */
  setSuspensions(list: readonly Suspension[], now: number): void;
  /** Somebody ends the back-off and the breaker of exactly this place ('' and null: of all): a ramp follows. How many there were. */
  lift(where: Where, by: string, now: number): number;
  warmUpState(now: number): readonly WarmUpState[];
}

/** A site × public id. */
type Pair = { readonly site: string; readonly publicId: number };
type Which = Parameters<Parameters<Governor["onChange"]>[0]>[0];

/** A time that goes back by less is one that stands still: answers of several clocks, or a clock that is being slewed. */
const BACK_MOST = 60_000;
/** More changes at once than this are told as one for everything. */
const CHANGES_MOST = 50;
/** Courses that machines are told of, for the time without this server: those that were begun last. */
const CURBED_MOST = 2000;
/** Messages an hour a share is taken of where nobody knows what went before. */
const BASE_LEAST = 600;

export function createGovernor(options: GovernorOptions): TrafficGovernor {
  let { breaker } = options.settings;
  let latest = 0;
  let tell: (which: Which) => void = () => {};
  let changes: Which[] = [];
  /** Not later than the next thing a course does by itself. */
  let earliest = Infinity;
  const courses = createCourses(options.record, changed);
  const curbsKnown = new WeakMap<
    Course,
    Pick<Course, "stage" | "stageAt" | "until" | "reason"> & { curbs: readonly Curb[] }
  >();
  const trouble = createTrouble(breaker.windowMs);
  const warmUp = createWarmUp();
  const suspensions = createSuspensions((suspension) =>
    Math.max(BASE_LEAST, trouble.attemptsWhere(pathTest(suspension), latest)),
  );
  trouble.setRules(options.replyRules);
  warmUp.set(options.settings.warmUp, 0);

  /** The time, which does not go back; after a jump back everything has moved. */
  function enter(now: number): number {
    if (!Number.isFinite(now) || now < 0) return latest;
    if (now < latest - BACK_MOST) {
      const delta = now - latest;
      for (const course of everyCourse()) shiftCourse(course, delta, now);
      trouble.shift(delta);
      warmUp.shift(delta, now);
      latest = now;
      dueAnew();
      changes.push(null);
    }
    latest = Math.max(latest, now);
    return latest;
  }

  function flush(): void {
    const told = changes;
    changes = [];
    if (told.length > CHANGES_MOST || told.includes(null)) return told.length > 0 ? tell(null) : undefined;
    const seen = new Set<string>();
    for (const which of told) {
      const key = `${which?.publicId ?? ""}|${which?.site ?? ""}`;
      if (!seen.has(key)) tell(which);
      seen.add(key);
    }
  }

  function changed(where: Where | Course): void {
    if ("stage" in where) due(where);
    const { site, publicId } = where;
    if (site === "" && publicId === null) changes.push(null);
    else changes.push({ ...(site === "" ? {} : { site }), ...(publicId === null ? {} : { publicId }) });
  }

  function* everyCourse(): Generator<Course> {
    yield* courses.every();
    yield* suspensions.ramps();
  }

  /** Something about a course changed: when it next does something by itself. Only a tick looks through all of them. */
  function due(course: Course): void {
    earliest = Math.min(earliest, courseNextAt(course));
  }

  function dueAnew(): void {
    earliest = Infinity;
    for (const course of everyCourse()) due(course);
  }

  /** The same objects as long as the course says the same: of thousands few have changed when the engine asks. */
  function curbsOf(course: Course): readonly Curb[] {
    const { stage, stageAt, until, reason } = course;
    const known = curbsKnown.get(course);
    if (known?.stage === stage && known.stageAt === stageAt && known.until === until && known.reason === reason)
      return known.curbs;
    const curbs = courseCurbs(course);
    curbsKnown.set(course, { stage, stageAt, until, reason, curbs });
    return curbs;
  }

  function baseOf(where: Where, now: number): number {
    return Math.max(BASE_LEAST, trouble.attempts(where, now, 3_600_000).tried);
  }

  /** A rule has reached its threshold. */
  function trigger(rule: ReplyRule, where: Where, reason: string, now: number): void {
    const { remedy } = rule;
    if (remedy === null) return;
    const old = courses.at(where).find(({ kind }) => kind === "back-off");
    const stronger = old === undefined || (old.remedy.action === "limits" && remedy.action !== "limits");
    if (!stronger) {
      // A public id everywhere: only as many sites as it took to stop it send it back.
      if (where.site === "" && (old.stage === "probe" || old.stage === "ramp") && sendBack(old, now))
        badAgain(old, now);
      return;
    }
    const need = Math.ceil(rule.threshold.count / 4);
    courses.begin("back-off", where, { by: rule.id, reason, remedy, base: baseOf(where, now), need }, now);
  }

  function badAgain(course: Course, now: number): void {
    const before = course.reason.replace(/ \(bad again.*\)$/, "");
    course.reason = `${before} (bad again, ${course.tries} times: ${spanText(course.until - now)} more)`;
    options.record(courseMeasure(course), false);
    changed(course);
  }

  /** Results for everything they lie under. */
  function results(of: Pair, parts: { accepted: number; errors: number; matched: number }, now: number): void {
    for (const course of courses.over(of.site, of.publicId)) {
      const { tries } = course;
      // One site alone must not keep a public id from all others.
      const matched = course.site === "" ? 0 : parts.matched;
      const moved = observeCourse(course, { ...parts, matched }, breaker.errors, now);
      due(course);
      if (!moved) continue;
      if (course.tries > tries) badAgain(course, now);
      else changed(course);
    }
  }

  function match(one: Match, now: number): void {
    results(one, { accepted: 0, errors: 0, matched: one.count }, now);
    // In force already: late replies to what was sent before do not make it longer.
    if (courses.over(one.site, one.publicId).some(({ stage }) => stage === "stop")) return;
    for (const { rule, reason, ...where } of trouble.count(one, now)) trigger(rule, where, reason, now);
  }

  function checkBreaker(where: Pair, now: number): void {
    const { tried, errors } = trouble.attempts(where, now, breaker.windowMs);
    if (tried < breaker.messages || errors < breaker.errors * tried - 1e-9) return;
    if (courses.at(where).some(({ kind }) => kind === "breaker")) return;
    const base = baseOf(where, now);
    trouble.forget(where);
    const reason = `${errors} of ${tried} attempts within ${spanText(breaker.windowMs)} were errors`;
    const remedy = breakerRemedy(breaker.stopMs);
    courses.begin(
      "breaker",
      where,
      { by: "circuit breaker", reason, remedy, base, need: Number.MAX_SAFE_INTEGER },
      now,
    );
  }

  function courseNow(now: number): number {
    return Number.isFinite(now) ? Math.max(now, latest) : latest;
  }

  return {
    govern(site, path, limits, now): Governed {
      if (courses.idle && suspensions.idle && !warmUp.has(path.publicId)) return free(limits);
      const time = courseNow(now);
      let governed: Governed = free(limits);
      if (!suspensions.idle) {
        const found = suspensions.at(site, path.mx, path.publicId);
        for (const one of found.suspensions) governed = tighter(governed, { hold: suspensionHold(one), messages: 0 });
        for (const ramp of found.ramps) governed = under(governed, ramp, time);
        if (governed.hold !== null) found.ramps.forEach(due);
      }
      if (!courses.idle) {
        const over = courses.over(site, path.publicId);
        for (const course of over) governed = under(governed, course, time);
        // A period that is used up ends by itself.
        if (governed.hold !== null) over.forEach(due);
      }
      if (warmUp.has(path.publicId)) governed = tighter(governed, warmUp.allow(path.publicId, path.mx, time));
      return governed;
    },
    granted(site, path, messages, now) {
      const time = courseNow(now);
      const value = Number.isFinite(messages) ? Math.trunc(messages) : 0;
      if (value === 0) return;
      const ramps = suspensions.idle ? [] : suspensions.at(site, path.mx, path.publicId).ramps;
      for (const course of [...courses.over(site, path.publicId), ...ramps]) {
        grantCourse(course, value, time);
        due(course);
      }
      warmUp.granted(path.publicId, path.mx, value, time);
    },
    observe(report, replies, now) {
      const time = enter(now);
      const read = trouble.read(report, replies, time);
      for (const one of read.matches) match(one, time);
      for (const { site, publicId, mx, accepted, errors, aborted } of read.results) {
        results({ site, publicId }, { accepted, errors: errors + aborted, matched: 0 }, time);
        const paused = warmUp.observe(publicId, mx, accepted, errors, time);
        if (paused !== null) {
          options.record(warmUpMeasure(paused), false);
          changed({ site: "", publicId });
        }
        checkBreaker({ site, publicId }, time);
      }
      flush();
    },
    nextAt() {
      return Math.min(warmUp.nextAt(), suspensions.nextAt(), earliest);
    },
    tick(now) {
      const time = enter(now);
      if (suspensions.tick(time)) changes.push(null);
      for (const course of everyCourse()) {
        const result = tickCourse(course, time);
        if (result === "same") continue;
        if (course.kind === "suspension") {
          if (result === "over") suspensions.drop(course);
          changes.push(null);
        } else if (result === "over") courses.end(course, time);
        else changed(course);
      }
      dueAnew();
      const { opened, resumed } = warmUp.tick(time);
      for (const publicId of opened) changed({ site: "", publicId });
      for (const state of resumed) options.record({ ...warmUpMeasure(state), until: time }, true);
      flush();
    },
    onChange(fn) {
      tell = fn;
    },
    snapshot: () => ({
      v: 1,
      at: latest,
      courses: [...courses.every()].map(plainCourse),
      trouble: trouble.snapshot(latest),
      warmUp: warmUp.snapshot(),
      suspensions: suspensions.active(),
      ramps: suspensions.ramps().map(plainCourse),
    }),
    restore(snapshot, now) {
      const saved = snapshot as Record<string, unknown> | null;
      if (typeof saved !== "object" || saved?.["v"] !== 1) return void enter(now);
      latest = typeof saved["at"] === "number" && saved["at"] > 0 ? saved["at"] : 0;
      courses.restore(coursesOf(saved["courses"]));
      trouble.restore(saved["trouble"]);
      warmUp.restore(saved["warmUp"]);
      suspensions.restore(
        suspensionsOf(saved["suspensions"]),
        coursesOf(saved["ramps"]).filter(({ kind }) => kind === "suspension"),
      );
      enter(now);
      dueAnew();
      changes = [];
    },
    list(now) {
      const time = courseNow(now);
      return [
        ...suspensions.active().map(suspensionMeasure),
        ...[...everyCourse()].map(courseMeasure),
        ...warmUp
          .states(time)
          .filter(({ planned }) => planned > 0)
          .map(warmUpMeasure),
      ];
    },
    curbs(now) {
      const of = [
        ...suspensions.active().map((one) => suspensionCurbs(one, suspensions.baseOf(one))),
        ...warmUp.holds(courseNow(now)).map(({ state, hold }) => warmUpCurbs(state, hold)),
        ...[...everyCourse()].slice(-CURBED_MOST).map(curbsOf),
      ];
      return of.flat();
    },
    setReplyRules(rules, now) {
      enter(now);
      trouble.setRules(rules);
    },
    setSettings(settings, now) {
      breaker = settings.breaker;
      trouble.setLongest(breaker.windowMs);
      warmUp.set(settings.warmUp, enter(now));
      changes.push(null);
      flush();
    },
    setSuspensions(list, now) {
      if (suspensions.set(list, enter(now))) changes.push(null);
      suspensions.ramps().forEach(due);
      flush();
    },
    lift(where, by, now) {
      const time = enter(now);
      const lifted = courses.at(where).filter((course) => course.stage !== "ramp" && startRamp(course, time));
      for (const course of lifted) {
        course.reason = `${course.reason} (lifted by ${harmless(by, 80)})`;
        options.record(courseMeasure(course), false);
        changed(course);
      }
      flush();
      return lifted.length;
    },
    warmUpState: (now) => warmUp.states(courseNow(now)),
  };
}
