/**
 * Which segments go: what was pulled, after its time; when room is short what was pulled, oldest first, whatever its time; and when there is nothing
 * else the oldest that nobody has pulled, which is a loss and is shouted. Long before that there is an alarm: at 80 % of the bound.
 */
import type { Segment } from "./segments.ts";

export interface RetentionRules {
  /** Most octets of the log. */
  readonly logBytes: number;
  /** How long what was pulled is kept. */
  readonly keepMs: number;
}

export interface Retention {
  readonly drop: readonly Segment[];
  /** Octets among them that nobody has pulled. */
  readonly unpulled: number;
}

const ALARM_SHARE = 0.8;

/**
 * @param pulled position before which everything was pulled
 * @param room octets that have to find room in the bound
 */
export function toDrop(
  list: readonly Segment[],
  { logBytes, keepMs }: RetentionRules,
  pulled: number,
  now: number,
  room: number,
): Retention {
  // The last one stays whatever there is: it is written, or its name says where the log is.
  const ended = list.slice(0, -1);
  const isPulled = ({ base, bytes }: Segment): boolean => base + bytes <= pulled;
  const drop = new Set(ended.filter((segment) => isPulled(segment) && now - segment.endedAt >= keepMs));
  let bytes = room;
  for (const segment of list) if (!drop.has(segment)) bytes += segment.bytes;
  for (const wanted of [isPulled, () => true]) {
    for (const segment of ended) {
      if (bytes <= logBytes) break;
      if (drop.has(segment) || !wanted(segment)) continue;
      drop.add(segment);
      bytes -= segment.bytes;
    }
  }
  const unpulled = [...drop].reduce(
    (sum, { base, bytes }) => sum + Math.max(0, base + bytes - Math.max(base, pulled)),
    0,
  );
  return { drop: [...drop], unpulled };
}

/** The oldest segment that was pulled: what goes when the disk says it is full, whatever the bound; undefined when there is none. */
export function spareable(list: readonly Segment[], pulled: number): Segment | undefined {
  return list.slice(0, -1).find(({ base, bytes }) => base + bytes <= pulled);
}

/** Whether what nobody has pulled comes near the bound. */
export function isNearBound(unpulled: number, { logBytes }: RetentionRules): boolean {
  return unpulled >= logBytes * ALARM_SHARE;
}
