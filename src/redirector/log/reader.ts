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
const MOST_PIECE = 4 * 1024 * 1024;
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
  const { bytes, skipped } = await read(disk, segment, after, mostRecords);
  const at = after + bytes.length;
  if (skipped > 0) return { bytes, next: at + skipped, gap: skipped };
  const behind = bytes.length === 0 || at >= segment.base + segment.bytes;
  // Behind its end, or behind what is left of it.
  if (next !== undefined && behind) return { bytes, next, gap: next - at };
  return { bytes, next: at, gap: 0 };
}

/** What there is, and how much behind it the disk cannot read. */
interface Got {
  readonly bytes: Buffer;
  readonly skipped: number;
}

async function read(disk: Disk, segment: Segment, after: number, mostRecords: number): Promise<Got> {
  const from = after - segment.base;
  const there = Math.min(segment.bytes - from, MOST_PIECE);
  if (there <= 0) return { bytes: NOTHING, skipped: 0 };
  const got = await disk.read(segment.path, from, there).then(
    (bytes) => ({ bytes, skipped: 0 }),
    (error: NodeJS.ErrnoException) => {
      // Somebody removed it, or retention did so this instant.
      if (error.code === "ENOENT") return { bytes: NOTHING, skipped: 0 };
      if (error.code === "EIO") return readPages(disk, segment.path, from, there);
      throw error;
    },
  );
  let end = 0;
  for (let n = 0; n < mostRecords; n++) {
    const at = got.bytes.indexOf(LF, end);
    if (at < 0) break;
    end = at + 1;
  }
  return end > 0 && end < got.bytes.length ? { bytes: got.bytes.subarray(0, end), skipped: 0 } : got;
}

const PAGE = 4096;

/** Of a disk with a bad place: what stands before it; where that is nothing, the place is skipped, so that the rest goes on. */
async function readPages(disk: Disk, path: string, from: number, there: number): Promise<Got> {
  const pages: Buffer[] = [];
  for (let at = from; at < from + there;) {
    const most = Math.min(PAGE - (at % PAGE), from + there - at);
    const page = await disk.read(path, at, most).catch(() => null);
    if (page === null && pages.length === 0) return { bytes: NOTHING, skipped: most };
    if (page === null || page.length === 0) break;
    pages.push(page);
    at += page.length;
  }
  return { bytes: Buffer.concat(pages), skipped: 0 };
}
