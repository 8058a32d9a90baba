/**
 * The sums a batch changes: what each hit adds to its message, its link and its delivery, for all hits and for people's, and what is taken back when
 * a hit that was counted as a person's turns out to be a machine's. Nothing here decides who made a hit.
 *
 * Every number of people's is at most the number of all: both are counted by the same rows. An open within a minute of one of the same
 * sort (people's, machines') is not counted again.
 */
import type { DeliverySum, DeliverySums, LinkSum } from "../db/tracking-commit.ts";
import type { Reaction, VisitorClicks } from "../db/tracking-state.ts";
import { TRACKING_KINDS, type TrackingKind, type WebHit } from "../model/tracking.ts";
import type { Uncounted } from "../model/visitor.ts";

/** What of a hit is counted. */
export interface Countable {
  /** Epoch ms. */
  readonly at: number;
  readonly kind: TrackingKind;
  readonly deliveryId: number;
  readonly link: number;
  readonly visitor: string;
  /** Of its message; null: anonymous. */
  readonly state: Reaction | null;
  readonly web: WebHit | null;
}

export interface Tally {
  /** Counts a hit, or says why it does not count. */
  count(hit: Countable, person: boolean): Uncounted | "";
  /** A hit that was counted as a person's was a machine's. */
  takeBack(hit: Countable): void;
  readonly links: readonly LinkSum[];
  readonly deliveries: readonly DeliverySums[];
  readonly visitors: readonly VisitorClicks[];
}

export const REPEATED_MS = 60_000;
const PERIOD_MS = 300_000;

/** @param visitors those known of the deliveries and visitors there will be; changed. */
export function openTally(visitors: readonly VisitorClicks[]): Tally {
  const links = new Map<string, LinkSum>();
  const deliveries = new Map<number, DeliverySums>();
  const clickers = new Map(visitors.map((v) => [`${v.deliveryId} ${v.visitor}`, v]));

  function linkOf({ deliveryId, link, kind, at }: Countable): LinkSum {
    const number = TRACKING_KINDS.indexOf(kind);
    const slot = Math.floor(at / PERIOD_MS);
    const key = `${deliveryId} ${link} ${number} ${slot}`;
    let sum = links.get(key);
    if (sum === undefined) {
      sum = { deliveryId, link, kind: number, period: slot * PERIOD_MS, person: 0, machine: 0 };
      links.set(key, sum);
    }
    return sum;
  }

  function deliveryOf(deliveryId: number, who: 0 | 1): DeliverySums {
    const key = deliveryId * 2 + who;
    let sums = deliveries.get(key);
    if (sums === undefined) deliveries.set(key, (sums = { deliveryId, who, ...NO_SUMS }));
    return sums;
  }

  function clicker(deliveryId: number, visitor: string): VisitorClicks {
    const key = `${deliveryId} ${visitor}`;
    let found = clickers.get(key);
    if (found === undefined) clickers.set(key, (found = { deliveryId, visitor, clicks: 0, personClicks: 0 }));
    return found;
  }

  /** Hits of all. */
  function addAll(hit: Countable): void {
    const { state, kind, deliveryId, visitor } = hit;
    const sums = deliveryOf(deliveryId, 0);
    addSums(sums, hit, 1);
    if (state !== null && state.hits++ === 0) sums.recipient_open++;
    if (kind !== "click") return;
    if (state !== null && state.clicks++ === 0) sums.recipient_click++;
    if (visitor === "" || clicker(deliveryId, visitor).clicks++ === 0) sums.person_click++;
  }

  /** A hit of people's, `by` 1, or one less, -1. */
  function addPeople(hit: Countable, by: 1 | -1): void {
    const { state, kind, deliveryId, visitor } = hit;
    const sums = deliveryOf(deliveryId, 1);
    addSums(sums, hit, by);
    /** There was none before, or there is none any more. */
    const edge = (before: number): boolean => before === (by === 1 ? 0 : 1);
    if (state !== null) {
      if (edge(state.personHits)) sums.recipient_open += by;
      state.personHits += by;
    }
    if (kind !== "click") return;
    if (state !== null) {
      if (edge(state.personClicks)) sums.recipient_click += by;
      state.personClicks += by;
    }
    if (visitor === "") sums.person_click += by;
    else {
      const of = clicker(deliveryId, visitor);
      if (edge(of.personClicks)) sums.person_click += by;
      of.personClicks += by;
    }
  }

  return {
    count(hit, person) {
      if (isRepeated(hit, person)) return "repeated";
      // Nobody asks for the sums of a delivery that is not known.
      if (hit.deliveryId === 0) return "";
      addAll(hit);
      if (person) addPeople(hit, 1);
      linkOf(hit)[person ? "person" : "machine"]++;
      return "";
    },
    takeBack(hit) {
      const { state, kind, at } = hit;
      if (kind === "open" && state !== null) {
        state.machineOpenedAt = Math.max(state.machineOpenedAt, at);
        // The next open of a person counts, however near.
        if (at >= state.openedAt) state.openedAt = 0;
      }
      if (hit.deliveryId === 0) return;
      addPeople(hit, -1);
      const sum = linkOf(hit);
      sum.person--;
      sum.machine++;
    },
    get links() {
      return [...links.values()];
    },
    get deliveries() {
      return [...deliveries.values()];
    },
    get visitors() {
      return [...clickers.values()];
    },
  };
}

const NO_SUMS: Readonly<Record<DeliverySum, number>> = {
  recipient_open: 0,
  opens: 0,
  recipient_click: 0,
  person_click: 0,
  clicks: 0,
  opt_outs: 0,
  mirror_pages: 0,
  web_pages: 0,
  transactions: 0,
  amount: 0,
  articles: 0,
};

const SUM_OF: Readonly<Record<TrackingKind, DeliverySum>> = {
  open: "opens",
  click: "clicks",
  unsubscribe: "opt_outs",
  mirror: "mirror_pages",
  page: "web_pages",
  transaction: "transactions",
};

function addSums(sums: DeliverySums, { kind, web }: Countable, by: 1 | -1): void {
  sums[SUM_OF[kind]] += by;
  if (kind !== "transaction" || web === null) return;
  sums.amount += by * web.amount;
  sums.articles += by * web.articles;
}

/** Of an open: was one counted less than a minute from it? Of an unsubscription: was it asked for before? Notes it down if not. */
function isRepeated({ kind, at, state }: Countable, person: boolean): boolean {
  if (state === null) return false;
  if (kind === "unsubscribe") {
    const before = state.optedOut;
    state.optedOut = true;
    return before;
  }
  if (kind !== "open") return false;
  const last = person ? state.openedAt : state.machineOpenedAt;
  if (last > 0 && Math.abs(at - last) < REPEATED_MS) return true;
  if (person) state.openedAt = Math.max(last, at);
  else state.machineOpenedAt = Math.max(last, at);
  return false;
}
