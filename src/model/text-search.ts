/**
 * Many patterns looked for in a text in one pass. A pattern is a piece of text, or several with `*` between them: each somewhere after the
 * one before it. All pieces of all patterns are one automaton (Aho and Corasick), made when the patterns are: a text then costs its length
 * plus what was found in it, whatever stands in text or patterns. Both are taken as they are; who wants letter case folded folds them.
 */

/** Finds all patterns of a text; the answer is good until the next call. */
export type TextSearch = (text: string) => TextHits;

export interface TextHits {
  /** Whether the pattern of this number (its place in the list) is in the text. */
  has(pattern: number): boolean;
  /** Numbers of all patterns in the text but the empty ones, as they were found. */
  readonly found: readonly number[];
}

/** Characters of all patterns together: a million take 40 MB. */
export const PATTERNS_MOST = 1_000_000;

/** The pieces of a pattern, in order. None: it is in every text. */
export function piecesOf(pattern: string): string[] {
  return pattern.split("*").filter((piece) => piece !== "");
}

/** A piece of a pattern. `slot`: its number among the pieces of all patterns; that of the piece before it is one less. */
interface Use {
  readonly pattern: number;
  readonly slot: number;
  readonly first: boolean;
  readonly last: boolean;
}

/**
 * @param gap characters that may stand between two pieces of a pattern. Without one the pieces nearest to the beginning are taken, with one those
 * nearest to each other, as far as pieces do not overlap themselves more than once.
 * Throws a RangeError for more than PATTERNS_MOST characters.
 */
export function compileTextSearch(patterns: readonly string[], gap: number = Number.POSITIVE_INFINITY): TextSearch {
  const { uses, slots, empty } = usesOf(patterns);
  const machine = buildMachine([...uses.keys()]);
  const usesOfPiece = [...uses.values()];
  const lengths = [...uses.keys()].map((piece) => piece.length);
  const near = Number.isFinite(gap);
  /** Of each slot: the text in which everything up to it was last found, where that ended, and where it had ended before. */
  const seenIn = new Int32Array(slots);
  const endedAt = new Int32Array(slots);
  const beforeAt = new Int32Array(slots);
  /** Of each pattern: the text it was last found in. */
  const foundIn = new Int32Array(patterns.length);
  const found: number[] = [];
  let round = 0;

  function take(piece: number, end: number): void {
    const start = end - (lengths[piece] as number);
    for (const { pattern, slot, first, last } of usesOfPiece[piece] as readonly Use[]) {
      const again = seenIn[slot] === round;
      if (again && (!near || last)) continue;
      if (!first && !follows(slot - 1, start)) continue;
      beforeAt[slot] = again ? (endedAt[slot] as number) : -1;
      seenIn[slot] = round;
      endedAt[slot] = end;
      if (!last) continue;
      foundIn[pattern] = round;
      found.push(pattern);
    }
  }

  function follows(slot: number, start: number): boolean {
    if (seenIn[slot] !== round) return false;
    const since = start - (endedAt[slot] as number);
    if (since >= 0) return since <= gap;
    const before = beforeAt[slot] as number;
    return before >= 0 && start >= before && start - before <= gap;
  }

  const hits: TextHits = { has: (pattern) => foundIn[pattern] === round || empty.has(pattern), found };
  return (text) => {
    if (round === 0x7fff_ffff) {
      seenIn.fill(0);
      foundIn.fill(0);
      round = 0;
    }
    round++;
    found.length = 0;
    walk(machine, text, take);
    return hits;
  };
}

/** Of each different piece where it is used: later pieces of a pattern first, because one place in the text is never two pieces of it. */
function usesOf(patterns: readonly string[]): { uses: Map<string, Use[]>; slots: number; empty: ReadonlySet<number> } {
  const uses = new Map<string, Use[]>();
  const empty = new Set<number>();
  let slots = 0;
  patterns.forEach((text, pattern) => {
    const pieces = piecesOf(text);
    if (pieces.length === 0) empty.add(pattern);
    pieces.forEach((piece, index) => {
      const list = uses.get(piece) ?? [];
      list.unshift({ pattern, slot: slots++, first: index === 0, last: index === pieces.length - 1 });
      uses.set(piece, list);
    });
  });
  return { uses, slots, empty };
}

/**
 * States are the beginnings of pieces, 0 the empty one. Steps are kept in a table by state and character: a table with a place for every
 * character would take a hundred times the memory (measured: 125 MB for the shipped bounce rules).
 */
interface Machine {
  readonly steps: Steps;
  /** Of each state the longest proper ending of it that is a state too. */
  readonly fall: Int32Array;
  /** The piece that ends in a state, -1 for none. */
  readonly piece: Int32Array;
  /** The nearest shorter state in which a piece ends too, 0 for none. */
  readonly shorter: Int32Array;
  /** The state itself or, when no piece ends in it, its `shorter`; 0: nothing ends here. */
  readonly first: Int32Array;
}

/** A step back is taken at most once for each step forward, so a text costs at most twice its length. */
function walk(
  { steps, fall, piece, shorter, first }: Machine,
  text: string,
  take: (piece: number, end: number) => void,
): void {
  let state = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    let next = steps.get(state, code);
    while (next === 0 && state !== 0) {
      state = fall[state] as number;
      next = steps.get(state, code);
    }
    state = next;
    for (let at = first[state] as number; at !== 0; at = shorter[at] as number) take(piece[at] as number, i + 1);
  }
}

function buildMachine(pieces: readonly string[]): Machine {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 1);
  if (size > PATTERNS_MOST) throw new RangeError(`texts of ${size} characters together, more than ${PATTERNS_MOST}`);
  const steps = openSteps(size);
  const ends: number[] = [-1];
  /** Of each state the one it was made from, and the character. */
  const from: number[] = [0];
  const by: number[] = [0];
  const depth: number[] = [0];
  pieces.forEach((text, number) => {
    let state = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      let next = steps.get(state, code);
      if (next === 0) {
        next = ends.push(-1) - 1;
        from.push(state);
        by.push(code);
        depth.push(i + 1);
        steps.set(state, code, next);
      }
      state = next;
    }
    ends[state] = number;
  });
  const piece = Int32Array.from(ends);
  const fall = new Int32Array(piece.length);
  const shorter = new Int32Array(piece.length);
  const first = new Int32Array(piece.length);
  // The shorter ones first: an ending is shorter than what it ends.
  for (const state of Int32Array.from(ends.keys()).sort((a, b) => (depth[a] as number) - (depth[b] as number))) {
    if (state === 0) continue;
    const parent = from[state] as number;
    const code = by[state] as number;
    let back = parent;
    let found = 0;
    while (back !== 0 && found === 0) {
      back = fall[back] as number;
      found = steps.get(back, code);
    }
    fall[state] = found;
    shorter[state] = first[found] as number;
    first[state] = piece[state] === -1 ? (first[found] as number) : state;
  }
  return { steps, fall, piece, shorter, first };
}

interface Steps {
  /** 0 for none. */
  get(state: number, code: number): number;
  set(state: number, code: number, next: number): void;
}

/** Open addressing, less than half full. A key is never taken out. */
function openSteps(most: number): Steps {
  const places = 1 << Math.ceil(Math.log2(most * 2 + 2));
  const states = new Int32Array(places).fill(-1);
  const codes = new Uint16Array(places);
  const nexts = new Int32Array(places);
  const placeOf = (state: number, code: number): number => {
    let at = (Math.imul(state, 0x9e37_79b1) ^ Math.imul(code, 0x85eb_ca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & (places - 1);
    while (states[at] !== -1 && (states[at] !== state || codes[at] !== code)) at = (at + 1) & (places - 1);
    return at;
  };
  return {
    get: (state, code) => nexts[placeOf(state, code)] as number,
    set(state, code, next) {
      const at = placeOf(state, code);
      states[at] = state;
      codes[at] = code;
      nexts[at] = next;
    },
  };
}
