/** Octets of a log that were pulled, and the parts they are counted in: read when it is their turn, so that a long piece costs no more memory than a part. */
import type { Advance, Damage } from "../db/tracking-batch.ts";
import type { TrackingRecord } from "../model/tracking.ts";
import { damaged, type Octets, readRecords } from "./records.ts";

export interface Piece extends Octets {
  readonly log: string;
  /** Where the log goes on; behind the end of the octets when some are missing there. */
  readonly to: number;
  /** Hits the server could not write down, as it says. */
  readonly lost: number;
}

/** Records of a piece that are counted together. */
export interface Part {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly records: readonly TrackingRecord[];
  /** Position of each. */
  readonly places: readonly number[];
  readonly damage: readonly Damage[];
  readonly lost: number;
  readonly clockWrong: boolean;
}

/** The part of a piece from a position on, with `most` records. What is missing behind the last one belongs to it. */
export function readPart(piece: Piece, position: number, most: number, now: number): Part {
  const { log, lost } = piece;
  const { records, places, damage, end, clockWrong } = readRecords(piece, position, most, now);
  const whole = { log, lost, from: position, records, places, clockWrong };
  if (end < piece.from + piece.body.length || end >= piece.to) return { ...whole, to: end, damage };
  const missing = { position: end, octets: piece.to - end, records: 0, reason: MISSING, content: Buffer.alloc(0) };
  return { ...whole, to: piece.to, damage: [...damage, missing] };
}

export const MISSING = "missing";

export function advanceOf({ log, from, to, records, lost }: Part): Advance {
  return { log, from, to, records: records.length, lost };
}

/** A part of two records or more in two. */
export function halves(part: Part): [Part, Part] {
  const middle = part.records.length >> 1;
  const to = part.places[middle]!;
  const { records, places, damage } = part;
  return [
    {
      ...part,
      to,
      records: records.slice(0, middle),
      places: places.slice(0, middle),
      damage: damage.filter(({ position }) => position < to),
    },
    {
      ...part,
      from: to,
      records: records.slice(middle),
      places: places.slice(middle),
      damage: damage.filter(({ position }) => position >= to),
    },
  ];
}

/** A part of one record without it. */
export function setAside(part: Part, err: unknown): Part {
  const position = part.places[0]!;
  const after = part.damage.find((one) => one.position > position)?.position ?? part.to;
  const reason = `cannot be counted: ${String((err as Error).message)}`.slice(0, 300);
  const content = Buffer.from(JSON.stringify(part.records[0]));
  return {
    ...part,
    records: [],
    places: [],
    damage: [...part.damage, { ...damaged(position, content, reason), octets: after - position }],
  };
}
