/** Octets of a log, read: a piece to be counted, and how it is cut. */
import type { Advance, Damage } from "../db/tracking-commit.ts";
import { damaged, type Placed } from "./records.ts";

export interface Piece {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly records: readonly Placed[];
  readonly damage: readonly Damage[];
  readonly lost: number;
}

/** In pieces of so many records at most. */
export function* batchesOf(piece: Piece, records: number): Generator<Piece> {
  let rest = piece;
  while (rest.records.length > records) {
    const [part, others] = cut(rest, records);
    yield part;
    rest = others;
  }
  yield rest;
}

export function advanceOf({ log, from, to, records, lost }: Piece): Advance {
  return { log, from, to, records: records.length, lost };
}

/** A piece in two: the first has so many records. */
function cut(piece: Piece, records: number): [Piece, Piece] {
  const to = piece.records[records]!.from;
  return [
    {
      ...piece,
      to,
      records: piece.records.slice(0, records),
      damage: piece.damage.filter((d) => d.position < to),
    },
    behind(piece, to),
  ];
}

export function halves(piece: Piece): [Piece, Piece] {
  return cut(piece, piece.records.length >> 1);
}

/** What of a piece lies behind a position. */
export function behind(piece: Piece, position: number): Piece {
  return {
    ...piece,
    from: Math.max(piece.from, position),
    records: piece.records.filter((record) => record.from >= position),
    damage: piece.damage.filter((d) => d.position >= position),
  };
}

/** A piece of one record without it. */
export function setAside(piece: Piece, err: unknown): Piece {
  const [{ record, from, to }] = piece.records as [Placed];
  const content = Buffer.from(JSON.stringify(record));
  const reason = `cannot be counted: ${String((err as Error).message)}`.slice(0, 300);
  return {
    ...piece,
    records: [],
    damage: [...piece.damage, { ...damaged(from, content, reason), octets: to - from }],
  };
}
