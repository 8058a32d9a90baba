/** What fits into a line of the protocol, by octets: names of sites and texts are of strangers, and as long as they like. */

/** Of MOST_LINE (256 KB): two lists fit into one line, and what stands around them. */
const ROOM = 100 * 1024;

/** How many of `items`, from the first one, fit into one line as JSON. */
export function fitting(items: readonly unknown[], from = 0): number {
  let left = ROOM;
  let count = 0;
  for (let at = from; at < items.length; at++) {
    left -= Buffer.byteLength(JSON.stringify(items[at])) + 1;
    if (left < 0) break;
    count++;
  }
  return count;
}

/** All of `items` in pieces that fit; one that alone does not fit is left out. */
export function pieces<T>(items: readonly T[]): T[][] {
  const all: T[][] = [];
  for (let at = 0; at < items.length;) {
    const count = fitting(items, at);
    if (count > 0) all.push(items.slice(at, at + count));
    at += Math.max(1, count);
  }
  return all;
}
