/**
 * Why a delivery does not move, or how fast it does and until when: its state, then its largest domains one by one, and the time it will take
 * under the limits of now. Rejects only when the database does.
 */
import { type DeliveryRecord, findDelivery } from "../../db/deliveries.ts";
import { deliveryFacts, mtasSeen, openByDomain, type OpenByDomain, openInMixedParts } from "../../db/why.ts";
import { type Eta, estimate, type OpenAtSite, perHourOf } from "../../model/eta.ts";
import { harmless } from "../../model/harmless.ts";
import { byWeight, deliveryHold, whyByLedger, whyByTraffic } from "../../model/why.ts";
import type { DeliveryFacts, MessageFacts, Why, WhyHold } from "../../model/why-facts.ts";
import { sentenceOf, stamp } from "../../model/why-text.ts";
import type { SiteAnswer } from "../../quota/answers.ts";
import { type DomainTraffic, publicIdsOf, trafficOf, type WhyDeps } from "./gather.ts";
import { SEEN_MS } from "./message.ts";

/** Domains of a delivery that are looked at one by one: the largest. */
const DOMAINS = 10;

export interface DomainWhy extends OpenByDomain {
  readonly why: Why;
  readonly traffic: DomainTraffic;
}

export interface DeliveryWhy {
  readonly why: Why;
  readonly delivery: DeliveryRecord;
  /** The largest domains with open messages, and what holds each. */
  readonly domains: readonly DomainWhy[];
  /** Open messages of other domains: smaller ones, and most of those in parts that mix domains. */
  readonly others: number;
  readonly eta: Eta;
}

/** null: there is no such delivery. */
export async function whyDelivery(deps: WhyDeps, id: number): Promise<DeliveryWhy | null> {
  const { sql } = deps;
  const [delivery, facts] = await Promise.all([findDelivery(sql, id), deliveryFacts(sql, id)]);
  if (delivery === null || facts === null) return null;
  const { counters } = delivery;
  const open = counters.pending + counters.deferred;
  const held = deliveryHold(facts);
  const none: Eta = { at: 0, basis: "none", text: held?.text ?? "nothing is open" };
  const simple = (why: Why): DeliveryWhy => ({ why, delivery, domains: [], others: open, eta: none });
  if (facts.state === "stopped" || facts.state === "finished") return simple(overWhy(facts, delivery));
  if (held !== null) return simple({ state: "waiting", sentence: sentenceOf(held), hold: held, holds: [held] });
  const mtas = await mtasSeen(sql, Math.max(SEEN_MS, deps.mta.leaseMs));
  const domains = await domainsOf(deps, delivery, facts, mtas.length);
  const eta = etaOf(deps, delivery, domains);
  const others = open - domains.reduce((sum, { open }) => sum + open, 0);
  return { why: sumUp(domains, open, mtas.length, delivery), delivery, domains, others: Math.max(0, others), eta };
}

function etaOf(deps: WhyDeps, delivery: DeliveryRecord, domains: readonly DomainWhy[]): Eta {
  const { counters, rate } = delivery;
  const away = domains.map(({ traffic }) => traffic.facts).find(({ kind }) => kind === "away");
  return estimate({
    now: deps.clock.now(),
    open: counters.pending + counters.deferred,
    rate,
    sites: sitesOf(deps, domains, delivery.affinity),
    limitsUnknown: away?.kind === "away" ? away.text : "",
  });
}

async function domainsOf(
  deps: WhyDeps,
  delivery: DeliveryRecord,
  facts: DeliveryFacts,
  mtas: number,
): Promise<DomainWhy[]> {
  const named = await largest(deps, delivery.id);
  return Promise.all(
    named.map(async (one): Promise<DomainWhy> => {
      const traffic = await trafficOf(deps, one.domain, delivery.affinity);
      const message: MessageFacts = {
        status: "pending",
        reason: "",
        attempts: 0,
        acceptedAt: facts.createdAt,
        dueAt: 0,
        last: null,
        delivery: facts,
        owner: one.claimed > 0 ? "an mta" : "",
        partDueAt: one.dueAt,
        mtas,
      };
      const now = deps.clock.now();
      const why = retryWhy(one, now) ?? whyByLedger(message, now) ?? whyByTraffic(message, traffic.facts, now);
      return { ...one, traffic, why };
    }),
  );
}

/** The domains with most open messages: those with parts of their own, and those of which the parts that mix domains have most. */
async function largest({ sql }: WhyDeps, id: number): Promise<OpenByDomain[]> {
  const own = await openByDomain(sql, id, DOMAINS + 1);
  const named = own.filter(({ domain }) => domain !== "");
  const mixed = named.length < own.length ? await openInMixedParts(sql, id, DOMAINS) : [];
  const byDomain = Map.groupBy([...named, ...mixed], ({ domain }) => domain);
  return [...byDomain.values()]
    .map((of) => of.reduce(together))
    .sort((a, b) => b.open - a.open || (a.domain < b.domain ? -1 : 1))
    .slice(0, DOMAINS);
}

function together(a: OpenByDomain, b: OpenByDomain): OpenByDomain {
  return {
    domain: a.domain,
    open: a.open + b.open,
    claimed: a.claimed + b.claimed,
    deferred: a.deferred + b.deferred,
    dueAt: a.dueAt === 0 || b.dueAt === 0 ? Math.max(a.dueAt, b.dueAt) : Math.min(a.dueAt, b.dueAt),
  };
}

/** All that is open was tried, and none of it is due: that is what it waits for, whatever holds the site meanwhile. */
function retryWhy({ open, deferred, claimed, dueAt }: OpenByDomain, now: number): Why | null {
  if (deferred < open || claimed > 0 || dueAt <= now) return null;
  const text = "all of it was tried, and waits for its next try";
  const hold: WhyHold = { kind: "schedule", by: "the retry schedule", text, since: 0, until: dueAt, publicId: null };
  return { state: "waiting", sentence: sentenceOf(hold), hold, holds: [hold] };
}

/** Of a delivery that is over: what became of it. */
function overWhy(facts: DeliveryFacts, { counters, finishedAt }: DeliveryRecord): Why {
  const when = finishedAt === null ? "" : ` at ${stamp(finishedAt.getTime())}`;
  const counts = `${counters.sent} sent, ${counters.failed} failed, ${counters.cancelled} cancelled`;
  const who = facts.state === "stopped" && facts.commandedBy !== "" ? ` by ${harmless(facts.commandedBy, 100)}` : "";
  const reason = facts.state === "stopped" && facts.stateReason !== "" ? ` (${harmless(facts.stateReason)})` : "";
  const sentence = `${facts.state === "stopped" ? "Stopped" : "Finished"}${who}${when}${reason}: ${counts}.`;
  return { state: "final", sentence, hold: null, holds: [] };
}

/** What most of a delivery waits for: the hold of the domain with most open messages that has one. */
function sumUp(domains: readonly DomainWhy[], open: number, mtas: number, { rate }: DeliveryRecord): Why {
  if (open === 0) return { state: "moving", sentence: "Nothing of it is open.", hold: null, holds: [] };
  const held = domains.filter(({ why }) => why.state === "waiting" || why.state === "unknown");
  const [first] = held;
  const speed = rate > 0 ? `${Math.round(rate * 10) / 10} messages a second were settled in the last minute` : "";
  if (first === undefined || first.why.hold === null) {
    if (mtas === 0) return { state: "waiting", sentence: "No mta is running on any machine.", hold: null, holds: [] };
    return {
      state: "moving",
      sentence: speed === "" ? "Nothing holds it." : `It goes: ${speed}.`,
      hold: null,
      holds: [],
    };
  }
  const holds = byWeight(held.flatMap(({ why }) => why.holds));
  const state = rate > 0 ? "moving" : first.why.state;
  const sentence = `${first.open} of ${open} open messages are for ${first.domain}: ${first.why.sentence}`;
  return { state, sentence: speed === "" ? sentence : `${sentence} ${speed}.`, hold: first.why.hold, holds };
}

/** Open messages by site, with what its limits allow from the outgoing IPs of the delivery. */
function sitesOf(deps: WhyDeps, domains: readonly DomainWhy[], affinity: string): OpenAtSite[] {
  const bySite = new Map<string, OpenAtSite>();
  for (const { domain, open, traffic } of domains) {
    if (traffic.answer === null || traffic.facts.kind !== "known") continue;
    const { site } = traffic.facts;
    const known = bySite.get(site);
    if (known !== undefined) bySite.set(site, { ...known, open: known.open + open });
    else bySite.set(site, { site, open, ...allowed(traffic.answer, publicIdsOf(deps.mta, affinity, domain)) });
  }
  return [...bySite.values()];
}

/** Messages an hour over all counters of a site: one of a rule, of each IP, or of each path, as its scope says. */
function allowed(answer: SiteAnswer, publicIds: readonly number[]): Pick<OpenAtSite, "perHour" | "rule" | "stop"> {
  const ours = answer.limits.filter(({ publicId }) => publicIds.includes(publicId));
  const counters = new Map<string, number>();
  for (const { publicId, ip, limits } of ours) {
    const of = { rule: "", ip: `${publicId}`, path: `${publicId} ${ip}` }[limits.scope];
    counters.set(`${limits.rule} ${of}`, perHourOf(limits));
  }
  const each = [...counters.values()];
  const free = ours.length === 0 || ours.some(({ hold }) => hold === null);
  // 0 stands for no end, which is the latest of all; the first of them to end lets messages go.
  const end = (hold: { readonly until: number }): number => (hold.until === 0 ? Number.POSITIVE_INFINITY : hold.until);
  const [stop = null] = free
    ? []
    : ours
        .flatMap(({ hold, publicId }): WhyHold[] => (hold === null ? [] : [{ ...hold, publicId }]))
        .toSorted((a, b) => end(a) - end(b));
  return {
    perHour: each.some((n) => n === 0) ? 0 : each.reduce((sum, n) => sum + n, 0),
    rule: ours[0]?.rule ?? "",
    stop,
  };
}
