/**
 * Why a message, or mail to a domain, does not move: the facts of the ledger, and, when they do not decide it, those of the traffic. What web
 * answers and the command line prints. Rejects only when the database does.
 */
import { findDelivery } from "../../db/deliveries.ts";
import { findMessage, type EventRecord, type MessageRecord } from "../../db/messages.ts";
import { mtasSeen, openOfDomain, partFacts } from "../../db/why.ts";
import { whyByLedger, whyByTraffic } from "../../model/why.ts";
import type { DeliveryFacts, LastEvent, MessageFacts, Why } from "../../model/why-facts.ts";
import { type DomainTraffic, trafficOf, type WhyDeps } from "./gather.ts";

/** Least time an mta may be silent and still be there. */
export const SEEN_MS = 60_000;

export interface MessageWhy {
  readonly why: Why;
  readonly message: MessageRecord;
  /** null when the ledger alone decided. */
  readonly traffic: DomainTraffic | null;
}

/** null: there is no such message. */
export async function whyMessage(deps: WhyDeps, id: number): Promise<MessageWhy | null> {
  const { sql, clock } = deps;
  const found = await findMessage(sql, id);
  if (found === null) return null;
  const { message, events } = found;
  const [part, delivery, mtas] = await Promise.all([
    partFacts(sql, message.deliveryId, id),
    findDelivery(sql, message.deliveryId),
    mtasSeen(sql, Math.max(SEEN_MS, deps.mta.leaseMs)),
  ]);
  if (part === null || delivery === null) return null;
  const facts: MessageFacts = {
    status: message.status === "cancelled" && part.delivery.state === "stopped" ? "pending" : message.status,
    reason: message.reason,
    attempts: message.attempts,
    acceptedAt: part.acceptedAt,
    dueAt: message.dueAt?.getTime() ?? 0,
    last: lastEvent(events),
    delivery: part.delivery,
    owner: part.owner,
    partDueAt: part.dueAt,
    mtas: mtas.length,
  };
  const decided = whyByLedger(facts, clock.now());
  if (decided !== null) return { why: decided, message, traffic: null };
  const domain = message.address.slice(message.address.lastIndexOf("@") + 1);
  const traffic = await trafficOf(deps, domain, delivery.affinity);
  return { why: whyByTraffic(facts, traffic.facts, clock.now()), message, traffic };
}

/** The last one that says something of the message itself: a click is no reason. */
function lastEvent(events: readonly EventRecord[]): LastEvent | null {
  const told = events.filter(({ type }) => !["accepted", "opened", "clicked", "unsubscribed"].includes(type));
  const last = told.at(-1);
  if (last === undefined) return null;
  const { type, at, code, enhanced, stage, reason, reply, mx } = last;
  return { type, at: at.getTime(), code, enhanced, stage, reason, reply, mx };
}

export interface DomainReason {
  readonly why: Why;
  readonly traffic: DomainTraffic;
  /** Of all deliveries, in parts of this domain alone. */
  readonly open: number;
  readonly claimed: number;
  readonly deliveries: number;
}

/** What holds mail to a domain, whatever delivery it is of. */
export async function whyDomain(deps: WhyDeps, domain: string): Promise<DomainReason> {
  const { sql, clock } = deps;
  const [traffic, open, mtas] = await Promise.all([
    trafficOf(deps, domain, ""),
    openOfDomain(sql, domain),
    mtasSeen(sql, Math.max(SEEN_MS, deps.mta.leaseMs)),
  ]);
  const now = clock.now();
  const delivery: DeliveryFacts = {
    id: 0,
    state: "sending",
    stateReason: "",
    commandedBy: "",
    commandedAt: 0,
    createdAt: now,
    notBefore: 0,
    deadline: 0,
  };
  const facts: MessageFacts = {
    status: "pending",
    reason: "",
    attempts: 0,
    acceptedAt: now,
    dueAt: 0,
    last: null,
    delivery,
    owner: "an mta",
    partDueAt: 0,
    mtas: mtas.length,
  };
  const why = whyByLedger(facts, now) ?? whyByTraffic(facts, traffic.facts, now);
  const free: Why = { ...why, sentence: "Nothing holds mail to it." };
  return { why: why.state === "moving" ? free : why, traffic, ...open };
}
