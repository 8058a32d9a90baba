/** From an outcome and its settlement to the row and the event the ledger keeps. */
import type { OutcomeRecord } from "../db/record.ts";
import { EVENT_TYPES, statusNumber } from "../model/delivery.ts";
import type { Outcome } from "../model/outcome.ts";
import type { Settlement } from "../model/settle.ts";
import type { Place } from "./held.ts";

/** Of an int column. */
const MOST = 2_147_483_647;

/** A record of no attempt: nothing said, the status as it was. */
export function blank(place: Place, now: number): OutcomeRecord {
  return {
    id: place.id,
    partId: place.partId,
    epoch: place.epoch,
    deliveryId: place.deliveryId,
    from: place.status,
    to: place.status,
    attempts: place.attempts,
    tried: place.attempts,
    dueAt: 0,
    reason: "",
    event: 0,
    at: now,
    code: 0,
    publicId: 0,
    latencyMs: 0,
    enhanced: "",
    stage: "local",
    reply: "",
    mx: "",
    remoteIp: "",
    tls: "",
    transcript: "",
  };
}

/** The row and the event of a settled attempt. */
export function recordOf(
  place: Place,
  outcome: Outcome,
  settlement: Extract<Settlement, { next: "record" }>,
  now: number,
): OutcomeRecord {
  return {
    ...blank(place, now),
    to: statusNumber(settlement.status),
    attempts: Math.min(32767, place.attempts + 1),
    dueAt: settlement.dueAt,
    reason: settlement.reason,
    event: EVENT_TYPES.indexOf(settlement.event),
    code: outcome.code,
    publicId: outcome.publicId,
    // A clock that was put forward in the middle makes an attempt of years.
    latencyMs: Math.min(MOST, Math.max(0, Math.round(outcome.latencyMs))),
    enhanced: outcome.enhanced,
    stage: outcome.stage,
    reply: storable(outcome.text),
    mx: outcome.mx,
    remoteIp: outcome.remoteIp,
    tls: outcome.tls,
    transcript: storable(outcome.transcript.join("\n")),
  };
}

/** PostgreSQL refuses NUL in text; a remote's answer must not stop a batch. */
const storable = (text: string): string => text.replaceAll("\0", "").slice(0, 8000);

/** The last resort for a batch the database refuses again and again: the bare facts, nothing in them that could be refused. */
export function plain(record: OutcomeRecord): OutcomeRecord {
  return {
    ...record,
    code: 0,
    latencyMs: 0,
    enhanced: "",
    reply: record.reply.replace(/[^\x20-\x7e]/g, "?").slice(0, 500),
    transcript: "",
    mx: "",
    remoteIp: "",
    tls: "",
  };
}
