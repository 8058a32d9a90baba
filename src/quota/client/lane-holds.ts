/** What lanes wait for: each waiter of a lane with its hold; the lane's is that of the one that has waited longest. */
import type { Hold, LaneKey } from "../../model/traffic.ts";

/** One request of a lane that is not granted yet. `hold` null: nobody has said yet that it must wait. */
export interface Waiter {
  readonly lane: LaneKey;
  hold: Hold | null;
}

export interface LaneHolds {
  add(waiter: Waiter): void;
  remove(waiter: Waiter): void;
  set(waiter: Waiter, hold: Hold | null): void;
  of(lane: LaneKey): Hold | null;
}

/** `changed`: a lane's hold began, ended or is of another kind. */
export function openLaneHolds(changed: (lane: LaneKey) => void): LaneHolds {
  const lanes = new Map<string, Set<Waiter>>();

  function of(lane: LaneKey): Hold | null {
    for (const { hold } of lanes.get(nameOf(lane)) ?? []) if (hold !== null) return hold;
    return null;
  }

  function watch(lane: LaneKey, act: () => void): void {
    const before = of(lane);
    act();
    const after = of(lane);
    if (before?.kind !== after?.kind || before?.by !== after?.by) changed(lane);
  }

  return {
    of,
    add(waiter) {
      const name = nameOf(waiter.lane);
      const waiters = lanes.get(name);
      if (waiters === undefined) lanes.set(name, new Set([waiter]));
      else waiters.add(waiter);
    },
    remove(waiter) {
      watch(waiter.lane, () => {
        const name = nameOf(waiter.lane);
        const waiters = lanes.get(name);
        waiters?.delete(waiter);
        if (waiters?.size === 0) lanes.delete(name);
      });
    },
    set(waiter, hold) {
      watch(waiter.lane, () => void (waiter.hold = hold));
    },
  };
}

function nameOf({ site, mx, publicId }: LaneKey): string {
  return `${publicId} ${mx} ${site}`;
}
