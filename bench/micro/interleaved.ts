/**
 * Functions measured turn about in short pieces: what else the machine does, all of them suffer alike. Of each the quickest tenth of its pieces
 * counts: what disturbs only ever makes a piece slower.
 */

const PIECE_MS = 2;

/** Microseconds of a call of each. */
export function interleaved(functions: Readonly<Record<string, () => void>>, seconds: number): Record<string, number> {
  const names = Object.keys(functions);
  const calls = names.map((name) => callsFor(functions[name]!));
  const pieces: number[][] = names.map(() => []);
  const until = performance.now() + seconds * 1000;
  for (let round = 0; performance.now() < until || round < 20; round++) {
    // The first of a round pays for what the last of the one before left behind: each is first in its turn.
    for (let i = 0; i < names.length; i++) {
      const at = (round + i) % names.length;
      pieces[at]!.push(timeOf(functions[names[at]!]!, calls[at]!));
    }
  }
  const quick = (list: number[]): number => list.sort((a, b) => a - b)[Math.floor(list.length / 10)]!;
  return Object.fromEntries(names.map((name, i) => [name, Math.round(quick(pieces[i]!) * 10) / 10]));
}

function callsFor(run: () => void): number {
  // Warm first.
  timeOf(run, 100);
  return Math.max(1, Math.round((PIECE_MS * 1000) / timeOf(run, 20)));
}

/** Microseconds a call. */
function timeOf(run: () => void, calls: number): number {
  const began = performance.now();
  for (let i = 0; i < calls; i++) run();
  return ((performance.now() - began) * 1000) / calls;
}
