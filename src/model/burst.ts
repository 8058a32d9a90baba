/**
 * Clicks of one message that are too close together to be a reader's: security gateways follow all links of a mail within seconds, often from several
 * machines and with the user agents of real browsers. So what counts is when which links were followed, not by whom:
 *
 * - four different links within ten seconds, or
 * - two different links within half a second, or
 * - twenty clicks on whatever within ten seconds, or
 * - the trap, a link no person can see: then all that was followed within ten seconds of it.
 *
 * Opens by the same program from the same network within that time are the gateway's too.
 */

export const BURST_MS = 10_000;
const BURST_LINKS = 4;
const BURST_CLICKS = 20;
const PAIR_MS = 500;

export interface Followed {
  /** Epoch ms. */
  readonly at: number;
  readonly kind: "click" | "trap" | "open";
  readonly link: number;
  /** The same for the same program from the same network; '' when that cannot be told. */
  readonly visitor: string;
}

/** Which of the hits of one message, in any order, belong to a burst. */
export function findBurst<T extends Followed>(hits: readonly T[]): T[] {
  const clicks = hits.filter(({ kind }) => kind !== "open").sort((a, b) => a.at - b.at);
  const marks = markBursts(clicks);
  const found = clicks.filter((_, i) => marks[i] === 1);
  if (found.length === 0) return found;
  const times = Map.groupBy(found, ({ visitor }) => visitor);
  times.delete("");
  for (const hit of hits) {
    if (hit.kind !== "open") continue;
    // In order of time: the first that is not long before it says whether any is near.
    const near = times.get(hit.visitor)?.find(({ at }) => at >= hit.at - BURST_MS);
    if (near !== undefined && near.at <= hit.at + BURST_MS) found.push(hit);
  }
  return found;
}

/**
 * Of clicks in order of time: 1 for those in a burst. Goes through them once, whatever there is: a window moves over them with a count of
 * its links, and what was marked is not marked again.
 */
function markBursts(clicks: readonly Followed[]): Uint8Array {
  const marks = new Uint8Array(clicks.length);
  const links = new Map<number, number>();
  let from = 0;
  let marked = 0;
  let trapUntil = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < clicks.length; i++) {
    const click = clicks[i]!;
    links.set(click.link, (links.get(click.link) ?? 0) + 1);
    for (; clicks[from]!.at < click.at - BURST_MS; from++) leave(links, clicks[from]!.link);
    if (click.kind === "trap") trapUntil = click.at + BURST_MS;
    if (click.kind === "trap" || links.size >= BURST_LINKS || i - from + 1 >= BURST_CLICKS) {
      marks.fill(1, Math.max(from, marked), i + 1);
      marked = i + 1;
    }
    if (click.at <= trapUntil) marks[i] = 1;
    const before = clicks[i - 1];
    if (before !== undefined && before.link !== click.link && click.at - before.at < PAIR_MS)
      marks.fill(1, i - 1, i + 1);
  }
  return marks;
}

function leave(links: Map<number, number>, link: number): void {
  const left = links.get(link)! - 1;
  if (left === 0) links.delete(link);
  else links.set(link, left);
}
