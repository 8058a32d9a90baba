/**
 * Parts whose messages went back to the database because a lane of this mta was parked. When the lane may go again they are made due, some
 * at once and more each second while it has room; the others come with their own time. A hint: nothing is lost with it.
 */
export interface Parked<L> {
  add(lane: L, partId: number): void;
  /** Takes out some parts of the lane, those that have waited longest first. */
  take(lane: L): readonly number[];
  /** The lane is no more: its parts come with their own time. */
  forget(lane: L): void;
  /** The lanes that have some. */
  readonly lanes: Iterable<L>;
}

/** Parts that are remembered of a lane, and of all of them: a part of many domains is in many lanes. */
const PARTS = 2000;
const ALL = 100_000;
/** Parts called back at once: more than a lane takes at once would be claimed only to go back. */
const CALLED = 20;

export function openParked<L extends object>(): Parked<L> {
  const lanes = new Map<L, Set<number>>();
  let all = 0;
  return {
    add(lane, partId) {
      if (all >= ALL) return;
      let parts = lanes.get(lane);
      if (parts === undefined) {
        parts = new Set();
        lanes.set(lane, parts);
      }
      if (parts.size >= PARTS || parts.has(partId)) return;
      parts.add(partId);
      all++;
    },
    take(lane) {
      const parts = lanes.get(lane);
      if (parts === undefined) return [];
      const taken = parts.values().take(CALLED).toArray();
      for (const id of taken) parts.delete(id);
      all -= taken.length;
      if (parts.size === 0) lanes.delete(lane);
      return taken;
    },
    forget(lane) {
      all -= lanes.get(lane)?.size ?? 0;
      lanes.delete(lane);
    },
    get lanes() {
      return lanes.keys();
    },
  };
}
