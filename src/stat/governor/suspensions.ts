/**
 * What operators have stopped: a site by its name or by a mask over exchanger names, a public id, both, or everything. When a suspension
 * ends, by its time or because it is resumed, what it stopped comes back over a ramp (course.ts) and never as a wave. The list is the
 * database's; here is what was in force last, so that a resume while no server ran is seen too.
 */
import { type PathTest, pathTest } from "../../model/mask.ts";
import type { Suspension } from "../contract.ts";
import { type Course, beginCourse, startRamp } from "./course.ts";
import { AFTER_SUSPENSION } from "./remedies.ts";

export interface Suspensions {
  /** Nothing is suspended nor coming back. */
  readonly idle: boolean;
  /** Suspensions and ramps at work for a path, both usually empty. */
  at(site: string, mx: string, publicId: number): Found;
  /** Replaces the list; true when something changed. */
  set(list: readonly Suspension[], now: number): boolean;
  active(): readonly Suspension[];
  /** Messages an hour that went where it is, before it began. */
  baseOf(suspension: Suspension): number;
  ramps(): readonly Course[];
  nextAt(): number;
  /** Ends what is over; true when something changed. */
  tick(now: number): boolean;
  /** A ramp is over. */
  drop(ramp: Course): void;
  restore(active: readonly Suspension[], ramps: readonly Course[]): void;
}

export interface Found {
  readonly suspensions: readonly Suspension[];
  readonly ramps: readonly Course[];
}

const NONE: Found = { suspensions: [], ramps: [] };
/** Paths whose answer is remembered; then all are forgotten. */
const KNOWN_MOST = 10_000;
/** Suspensions that are looked at; a hand sets no more. */
const LIST_MOST = 1000;
/** A shorter stop holds no wave back. */
export const SHORT_MS = 60_000;

/** `baseOf`: messages an hour that went where the suspension is, before it began. */
export function createSuspensions(baseOf: (suspension: Suspension) => number): Suspensions {
  let active = new Map<number, { readonly suspension: Suspension; readonly base: number }>();
  let ramps: Course[] = [];
  let tests: { readonly test: PathTest; readonly found: Suspension | Course }[] = [];
  const known = new Map<string, Found>();

  function changed(): true {
    known.clear();
    tests = [...[...active.values()].map(({ suspension }) => suspension), ...ramps].map((found) => ({
      test: pathTest(found),
      found,
    }));
    return true;
  }

  function resume({ suspension, base }: { suspension: Suspension; base: number }, now: number): void {
    active.delete(suspension.id);
    if (now - suspension.since < SHORT_MS) return;
    const { site, publicId } = suspension;
    const reason = `resumed after: ${suspension.reason}`;
    const by = `operator ${suspension.by}`;
    const ramp = beginCourse(
      { kind: "suspension", site, publicId, by, reason, remedy: AFTER_SUSPENSION, base, need: 1 },
      0,
      now,
    );
    startRamp(ramp, now);
    ramps = [...ramps, ramp].slice(-LIST_MOST);
  }

  return {
    get idle() {
      return tests.length === 0;
    },
    at(site, mx, publicId) {
      const key = `${publicId} ${mx} ${site}`;
      let found = known.get(key);
      if (found === undefined) {
        const here = tests.filter(({ test }) => test(site, mx, publicId)).map((one) => one.found);
        found =
          here.length === 0
            ? NONE
            : {
                suspensions: here.filter((one): one is Suspension => "id" in one),
                ramps: here.filter((one): one is Course => !("id" in one)),
              };
        if (known.size >= KNOWN_MOST) known.clear();
        known.set(key, found);
      }
      return found;
    },
    set(list, now) {
      const valid = list.filter(({ until }) => until === 0 || until > now).slice(0, LIST_MOST);
      const ids = new Set(valid.map(({ id }) => id));
      const before = active;
      active = new Map(
        valid.map((suspension) => [
          suspension.id,
          { suspension, base: before.get(suspension.id)?.base ?? baseOf(suspension) },
        ]),
      );
      for (const one of before.values()) if (!ids.has(one.suspension.id)) resume(one, now);
      const same = before.size === active.size && valid.every((one) => isSame(before.get(one.id)?.suspension, one));
      return !same && changed();
    },
    active: () => [...active.values()].map(({ suspension }) => suspension),
    baseOf: ({ id }) => active.get(id)?.base ?? 0,
    ramps: () => ramps,
    nextAt() {
      let next = Infinity;
      for (const { suspension } of active.values()) if (suspension.until > 0) next = Math.min(next, suspension.until);
      return next;
    },
    tick(now) {
      const over = [...active.values()].filter(({ suspension: { until } }) => until > 0 && until <= now);
      for (const one of over) resume(one, now);
      return over.length > 0 && changed();
    },
    drop(ramp) {
      ramps = ramps.filter((one) => one !== ramp);
      changed();
    },
    restore(saved, coming) {
      active = new Map(saved.map((suspension) => [suspension.id, { suspension, base: baseOf(suspension) }]));
      ramps = [...coming];
      changed();
    },
  };
}

function isSame(a: Suspension | undefined, b: Suspension): boolean {
  return (
    a !== undefined && a.until === b.until && a.site === b.site && a.publicId === b.publicId && a.reason === b.reason
  );
}
