/**
 * Who may claim the next part: start-time fair queueing. Each delivery has a pass that grows with every part it gets, the faster the
 * smaller its share (class weight, divided among the class by the deliveries' own weights); the smallest pass goes next, and whoever
 * comes back after having had nothing due starts level with the others. Besides, nobody holds more of the window than its share (one
 * part at least), so that a slow one does not fill it.
 */

export interface Sharer {
  readonly id: number;
  /** Position in PRIORITIES. */
  readonly priority: number;
  readonly weight: number;
}

export interface Room {
  /** Messages in all, and of them free now. */
  readonly window: number;
  readonly room: number;
  readonly partSize: number;
  /** Messages in memory by delivery. */
  readonly holding: ReadonlyMap<number, number>;
}

export interface Shares {
  out(able: readonly Sharer[], room: Room): { deliveryId: number; parts: number }[];
}

/** @param weights of each class, by the position of PRIORITIES. */
export function openShares(weights: readonly number[]): Shares {
  let passes = new Map<number, number>();
  let virtual = 0;

  return {
    out(able, { window, room, partSize, holding }) {
      const takers = fractions(able, weights).map(({ id, fraction }) => ({
        deliveryId: id,
        fraction,
        most: Math.max(partSize, window * fraction),
        has: holding.get(id) ?? 0,
        // Who was away starts level; who only had its fill keeps its turn.
        pass: passes.get(id) ?? virtual,
        parts: 0,
      }));
      // A window smaller than a part still takes one.
      for (let left = room; left >= partSize || (left === window && left > 0); left -= partSize) {
        let next: (typeof takers)[number] | undefined;
        for (const taker of takers)
          if (taker.has < taker.most && (next === undefined || taker.pass < next.pass)) next = taker;
        if (next === undefined) break;
        virtual = Math.max(virtual, next.pass);
        next.pass += 1 / next.fraction;
        next.has += partSize;
        next.parts++;
      }
      passes = new Map(takers.map((taker) => [taker.deliveryId, taker.pass]));
      return takers.filter((t) => t.parts > 0).map(({ deliveryId, parts }) => ({ deliveryId, parts }));
    },
  };
}

/** The fraction of the window each may have; together 1. */
function fractions(able: readonly Sharer[], weights: readonly number[]): { id: number; fraction: number }[] {
  const ofClass = new Map<number, number>();
  for (const { priority, weight } of able) ofClass.set(priority, (ofClass.get(priority) ?? 0) + weight);
  let total = 0;
  for (const priority of ofClass.keys()) total += weights[priority] ?? 1;
  return able.map(({ id, priority, weight }) => ({
    id,
    fraction: ((weights[priority] ?? 1) / total) * (weight / (ofClass.get(priority) ?? weight)),
  }));
}
