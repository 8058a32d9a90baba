/**
 * Counting a batch of hits: who made each (model/visitor.ts, and over several hits sweep.ts and model/burst.ts), whether it counts, and what
 * all of them change. No question is asked and nothing is written here: records and what is known go in, rows and sums come out.
 */
import type { Batch, Correction, HitRow, OptOut } from "../db/tracking-batch.ts";
import type { EarlierHit, Reaction } from "../db/tracking-state.ts";
import { findBurst, type Followed } from "../model/burst.ts";
import { TRACKING_KINDS, type TrackingRecord, VISITOR_CLASSES } from "../model/tracking.ts";
import { isPerson, type VisitorRule } from "../model/visitor-rule.ts";
import { BURST, classify, networkRule, SWEEP, type Uncounted } from "../model/visitor.ts";
import type { Agent } from "./agents.ts";
import type { Known } from "./known.ts";
import type { Sweeps } from "./sweep.ts";
import { openTally, type Tally } from "./tally.ts";

export interface Counted extends Omit<Batch, "advance" | "damage"> {
  /** Of those who unsubscribed: messages that are not in the ledger any more, so that nobody knows their address. */
  readonly addressless: number;
}

/** A row, and what is not decided of it yet. */
interface Judged extends HitRow {
  readonly hit: TrackingRecord;
  /** null: anonymous. */
  readonly state: Reaction | null;
  class: number;
  rule: string;
  uncounted: Uncounted | "";
}

/** @param nextId of the first row. */
export function countHits(hits: readonly TrackingRecord[], known: Known, sweeps: Sweeps, nextId: number): Counted {
  const rows = hits.map((hit, i) => judge(hit, known.agents[i]!, known, nextId + i));
  findSweeps(rows, sweeps);
  const taken = findBursts(rows, known);
  const tally = openTally(known.visitors);
  const corrections = takeBack(taken, BURST, known.reactions, tally);
  for (const row of rows)
    if (row.uncounted === "") row.uncounted = tally.count(row, row.state, row.hit.web, PEOPLE[row.class]!);
  return {
    rows,
    reactions: [...known.reactions.values()],
    links: tally.links,
    deliveries: tally.deliveries,
    visitors: tally.visitors,
    corrections,
    ...optOutsOf(rows, known),
  };
}

const KINDS = new Map(TRACKING_KINDS.map((kind, i) => [kind, i]));
const CLASSES = new Map(VISITOR_CLASSES.map((made, i) => [made, i]));
const PEOPLE = VISITOR_CLASSES.map(isPerson);
const PERSON = VISITOR_CLASSES.indexOf("person");

function judge(hit: TrackingRecord, agent: Agent, known: Known, id: number): Judged {
  const state = hit.message === 0 ? null : known.reactions.get(hit.message)!;
  if (state !== null && state.deliveryId === 0 && hit.delivery !== 0) adopt(state, hit.delivery);
  const { kind, method, hint, at, ip } = hit;
  const sentAt = state === null ? 0 : state.sentAt || (known.sentSince.get(hit.message) ?? 0);
  const rule = classify({ kind, method, hint, at, agent: agent.rule, network: networkRule(ip), sentAt });
  const deliveryId = state === null ? hit.delivery : state.deliveryId;
  if (state !== null && hint === "trap" && !state.trapped) state.trapped = state.changed = true;
  return {
    id,
    at,
    messageId: hit.message,
    deliveryId,
    userAgent: agent.id,
    link: hit.link,
    kind: KINDS.get(kind)!,
    class: CLASSES.get(rule.class)!,
    rule: rule.id,
    uncounted: hit.delivery !== 0 && hit.delivery !== deliveryId ? "foreign" : hint === "trap" ? "trap" : "",
    hint,
    ip,
    visitor: hit.visitor,
    web: hit.web === null ? "" : JSON.stringify(hit.web),
    hit,
    state,
  };
}

/** The first hit that names the delivery of a message that is not kept any more: those before it are in no sum. */
function adopt(state: Reaction, delivery: number): void {
  state.deliveryId = delivery;
  state.changed = true;
  state.hits = state.clicks = state.personHits = state.personClicks = 0;
}

function become(row: Judged, rule: VisitorRule): void {
  row.class = CLASSES.get(rule.class)!;
  row.rule = rule.id;
}

function findSweeps(rows: readonly Judged[], sweeps: Sweeps): void {
  for (const [i, row] of rows.entries()) {
    if (row.class !== PERSON || row.hit.kind === "unsubscribe") continue;
    const since = sweeps.hit(row.ip, row.userAgent, row.messageId, row.at);
    if (since === 0) continue;
    become(row, SWEEP);
    markBefore(rows, i, since, sweeps);
  }
}

/** Those of the batch that came before it was known for a sweep, back to the first that is known already. */
function markBefore(rows: readonly Judged[], before: number, since: number, sweeps: Sweeps): void {
  const key = sweeps.key(rows[before]!.ip, rows[before]!.userAgent);
  for (let i = before - 1; i >= 0; i--) {
    const row = rows[i]!;
    if (row.hit.kind === "unsubscribe" || sweeps.key(row.ip, row.userAgent) !== key) continue;
    if (row.rule === SWEEP.id) return;
    if (row.class === PERSON && row.at >= since) become(row, SWEEP);
  }
}

interface Suspect extends Followed {
  readonly row: Judged | null;
  readonly earlier: EarlierHit | null;
}

/** Finds bursts; those of the batch become machines at once, those that were counted before are returned. */
function findBursts(rows: readonly Judged[], { earlier }: Known): EarlierHit[] {
  const clicked = new Map<number, number>();
  for (const { hit } of rows)
    if (hit.kind === "click" && hit.message !== 0)
      clicked.set(hit.message, (clicked.get(hit.message) ?? 0) + (hit.hint === "trap" ? 2 : 1));
  const suspects = new Map<number, Suspect[]>();
  for (const [message, before] of earlier) suspects.set(message, before.map(followedBefore));
  // One click alone is no burst.
  for (const [message, clicks] of clicked) if (clicks > 1 && !suspects.has(message)) suspects.set(message, []);
  if (suspects.size === 0) return [];
  for (const row of rows) {
    const { kind, message } = row.hit;
    if (kind === "click" || kind === "open" || kind === "mirror") suspects.get(message)?.push(followed(row));
  }
  const taken: EarlierHit[] = [];
  for (const hits of suspects.values()) {
    for (const { row, earlier } of findBurst(hits)) {
      if (row !== null && PEOPLE[row.class]!) become(row, BURST);
      if (earlier !== null && PEOPLE[earlier.class]!) taken.push(earlier);
    }
  }
  return taken;
}

function suspect(hit: EarlierHit): Omit<Suspect, "row" | "earlier"> {
  const { kind, at, link, ip, userAgent, uncounted } = hit;
  return {
    at,
    kind: TRACKING_KINDS[kind] !== "click" ? "open" : uncounted === "trap" ? "trap" : "click",
    link,
    visitor: ip === "" ? "" : `${ip} ${userAgent}`,
  };
}

const followed = (row: Judged): Suspect => ({ ...suspect(row), row, earlier: null });
const followedBefore = (earlier: EarlierHit): Suspect => ({ ...suspect(earlier), row: null, earlier });

/** Hits that were counted as people's are machines'. */
export function takeBack(
  taken: readonly EarlierHit[],
  rule: VisitorRule | ((hit: EarlierHit) => VisitorRule),
  reactions: ReadonlyMap<number, Reaction>,
  tally: Tally,
): Correction[] {
  return taken.map((hit) => {
    const made = typeof rule === "function" ? rule(hit) : rule;
    if (hit.uncounted === "") tally.takeBack(hit, reactions.get(hit.messageId) ?? null);
    return { id: hit.id, at: hit.at, class: CLASSES.get(made.class)!, rule: made.id };
  });
}

function optOutsOf(rows: readonly Judged[], { addresses }: Known): { optOuts: OptOut[]; addressless: number } {
  const optOuts: OptOut[] = [];
  let addressless = 0;
  for (const { hit, deliveryId } of rows) {
    if (hit.kind !== "unsubscribe") continue;
    const address = addresses.get(hit.message);
    const source = hit.hint === "one-click" ? "one-click" : "page";
    if (address === undefined) addressless++;
    else optOuts.push({ address, source, note: `delivery ${deliveryId}, message ${hit.message}` });
  }
  return { optOuts, addressless };
}
