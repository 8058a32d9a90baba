/**
 * What all lanes of a process share and wait for in line: the sessions it may hold, the bytes of messages it may have rendered. Who finds no
 * room is remembered, the urgent ones first; when room is freed they are called in order until it is taken, so that a lane that has
 * nothing left to do costs nobody its turn.
 */
export interface Places<L> {
  /** Takes `size` (1 when not given), or remembers the lane. Something larger than all there is may have it alone. */
  take(lane: L, urgent: boolean, size?: number): boolean;
  free(size?: number): void;
  /** Somebody waits. */
  readonly crowded: boolean;
  readonly taken: number;
}

/** @param onCrowded called when a lane finds no room. */
export function openPlaces<L extends { pump(): void }>(most: number, onCrowded: () => void): Places<L> {
  const urgentOnes = new Set<L>();
  const others = new Set<L>();
  let taken = 0;
  let planned = false;

  function callNext(): void {
    planned = false;
    for (const waiting of [urgentOnes, others])
      // Each of them once: one that finds no room enters the line again, behind the others.
      for (let left = waiting.size; left > 0 && taken < most; left--) {
        const lane = waiting.values().next().value;
        if (lane === undefined) break;
        waiting.delete(lane);
        lane.pump();
      }
  }

  return {
    take(lane, urgent, size = 1) {
      if (taken === 0 || taken + size <= most) {
        taken += size;
        return true;
      }
      (urgent ? urgentOnes : others).add(lane);
      onCrowded();
      return false;
    },
    free(size = 1) {
      taken -= size;
      if (planned || urgentOnes.size + others.size === 0) return;
      planned = true;
      // Not at once: the caller is in the middle of taking its session out of its own books.
      setImmediate(callNext);
    },
    get crowded() {
      return urgentOnes.size + others.size > 0;
    },
    get taken() {
      return taken;
    },
  };
}
