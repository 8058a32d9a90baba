/**
 * Why a message, a delivery or a domain does not move: from facts (what the ledger says, what the statistics server says) to one sentence and
 * to what is waited for. Pure: same facts, same answer. What the ledger knows decides first (final, stopped, paused, its time has not
 * come, nobody there to send it); only what is left is a matter of traffic.
 */
import { harmless } from "./harmless.ts";
import type { HoldKind } from "./traffic.ts";
import type { DeliveryFacts, MessageFacts, TrafficFacts, Why, WhyHold, WhyKind } from "./why-facts.ts";
import { at, by, commanded, finalSentence, sentenceOf, stamp, told, tries } from "./why-text.ts";

/** Which hold matters most: what a person set, then what stops everything, then what lets some through. */
const WEIGHT: readonly WhyKind[] = [
  "draft",
  "paused",
  "in-doubt",
  "suspension",
  "schedule",
  "no-mta",
  "dns",
  "unreachable",
  "tls-policy",
  "back-off",
  "warm-up",
  "stat",
  "quota",
  "connections",
  "unclaimed",
  "turn",
];

/** Holds in the order in which they matter; of equal ones the one that lasts longest first. */
export function byWeight<H extends { readonly kind: WhyKind | HoldKind; readonly until: number }>(
  holds: readonly H[],
): H[] {
  const end = (hold: H): number => (hold.until === 0 ? Number.POSITIVE_INFINITY : hold.until);
  return holds.toSorted((a, b) => WEIGHT.indexOf(a.kind) - WEIGHT.indexOf(b.kind) || end(b) - end(a) || 0);
}

/** What keeps a message, decided by the ledger alone; null: that is a matter of traffic. */
export function whyByLedger(m: MessageFacts, now: number): Why | null {
  const { delivery } = m;
  if (delivery.state === "stopped" && (m.status === "pending" || m.status === "deferred"))
    return final(`Cancelled: delivery ${delivery.id} was stopped${commanded(delivery)}.`);
  if (m.status === "in-doubt")
    return waiting(
      hold("in-doubt", "its delivery's inDoubt policy", m.last?.at ?? 0, 0, "whether it was delivered is not known"),
      "Whether it was delivered is not known: the connection was lost behind the final dot. It waits for a decision (retry, or assume-sent).",
    );
  if (m.status !== "pending" && m.status !== "deferred") return final(finalSentence(m));
  const byDelivery = deliveryHold(delivery);
  if (byDelivery !== null) return waiting(byDelivery, sentenceOf(byDelivery));
  if (delivery.deadline > 0 && delivery.deadline <= now) {
    const late = hold("unclaimed", "the deadline of the delivery", delivery.deadline, 0, "its deadline has passed");
    return waiting(late, `Its deadline passed ${at(delivery.deadline)}: it fails as soon as a machine takes it up.`);
  }
  if (m.status === "deferred" && m.dueAt > now) {
    const why = m.last === null ? "" : ` after ${told(m.last)}`;
    const retry = hold("schedule", "the retry schedule", m.last?.at ?? 0, m.dueAt, `next try${why}`);
    return waiting(retry, `Waits for its next try ${at(m.dueAt)}${why}; ${tries(m.attempts)} so far.`);
  }
  if (m.mtas === 0) {
    const none = hold("no-mta", "nobody", 0, 0, "no mta is running on any machine");
    return waiting(none, "No mta is running on any machine: nothing is being sent.");
  }
  return null;
}

/** Why a message does not move, with what is known of the traffic to its site. */
export function whyByTraffic(m: MessageFacts, traffic: TrafficFacts, now: number): Why {
  if (traffic.kind === "dns") {
    const dns = hold("dns", "the DNS", 0, 0, harmless(traffic.text));
    return waiting(dns, `The DNS does not say where its mail goes: ${dns.text}.`);
  }
  const holds = byWeight(traffic.holds);
  const claimed = m.owner !== "";
  const parked = !claimed && m.partDueAt > now;
  const first = holds[0];
  if (first !== undefined) return { state: "waiting", sentence: sentenceOf(first), hold: first, holds };
  if (traffic.kind === "away") {
    const away = hold("stat", "nobody", 0, 0, traffic.text);
    return {
      state: "unknown",
      sentence: `${claimed ? `${harmless(m.owner)} has it` : "No machine has it"}, and no statistics server answers that would know what it waits for.`,
      hold: away,
      holds: [away],
    };
  }
  if (parked) {
    const text = "its machine gave it back until there is room";
    const back = hold("schedule", "the mta that had it", 0, m.partDueAt, text);
    return waiting(back, `No limit holds its site now; ${text}, and it is looked at again ${at(m.partDueAt)}.`);
  }
  if (!claimed) {
    const since = Math.max(m.partDueAt, m.dueAt, m.acceptedAt);
    const free = hold("unclaimed", "nobody", since, 0, "no machine has claimed it yet");
    return waiting(free, `It is due since ${stamp(since)} and no machine has claimed it yet: others are before it.`);
  }
  return {
    state: "moving",
    sentence: `${harmless(m.owner)} has it, and nothing holds its site: it goes when its turn comes.`,
    hold: null,
    holds: [],
  };
}

/** What keeps all of a delivery, or null. */
export function deliveryHold(d: DeliveryFacts): WhyHold | null {
  const why = d.stateReason === "" ? "" : `: ${harmless(d.stateReason)}`;
  if (d.state === "draft") return hold("draft", "nobody", d.createdAt, 0, "the delivery was not started");
  if (d.state === "paused") return hold("paused", by(d.commandedBy), d.commandedAt, 0, `the delivery is paused${why}`);
  if (d.state === "ready")
    return hold("schedule", "notBefore", d.commandedAt, d.notBefore, "the delivery waits for its notBefore");
  return null;
}

const hold = (kind: WhyKind, by: string, since: number, until: number, text: string): WhyHold => ({
  kind,
  by,
  text,
  since,
  until,
  publicId: null,
});

const final = (sentence: string): Why => ({ state: "final", sentence, hold: null, holds: [] });

const waiting = (first: WhyHold, sentence: string): Why => ({
  state: "waiting",
  sentence,
  hold: first,
  holds: [first],
});
