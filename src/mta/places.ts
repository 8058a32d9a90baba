/**
 * The sessions a process may hold, over all lanes. When none is free the lane waits in line; the idle sessions of other lanes are asked to
 * close, and each place that is freed calls the next lane.
 */
export interface Places<L> {
  take(lane: L): boolean;
  free(): void;
  readonly taken: number;
}

/** @param closeIdle called when a lane finds no place. */
export function openPlaces<L extends { pump(): void }>(most: number, closeIdle: () => void): Places<L> {
  const waiting = new Set<L>();
  let taken = 0;
  return {
    take(lane) {
      if (taken < most) {
        taken++;
        return true;
      }
      waiting.add(lane);
      closeIdle();
      return false;
    },
    free() {
      taken--;
      const next = waiting.values().next().value;
      if (next === undefined) return;
      waiting.delete(next);
      // Not at once: the caller is in the middle of taking its session out of its own books.
      setImmediate(() => next.pump());
    },
    get taken() {
      return taken;
    },
  };
}
