/**
 * Counting a batch of hits: who made each (model/visitor.ts, and over several hits sweep.ts and model/burst.ts), whether it counts, and what
 * all of them change. No question is asked and nothing is written here: records and what is known go in, rows and sums come out.
 */
import type { Batch, Correction, HitRow, OptOut } from "../db/tracking-commit.ts";
import type { EarlierHit, Reaction } from "../db/tracking-state.ts";
import { findBurst, type Followed } from "../model/burst.ts";
import { TRACKING_KINDS, type TrackingRecord, VISITOR_CLASSES } from "../model/tracking.ts";
import { isPerson, type VisitorRule } from "../model/visitor-rule.ts";
import { BURST, classify, networkRule, SWEEP, type Uncounted } from "../model/visitor.ts";
import type { Known } from "./known.ts";
import type { Sweeps } from "./sweep.ts";
import { openTally, type Tally } from "./tally.ts";

export type Counted = Omit<Batch, "advance" | "damage"> & {
  /** Of those who unsubscribed: messages that are not in the ledger any more, so that nobody knows their address. */
  readonly addressless: number;
};

/** A hit, and what is decided of it so far. */
interface Judged {
  readonly hit: TrackingRecord;
  /** null: anonymous. */
  readonly state: Reaction | null;
  readonly deliveryId: number;
  readonly agent: number;
  rule: VisitorRule;
  uncounted: Uncounted | "";
}

export function countHits(hits: readonly TrackingRecord[], known: Known, sweeps: Sweeps): Counted {
  const judged = hits.map((hit) => judge(hit, known));
  findSweeps(judged, sweeps);
  const taken = findBursts(judged, known);
  const tally = openTally(known.visitors);
  const corrections = takeBack(taken, BURST, known.reactions, tally);
  for (const one of judged) {
    const { hit, state, deliveryId } = one;
    if (one.uncounted === "") one.uncounted = tally.count({ ...hit, state, deliveryId }, isPerson(one.rule.class));
  }
  const { optOuts, addressless } = optOutsOf(judged, known);
  return {
    rows: judged.map(rowOf),
    reactions: [...known.reactions.values()],
    links: tally.links,
    deliveries: tally.deliveries,
    visitors: tally.visitors,
    corrections,
    optOuts,
    addressless,
  };
}

function judge(hit: TrackingRecord, known: Known): Judged {
  const state = known.reactions.get(hit.message) ?? null;
  if (state !== null && state.deliveryId === 0 && hit.delivery !== 0) adopt(state, hit.delivery);
  const agent = known.agents(hit.userAgent);
  const rule = classify({
    kind: hit.kind,
    method: hit.method,
    hint: hit.hint,
    at: hit.at,
    agent: agent.rule,
    network: networkRule(hit.ip),
    sentAt: state?.sentAt || (known.sentSince.get(hit.message) ?? 0),
  });
  const deliveryId = state?.deliveryId ?? hit.delivery;
  return {
    hit,
    state,
    deliveryId,
    agent: agent.id,
    rule,
    uncounted: hit.delivery !== 0 && hit.delivery !== deliveryId ? "foreign" : hit.hint === "trap" ? "trap" : "",
  };
}

/** The first hit that names the delivery of a message that is not kept any more: those before it are in no sum. */
function adopt(state: Reaction, delivery: number): void {
  state.deliveryId = delivery;
  state.hits = state.clicks = state.personHits = state.personClicks = 0;
}

function findSweeps(judged: readonly Judged[], sweeps: Sweeps): void {
  sweeps.begin();
  for (const [i, { hit, rule, agent }] of judged.entries()) {
    if (rule.class !== "person" || hit.kind === "unsubscribe") continue;
    for (const swept of sweeps.hit(hit.ip, agent, hit.message, hit.at, i)) judged[swept]!.rule = SWEEP;
  }
}

interface Suspect extends Followed {
  readonly judged: Judged | null;
  readonly earlier: EarlierHit | null;
}

/** Finds bursts; those of the batch become machines at once, those that were counted before are returned. */
function findBursts(judged: readonly Judged[], { earlier }: Known): EarlierHit[] {
  const clicked = new Map<number, number>();
  for (const { hit } of judged)
    if (hit.kind === "click" && hit.message !== 0)
      clicked.set(hit.message, (clicked.get(hit.message) ?? 0) + (hit.hint === "trap" ? 2 : 1));
  const suspects = new Map<number, Suspect[]>();
  // One click alone is no burst.
  for (const [message, clicks] of clicked) {
    const before = earlier.get(message);
    if (clicks > 1 || before !== undefined) suspects.set(message, (before ?? []).map(followedBefore));
  }
  for (const one of judged) {
    const { kind, message } = one.hit;
    if (kind === "click" || kind === "open" || kind === "mirror") suspects.get(message)?.push(followed(one));
  }
  const taken: EarlierHit[] = [];
  for (const hits of suspects.values()) {
    for (const { judged, earlier } of findBurst(hits)) {
      if (judged !== null && isPerson(judged.rule.class)) judged.rule = BURST;
      if (earlier !== null && isPerson(VISITOR_CLASSES[earlier.class]!)) taken.push(earlier);
    }
  }
  return taken;
}

function followed(judged: Judged): Suspect {
  const { kind, at, link, ip, hint } = judged.hit;
  return {
    at,
    kind: kind !== "click" ? "open" : hint === "trap" ? "trap" : "click",
    link,
    visitor: ip === "" ? "" : `${ip} ${judged.agent}`,
    judged,
    earlier: null,
  };
}

function followedBefore(earlier: EarlierHit): Suspect {
  const { kind, at, link, ip, userAgent, uncounted } = earlier;
  return {
    at,
    kind: TRACKING_KINDS[kind] !== "click" ? "open" : uncounted === "trap" ? "trap" : "click",
    link,
    visitor: ip === "" ? "" : `${ip} ${userAgent}`,
    judged: null,
    earlier,
  };
}

/** Hits that were counted as people's are machines'. */
export function takeBack(
  taken: readonly EarlierHit[],
  rule: VisitorRule | ((hit: EarlierHit) => VisitorRule),
  reactions: ReadonlyMap<number, Reaction>,
  tally: Tally,
): Correction[] {
  return taken.map((hit) => {
    const { id, at, deliveryId, link, visitor, messageId } = hit;
    const { class: made, id: why } = typeof rule === "function" ? rule(hit) : rule;
    if (hit.uncounted === "") {
      const kind = TRACKING_KINDS[hit.kind]!;
      tally.takeBack({ at, kind, deliveryId, link, visitor, state: reactions.get(messageId) ?? null, web: null });
    }
    return { id, at, class: VISITOR_CLASSES.indexOf(made), rule: why };
  });
}

function optOutsOf(judged: readonly Judged[], { addresses }: Known): { optOuts: OptOut[]; addressless: number } {
  const optOuts: OptOut[] = [];
  let addressless = 0;
  for (const { hit, deliveryId } of judged) {
    if (hit.kind !== "unsubscribe") continue;
    const address = addresses.get(hit.message);
    if (address === undefined) addressless++;
    else
      optOuts.push({
        address,
        source: hit.hint === "one-click" ? "one-click" : "page",
        note: `delivery ${deliveryId}, message ${hit.message}`,
      });
  }
  return { optOuts, addressless };
}

function rowOf({ hit, deliveryId, agent, rule, uncounted }: Judged): HitRow {
  return {
    at: hit.at,
    messageId: hit.message,
    deliveryId,
    kind: TRACKING_KINDS.indexOf(hit.kind),
    link: hit.link,
    class: VISITOR_CLASSES.indexOf(rule.class),
    rule: rule.id,
    uncounted,
    hint: hit.hint,
    ip: hit.ip,
    userAgent: agent,
    visitor: hit.visitor,
    web: hit.web === null ? "" : JSON.stringify(hit.web),
  };
}
