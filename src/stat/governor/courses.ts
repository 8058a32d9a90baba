/**
 * The courses at work (course.ts), found by place: a site × public id, a site ('' for all), a public id (null for all). A place has at most
 * one back-off and one breaker. Their number is bounded: should more be needed, the one that was begun first ends.
 */
import type { Remedy } from "../../model/reply-rules.ts";
import type { Measure } from "../contract.ts";
import { type Course, beginCourse } from "./course.ts";
import { courseMeasure } from "./measures.ts";
import { type Where, keyOf } from "./trouble.ts";

export interface Courses {
  readonly idle: boolean;
  at(where: Where): readonly Course[];
  /** Those a path is under: of its pair, of its site, of its public id. */
  over(site: string, publicId: number): readonly Course[];
  every(): Iterable<Course>;
  /** Takes the place of one of the same kind, whose bad probes count on. */
  begin(kind: "back-off" | "breaker", where: Where, what: CourseStart, now: number): void;
  end(course: Course, now: number): void;
  restore(list: readonly Course[]): void;
}

export interface CourseStart {
  readonly by: string;
  readonly reason: string;
  readonly remedy: Remedy;
  readonly base: number;
  readonly need: number;
}

const COURSES_MOST = 20_000;
const NONE: readonly Course[] = [];

export function createCourses(
  record: (measure: Measure, ended: boolean) => void,
  changed: (where: Where) => void,
): Courses {
  const byPlace = new Map<string, readonly Course[]>();
  let count = 0;

  const at = (key: string): readonly Course[] => byPlace.get(key) ?? NONE;

  function put(course: Course): void {
    const key = keyOf(course);
    byPlace.set(key, [...at(key), course]);
    count++;
  }

  function end(course: Course, now: number): void {
    const key = keyOf(course);
    const rest = at(key).filter((one) => one !== course);
    if (rest.length === at(key).length) return;
    if (rest.length === 0) byPlace.delete(key);
    else byPlace.set(key, rest);
    count--;
    record({ ...courseMeasure(course), until: now }, true);
    changed(course);
  }

  return {
    get idle() {
      return count === 0;
    },
    at: (where) => at(keyOf(where)),
    over(site, publicId) {
      if (count === 0) return NONE;
      const pair = at(`${publicId}|${site}`);
      const ofSite = at(`|${site}`);
      const ofIp = at(`${publicId}|`);
      return ofSite.length === 0 && ofIp.length === 0 ? pair : [...pair, ...ofSite, ...ofIp];
    },
    *every() {
      for (const list of byPlace.values()) yield* list;
    },
    begin(kind, { site, publicId }, what, now) {
      const old = at(keyOf({ site, publicId })).find((one) => one.kind === kind);
      if (old !== undefined) end(old, now);
      const course = beginCourse({ kind, site, publicId, ...what }, old?.tries ?? 0, now);
      put(course);
      record(courseMeasure(course), false);
      changed(course);
      const [oldest] = byPlace.values();
      if (count > COURSES_MOST) for (const one of oldest ?? NONE) end(one, now);
    },
    end,
    restore(list) {
      byPlace.clear();
      count = 0;
      for (const course of list.slice(-COURSES_MOST)) {
        if (course.kind !== "suspension" && !at(keyOf(course)).some(({ kind }) => kind === course.kind)) put(course);
      }
    },
  };
}
