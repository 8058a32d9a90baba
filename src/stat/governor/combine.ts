/** Several measures over one path as one answer: the lowest of all limits, and of the holds the one that lasts longest. */
import type { Hold, Limits } from "../../model/traffic.ts";
import type { Governed } from "../contract.ts";
import { allowCourse } from "./allowance.ts";
import type { Course } from "./course.ts";
import { courseHold } from "./measures.ts";

/** Nothing is at work. */
export function free(limits: Limits): Governed {
  return { limits, hold: null, connections: Infinity, messages: Infinity };
}

export function under(governed: Governed, course: Course, now: number): Governed {
  const { limits, connections, messages, closedUntil } = allowCourse(course, governed.limits, now);
  const hold = closedUntil > 0 ? courseHold(course, closedUntil) : null;
  return { ...tighter(governed, { hold, messages, connections }), limits };
}

export function tighter(
  governed: Governed,
  more: { readonly hold: Hold | null; readonly messages: number; readonly connections?: number },
): Governed {
  const last = (hold: Hold | null): number => (hold === null ? -1 : hold.until || Infinity);
  return {
    limits: governed.limits,
    hold: last(more.hold) > last(governed.hold) ? more.hold : governed.hold,
    connections: Math.min(governed.connections, more.connections ?? Infinity),
    messages: Math.min(governed.messages, more.messages),
  };
}
