/**
 * Reading the log from a position on, for whoever pulls it. What is given out is synced, is never more than one segment, and ends with a record where
 * there is one: a damaged file is handed over as it is, for the reader to set aside what is no record. Octets that are missing (a
 * segment that was dropped or cut) are counted as a gap.
 */
import type { Disk } from "./disk.ts";
import type { Segment, Segments } from "./segments.ts";

export interface Piece {
  readonly bytes: Buffer;
  /** Position to go on at. */
  readonly next: number;
  /** Octets between the end of `bytes` and `next` that are not there any more. */
  readonly gap: number;
}

/** Octets of one answer; a reader asks again. */
export const MOST_PIECE = 4 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);
const LF = 10;

/** @param after at most the end of the log */
export async function readPiece(
  { list, end }: Segments,
  disk: Disk,
  after: number,
  mostRecords: number,
): Promise<Piece> {
  const i = list.findLastIndex(({ base }) => base <= after);
  const segment = list[i];
  // Before all that is there.
  if (segment === undefined) {
    const first = list[0]?.base ?? end;
    return { bytes: NOTHING, next: first, gap: first - after };
  }
  const next = list[i + 1]?.base;
  const bytes = await read(disk, segment, after, mostRecords);
  const at = after + bytes.length;
  const behind = bytes.length === 0 || at >= segment.base + segment.bytes;
  // Behind its end, or behind what is left of it.
  if (next !== undefined && behind) return { bytes, next, gap: next - at };
  return { bytes, next: at, gap: 0 };
}

async function read(disk: Disk, segment: Segment, after: number, mostRecords: number): Promise<Buffer> {
  const from = after - segment.base;
  const there = Math.min(segment.bytes - from, MOST_PIECE);
  if (there <= 0) return NOTHING;
  const bytes = await disk.read(segment.path, from, there).catch((error: NodeJS.ErrnoException) => {
    // Somebody removed it, or retention did so this instant.
    if (error.code === "ENOENT") return NOTHING;
    throw error;
  });
  let end = 0;
  for (let n = 0; n < mostRecords; n++) {
    const at = bytes.indexOf(LF, end);
    if (at < 0) break;
    end = at + 1;
  }
  if (end > 0) return bytes.subarray(0, end);
  return bytes;
}
