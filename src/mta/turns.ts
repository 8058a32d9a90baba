/**
 * Fair turns: a bounded-memory queue in which priority classes share by weight (stride scheduling) and, within a class, deliveries take
 * turns by their own weight (deficit round robin). A class or delivery that was idle starts level with the others: it neither has
 * saved up turns nor must catch up. All transactional deliveries are one line, first come first served: each is a single message.
 */
import { PRIORITIES } from "../model/delivery.ts";

export interface Turns<T> {
  readonly size: number;
  /** Of them transactional. */
  readonly urgent: number;
  push(item: T, turn: { readonly priority: number; readonly deliveryId: number; readonly weight: number }): void;
  shift(): T | undefined;
  /** Takes out every item that matches; the items taken. */
  remove(match: (item: T) => boolean): T[];
}

interface Line<T> {
  readonly key: number;
  readonly weight: number;
  items: T[];
  /** Index of the first item: shifting an array of thousands copies it. */
  head: number;
  credit: number;
}

interface Class<T> {
  readonly stride: number;
  pass: number;
  count: number;
  readonly lines: Map<number, Line<T>>;
  ring: Line<T>[];
}

/** @param weights turns of each class, by the position of PRIORITIES. */
export function openTurns<T>(weights: readonly number[]): Turns<T> {
  const classes: Class<T>[] = PRIORITIES.map((_, i) => ({
    stride: 1 / Math.max(1, weights[i] ?? 1),
    pass: 0,
    count: 0,
    lines: new Map(),
    ring: [],
  }));
  let now = 0;
  let size = 0;

  function takeFrom(c: Class<T>): T | undefined {
    for (;;) {
      const line = c.ring[0];
      if (line === undefined) return undefined;
      if (line.head >= line.items.length) {
        c.ring.shift();
        c.lines.delete(line.key);
        continue;
      }
      if (line.credit <= 0) {
        line.credit = line.weight;
        c.ring.push(...c.ring.splice(0, 1));
        continue;
      }
      line.credit--;
      const item = line.items[line.head];
      line.items[line.head++] = undefined as T;
      if (line.head > 1024 && line.head * 2 > line.items.length) {
        line.items = line.items.slice(line.head);
        line.head = 0;
      }
      c.count--;
      size--;
      return item;
    }
  }

  return {
    get size() {
      return size;
    },
    get urgent() {
      return classes[0]?.count ?? 0;
    },
    push(item, turn) {
      const c = classes[turn.priority] ?? classes[classes.length - 1];
      if (c === undefined) return;
      if (c.count === 0) c.pass = Math.max(c.pass, now);
      const key = turn.priority === 0 ? 0 : turn.deliveryId;
      let line = c.lines.get(key);
      if (line === undefined) {
        line = { key, weight: Math.max(1, turn.weight), items: [], head: 0, credit: Math.max(1, turn.weight) };
        c.lines.set(key, line);
        c.ring.push(line);
      }
      line.items.push(item);
      c.count++;
      size++;
    },
    shift() {
      let best: Class<T> | undefined;
      for (const c of classes) if (c.count > 0 && (best === undefined || c.pass < best.pass)) best = c;
      if (best === undefined) return undefined;
      now = best.pass;
      best.pass += best.stride;
      return takeFrom(best);
    },
    remove(match) {
      const taken: T[] = [];
      for (const c of classes)
        for (const line of c.lines.values()) {
          const kept: T[] = [];
          for (const item of line.items.slice(line.head)) (match(item) ? taken : kept).push(item);
          c.count -= line.items.length - line.head - kept.length;
          size -= line.items.length - line.head - kept.length;
          line.items = kept;
          line.head = 0;
        }
      return taken;
    },
  };
}
