/**
 * What a redirection server handed out, as records with their places: each line decoded and made fit for the database. Whatever is no record is set
 * aside with its place and what it looks like, neighbours together, and the rest goes on.
 */
import type { Damage } from "../db/tracking-batch.ts";
import { decodeRecord, MOST_RECORD, MOST_USER_AGENT, type TrackingRecord, type WebHit } from "../model/tracking.ts";

export interface Records {
  /** Fit for the database. */
  readonly records: readonly TrackingRecord[];
  /** Position of each in the log. */
  readonly places: readonly number[];
  readonly damage: readonly Damage[];
  /** Where to go on. */
  readonly end: number;
  /** The clock of the server is so wrong that hits were put at the time they were read. */
  readonly clockWrong: boolean;
}

const LF = 10;
const DAY_MS = 86_400_000;
/** Nobody tracked anything with this program before. */
const EARLIEST = Date.UTC(2020, 0, 1);
/** What a database holds in an int. */
const MOST_LINK = 2_147_483_647;
const MOST_TEXT = 64;
/** More is no purchase; sums of it would be worth nothing. */
const MOST_AMOUNT = 1e12;
const MOST_ARTICLES = 1e9;

/** Octets of a log. */
export interface Octets {
  readonly body: Buffer;
  /** Position of the first of them. */
  readonly from: number;
}

/**
 * Up to `most` records from a position on.
 * @param now epoch ms, for records whose time cannot be.
 */
export function readRecords({ body, from }: Octets, position: number, most: number, now: number): Records {
  const records: TrackingRecord[] = [];
  const places: number[] = [];
  const damage: Damage[] = [];
  let clockWrong = false;
  let at = position - from;
  while (at < body.length && records.length < most) {
    const found = body.indexOf(LF, at);
    const end = found < 0 ? body.length : found;
    const next = found < 0 ? body.length : found + 1;
    const read = decodeRecord(body.subarray(at, end));
    const record = typeof read === "string" ? read : fit(read, now);
    if (typeof record === "string") aside(damage, damaged(from + at, body.subarray(at, next), record));
    else {
      clockWrong ||= record.at !== (read as TrackingRecord).at;
      records.push(record);
      places.push(from + at);
    }
    at = next;
  }
  return { records, places, damage, end: from + at, clockWrong };
}

/** Octets that are set aside, as one record. */
export function damaged(position: number, octets: Uint8Array, reason: string): Damage {
  return { position, octets: octets.length, records: 1, reason, content: octets.subarray(0, MOST_RECORD) };
}

/** Neighbours become one: a whole file of rubbish is one row, not a million. */
function aside(all: Damage[], one: Damage): void {
  const last = all.at(-1);
  if (last === undefined || last.position + last.octets !== one.position) return void all.push(one);
  const room = MOST_RECORD - last.content.length;
  all[all.length - 1] = {
    ...last,
    octets: last.octets + one.octets,
    records: last.records + one.records,
    content: room > 0 ? Buffer.concat([last.content, one.content.subarray(0, room)]) : last.content,
  };
}

/** The record as the database can hold it, or why it cannot: the checksum says who wrote it, not that it makes sense. */
function fit(record: TrackingRecord, now: number): TrackingRecord | string {
  if (record.link > MOST_LINK) return "a link number nobody gives";
  const { at, hint, ip, userAgent, visitor } = record;
  const late = at < EARLIEST || at > now + DAY_MS;
  if (!late && record.web === null && isFit(hint) && isFit(ip) && isFit(visitor) && isFit(userAgent, MOST_USER_AGENT))
    return record;
  return {
    ...record,
    // A redirection server whose clock stands in another year loses no hit and no unsubscription for it.
    at: late ? now : at,
    hint: text(hint),
    ip: text(ip),
    userAgent: text(userAgent, MOST_USER_AGENT),
    visitor: text(visitor),
    web: record.web === null ? null : web(record.web),
  };
}

/** Not too long, and text PostgreSQL takes: no NUL, no half of a character. */
function isFit(of: string, most: number = MOST_TEXT): boolean {
  return of.length <= most && !/[\0\ud800-\udfff]/.test(of);
}

function text(of: string, most: number = MOST_TEXT): string {
  return isFit(of, most) ? of : of.slice(0, most).replaceAll("\0", "\ufffd").toWellFormed();
}

function web({ tag, amount, articles, more }: WebHit): WebHit {
  return {
    tag: text(tag, MOST_RECORD),
    amount: Number.isFinite(amount) && Math.abs(amount) <= MOST_AMOUNT ? Math.round(amount * 1e4) / 1e4 : 0,
    articles: Number.isFinite(articles) && Math.abs(articles) <= MOST_ARTICLES ? Math.round(articles) : 0,
    more: more.map(([name, value]) => [text(name, MOST_RECORD), text(value, MOST_RECORD)]),
  };
}
