/** Rows of the ledger as the API shows them: times as RFC 3339, absent things as null, ids as numbers. */
import type { DeliveryRecord } from "../db/deliveries.ts";
import { type Eta, estimate } from "../model/eta.ts";
import { harmless } from "../model/harmless.ts";
import type { EventRecord, MessageRecord } from "../db/messages.ts";
import type { Suppression } from "../db/suppressions.ts";

function time(at: Date | number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** `eta`: one that knows the limits, where it was asked for. */
export function deliveryAnswer(d: DeliveryRecord, now: number, eta: Eta = etaByRate(d, now)): object {
  return {
    id: d.id,
    name: d.name,
    state: d.state,
    stateReason: d.stateReason,
    commandedBy: d.commandedBy,
    commandedAt: time(d.commandedAt),
    uploading: d.uploading,
    from: d.from,
    affinity: d.affinity,
    priority: d.priority,
    weight: d.weight,
    inDoubt: d.inDoubt,
    retrySchedule: d.retrySchedule,
    validity: d.validity,
    notBefore: time(d.notBefore),
    notAfter: time(d.notAfter),
    deadline: time(d.deadline),
    createdAt: time(d.createdAt),
    startedAt: time(d.startedAt),
    finishedAt: time(d.finishedAt),
    ...progressAnswer(d, now, eta),
  };
}

/** What changes while a delivery is sent. */
export function progressAnswer(d: DeliveryRecord, now: number, eta: Eta = etaByRate(d, now)): object {
  return {
    counters: d.counters,
    rate: Math.round(d.rate * 10) / 10,
    ...etaAnswer(eta),
  };
}

/** When it will be through, null when that is not known, and what that is based on. */
export function etaAnswer({ at, basis, text }: Eta): { eta: string | null; etaBasis: { kind: string; text: string } } {
  return { eta: at === 0 ? null : time(at), etaBasis: { kind: basis, text } };
}

/** By the delivery's own rate alone: what is known without asking anybody. */
export function etaByRate(d: DeliveryRecord, now: number): Eta {
  if (d.state !== "sending") return { at: 0, basis: "none", text: `the delivery is ${d.state}` };
  const open = d.counters.pending + d.counters.deferred;
  return estimate({ now, open, rate: d.rate, sites: [], limitsUnknown: "" });
}

export function messageAnswer(m: MessageRecord): object {
  return {
    id: m.id,
    deliveryId: m.deliveryId,
    address: m.address,
    status: m.status,
    reason: m.reason,
    attempts: m.attempts,
    dueAt: time(m.dueAt),
    variables: m.variables === "" ? {} : (JSON.parse(m.variables) as unknown),
  };
}

/** Only what says something. What a reader's browser said of itself is shown as one harmless line. */
export function eventAnswer(e: EventRecord): object {
  const told = Object.entries({ ...e, ip: harmless(e.ip), userAgent: harmless(e.userAgent) }).filter(
    ([name, value]) => value !== "" && value !== 0 && name !== "at" && name !== "transcript",
  );
  return {
    at: time(e.at),
    ...Object.fromEntries(told),
    ...(e.transcript === "" ? {} : { transcript: e.transcript.split("\n") }),
  };
}

export function suppressionAnswer(s: Suppression): object {
  return { ...s, createdAt: time(s.createdAt), expiresAt: time(s.expiresAt) };
}
