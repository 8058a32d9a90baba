/**
 * The sums a batch changes: what each hit adds to its message, its link and its delivery, for all hits and for people's, and what is taken back when
 * a hit that was counted as a person's turns out to be a machine's. Nothing here decides who made a hit.
 *
 * Every number of people's is at most the number of all: both are counted by the same rows. An open within a minute of one of the same
 * sort (people's, machines') is not counted again.
 */
import type { DeliverySum, DeliverySums, LinkSum } from "../db/tracking-batch.ts";
import type { Reaction, VisitorClicks } from "../db/tracking-state.ts";
import { TRACKING_KINDS, type TrackingKind, type WebHit } from "../model/tracking.ts";
import type { Uncounted } from "../model/visitor.ts";

/** What of a hit is counted. */
export interface Countable {
  /** Epoch ms. */
  readonly at: number;
  /** Number in TRACKING_KINDS. */
  readonly kind: number;
  readonly deliveryId: number;
  readonly link: number;
  readonly visitor: string;
}

export interface Tally {
  /**
   * Counts a hit, or says why it does not count.
   * @param state of its message; null: anonymous.
   */
  count(hit: Countable, state: Reaction | null, web: WebHit | null, person: boolean): Uncounted | "";
  /** A hit that was counted as a person's was a machine's; it is no transaction. */
  takeBack(hit: Countable, state: Reaction | null): void;
  readonly links: readonly LinkSum[];
  readonly deliveries: readonly DeliverySums[];
  readonly visitors: readonly VisitorClicks[];
}

const REPEATED_MS = 60_000;
const PERIOD_MS = 300_000;

/** @param visitors those known of the deliveries and visitors there will be; changed. */
export function openTally(visitors: readonly VisitorClicks[]): Tally {
  const links = new Map<number, Map<number, LinkSum>>();
  const deliveries = new Map<number, DeliverySums>();
  const clickers = new Map(visitors.map((v) => [`${v.deliveryId} ${v.visitor}`, v]));

  function linkOf({ deliveryId, link, kind, at }: Countable): LinkSum {
    let of = links.get(deliveryId);
    if (of === undefined) links.set(deliveryId, (of = new Map()));
    const slot = Math.floor(at / PERIOD_MS);
    // 31 bits of link, 3 of kind, 19 of period (five years of them).
    const key = (link * 8 + kind) * 0x80000 + (slot % 0x80000);
    let sum = of.get(key);
    if (sum === undefined) {
      sum = { deliveryId, link, kind, period: slot * PERIOD_MS, person: 0, machine: 0 };
      of.set(key, sum);
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
  function addAll(hit: Countable, state: Reaction | null, web: WebHit | null): void {
    const { kind, deliveryId, visitor } = hit;
    const sums = deliveryOf(deliveryId, 0);
    addSums(sums, kind, web, 1);
    if (state !== null && state.hits++ === 0) sums.recipient_open++;
    if (kind !== CLICK) return;
    if (state !== null && state.clicks++ === 0) sums.recipient_click++;
    if (visitor === "" || clicker(deliveryId, visitor).clicks++ === 0) sums.person_click++;
  }

  /** A hit of people's, `by` 1, or one less, -1. */
  function addPeople(hit: Countable, state: Reaction | null, web: WebHit | null, by: 1 | -1): void {
    const { kind, deliveryId, visitor } = hit;
    const sums = deliveryOf(deliveryId, 1);
    addSums(sums, kind, web, by);
    /** There was none before, or there is none any more. */
    const edge = by === 1 ? 0 : 1;
    if (state !== null) {
      if (state.personHits === edge) sums.recipient_open += by;
      state.personHits += by;
    }
    if (kind !== CLICK) return;
    if (state !== null) {
      if (state.personClicks === edge) sums.recipient_click += by;
      state.personClicks += by;
    }
    if (visitor === "") sums.person_click += by;
    else {
      const of = clicker(deliveryId, visitor);
      if (of.personClicks === edge) sums.person_click += by;
      of.personClicks += by;
    }
  }

  return {
    count(hit, state, web, person) {
      if (state !== null) {
        if (isRepeated(hit, state, person)) return "repeated";
        state.changed = true;
      }
      // Nobody asks for the sums of a delivery that is not known.
      if (hit.deliveryId === 0) return "";
      addAll(hit, state, web);
      if (person) addPeople(hit, state, web, 1);
      linkOf(hit)[person ? "person" : "machine"]++;
      return "";
    },
    takeBack(hit, state) {
      const { kind, at } = hit;
      if (state !== null) state.changed = true;
      if (kind === OPEN && state !== null) {
        state.machineOpenedAt = Math.max(state.machineOpenedAt, at);
        // The next open of a person counts, however near.
        if (at >= state.openedAt) state.openedAt = 0;
      }
      if (hit.deliveryId === 0) return;
      addPeople(hit, state, null, -1);
      const sum = linkOf(hit);
      sum.person--;
      sum.machine++;
    },
    get links() {
      return [...links.values()].flatMap((of) => [...of.values()]);
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

const [OPEN, CLICK, UNSUBSCRIBE, TRANSACTION] = (["open", "click", "unsubscribe", "transaction"] as const).map((kind) =>
  TRACKING_KINDS.indexOf(kind),
);

const SUM_OF_KIND: Readonly<Record<TrackingKind, DeliverySum>> = {
  open: "opens",
  click: "clicks",
  unsubscribe: "opt_outs",
  mirror: "mirror_pages",
  page: "web_pages",
  transaction: "transactions",
};
const SUM_OF = TRACKING_KINDS.map((kind) => SUM_OF_KIND[kind]);

function addSums(sums: DeliverySums, kind: number, web: WebHit | null, by: 1 | -1): void {
  sums[SUM_OF[kind]!] += by;
  if (kind !== TRANSACTION || web === null) return;
  sums.amount += by * web.amount;
  sums.articles += by * web.articles;
}

/** Of an open: was one counted less than a minute from it? Of an unsubscription: was it asked for before? Notes it down if not. */
function isRepeated({ kind, at }: Countable, state: Reaction, person: boolean): boolean {
  if (kind === UNSUBSCRIBE) {
    const before = state.optedOut;
    state.optedOut = true;
    return before;
  }
  if (kind !== OPEN) return false;
  const last = person ? state.openedAt : state.machineOpenedAt;
  if (last > 0 && Math.abs(at - last) < REPEATED_MS) return true;
  if (person) state.openedAt = Math.max(last, at);
  else state.machineOpenedAt = Math.max(last, at);
  return false;
}
