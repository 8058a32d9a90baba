/**
 * Lines of JSON out of a stream of octets, and the bound on what an unfinished one may take. Nothing is said here about what a line means.
 *
 * A peer may send one octet at a time or a megabyte without an end: the pieces of an unfinished line are joined now and then, so that its
 * memory is what it has sent and no more, and a line over the bound ends the reading for good.
 */

/** Pieces of an unfinished line before they are joined: a Buffer costs a hundred octets, however few are in it. */
const MOST_PIECES = 64;
const LINE_FEED = 10;

export interface LineReader {
  /** The lines that end in this chunk, without their ends; null once a line is longer than allowed, and from then on. */
  push(chunk: Buffer): readonly string[] | null;
  /** From now on a line may be this long: who is trusted may say more. */
  allow(mostBytes: number): void;
  /** Octets of the line that has not ended yet. */
  readonly unfinished: number;
}

export function openLineReader(mostBytes: number): LineReader {
  let most = mostBytes;
  let pieces: Buffer[] = [];
  let size = 0;
  let broken = false;

  return {
    push(chunk) {
      if (broken) return null;
      const end = chunk.lastIndexOf(LINE_FEED);
      if (end < 0) {
        size += chunk.length;
        pieces.push(chunk);
        if (pieces.length >= MOST_PIECES) pieces = [Buffer.concat(pieces)];
        broken = size > most;
        if (broken) pieces = [];
        return broken ? null : [];
      }
      const head = chunk.subarray(0, end);
      const text = (pieces.length === 0 ? head : Buffer.concat([...pieces, head])).toString("utf8");
      pieces = end + 1 === chunk.length ? [] : [chunk.subarray(end + 1)];
      size = chunk.length - end - 1;
      const lines = text.split("\n");
      // Characters, not octets: the bound is on memory, and a line of many octets is never one of few characters by more than three times.
      broken = size > most || lines.some((line) => line.length > most);
      if (broken) pieces = [];
      return broken ? null : lines;
    },
    allow(bytes) {
      most = bytes;
    },
    get unfinished() {
      return size;
    },
  };
}

/** The value of a line, or undefined when it is not JSON. Never throws, however deep or odd the text is. */
export function readJson(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
