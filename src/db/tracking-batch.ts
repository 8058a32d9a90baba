/**
 * A batch of hits and all it changes, and how it is packed for the database: every column one array, as text. That takes as long as counting does,
 * so it is done while the batch before is being committed (tracking-commit.ts sends it).
 */
import { arrayText } from "./array-types.ts";
import { OPTED_OUT, type Reaction, TRAPPED, type VisitorClicks } from "./tracking-state.ts";

/** A row of table `tracking`. */
export interface HitRow {
  readonly id: number;
  /** Epoch ms. */
  readonly at: number;
  readonly messageId: number;
  readonly deliveryId: number;
  readonly kind: number;
  readonly link: number;
  readonly class: number;
  readonly rule: string;
  readonly uncounted: string;
  readonly hint: string;
  readonly ip: string;
  readonly userAgent: number;
  readonly visitor: string;
  /** JSON, '' for none. */
  readonly web: string;
}

/** A hit that was counted as a person's and is not. */
export interface Correction {
  readonly id: number;
  /** Epoch ms. */
  readonly at: number;
  readonly class: number;
  readonly rule: string;
}

/** What is added to the hits of a link in five minutes; may be below 0. */
export interface LinkSum {
  readonly deliveryId: number;
  readonly link: number;
  readonly kind: number;
  /** Epoch ms, a multiple of five minutes. */
  readonly period: number;
  person: number;
  machine: number;
}

export const DELIVERY_SUMS = [
  "recipient_open",
  "opens",
  "recipient_click",
  "person_click",
  "clicks",
  "opt_outs",
  "mirror_pages",
  "web_pages",
  "transactions",
  "amount",
  "articles",
] as const;
export type DeliverySum = (typeof DELIVERY_SUMS)[number];

/** What is added to the sums of a delivery. */
export interface DeliverySums extends Record<DeliverySum, number> {
  readonly deliveryId: number;
  /** 0: all hits; 1: people's. */
  readonly who: 0 | 1;
}

export interface OptOut {
  readonly address: string;
  readonly source: string;
  readonly note: string;
}

export interface Damage {
  readonly position: number;
  readonly octets: number;
  /** 0: a gap. */
  readonly records: number;
  readonly reason: string;
  readonly content: Uint8Array;
}

/** How far a log was read for the batch. */
export interface Advance {
  readonly log: string;
  readonly from: number;
  readonly to: number;
  readonly records: number;
  /** As the server says. */
  readonly lost: number;
}

export interface Batch {
  /** With the ids from the fence on. */
  readonly rows: readonly HitRow[];
  readonly reactions: readonly Reaction[];
  readonly links: readonly LinkSum[];
  readonly deliveries: readonly DeliverySums[];
  readonly visitors: readonly VisitorClicks[];
  readonly corrections: readonly Correction[];
  readonly optOuts: readonly OptOut[];
  readonly damage: readonly Damage[];
  /** null: no log was read for it. */
  readonly advance: Advance | null;
}

/** Columns by name, each an array as text. */
type Columns<K extends string> = Readonly<Record<K, string>>;
type ReactionColumns = Columns<Exclude<keyof Reaction, "optedOut" | "trapped" | "fresh" | "changed"> | "flags">;

export interface PackedBatch {
  /** How many rows. */
  readonly hits: number;
  /** Of the newest hit, epoch ms; 0 for none. */
  readonly newest: number;
  readonly rows: Columns<keyof HitRow>;
  readonly newReactions: ReactionColumns;
  readonly reactions: ReactionColumns;
  readonly links: Columns<keyof LinkSum>;
  readonly deliveries: Columns<keyof DeliverySums>;
  readonly visitors: Columns<keyof VisitorClicks>;
  readonly corrections: Columns<"id" | "class" | "rule">;
  /** Between which times the corrected rows lie, epoch ms: leaves of other months are not looked at. */
  readonly corrected: readonly [from: number, to: number];
  readonly optOuts: Columns<keyof OptOut>;
  readonly damage: Columns<keyof Damage>;
  readonly damagedRecords: number;
  readonly missingOctets: number;
  readonly advance: Advance | null;
}

export function packBatch(batch: Batch): PackedBatch {
  const { rows, corrections, damage } = batch;
  const times = corrections.map(({ at }) => at);
  return {
    hits: rows.length,
    newest: rows.reduce((most, { at }) => Math.max(most, at), 0),
    rows: packRows(rows),
    newReactions: packReactions(batch.reactions, true),
    reactions: packReactions(batch.reactions, false),
    links: columns(inOrder(batch.links), ["deliveryId", "link", "kind", "period", "person", "machine"]),
    deliveries: {
      ...columns(batch.deliveries, ["deliveryId", "who", ...DELIVERY_SUMS]),
      amount: arrayText(batch.deliveries.map(({ amount }) => amount.toFixed(4))),
    },
    visitors: columns(batch.visitors, ["deliveryId", "visitor", "clicks", "personClicks"]),
    corrections: columns(corrections, ["id", "class", "rule"]),
    corrected: [times.reduce((a, b) => Math.min(a, b), times[0] ?? 1), times.reduce((a, b) => Math.max(a, b), 1)],
    optOuts: columns(batch.optOuts, ["address", "source", "note"]),
    damage: {
      ...columns(damage, ["position", "octets", "records", "reason"]),
      content: arrayText(damage.map(({ content }) => Buffer.from(content).toString("hex"))),
    },
    damagedRecords: damage.reduce((n, { records }) => n + records, 0),
    missingOctets: damage.reduce((n, { records, octets }) => n + (records === 0 ? octets : 0), 0),
    advance: batch.advance,
  };
}

/** As they stand in the index. */
function inOrder(links: readonly LinkSum[]): LinkSum[] {
  return [...links].sort(
    (a, b) => a.deliveryId - b.deliveryId || a.link - b.link || a.kind - b.kind || a.period - b.period,
  );
}

function columns<T, K extends keyof T & string>(all: readonly T[], names: readonly K[]): Columns<K> {
  return Object.fromEntries(names.map((name) => [name, arrayText(all.map((one) => one[name]))])) as Columns<K>;
}

/** Written out, column by column: a property that is asked for by a variable name costs three times as much. */
function packRows(rows: readonly HitRow[]): Columns<keyof HitRow> {
  // Neighbours in the index by message go in together.
  const sorted = [...rows].sort((a, b) => a.messageId - b.messageId || a.id - b.id);
  return {
    id: arrayText(sorted.map((r) => r.id)),
    at: arrayText(sorted.map((r) => r.at)),
    messageId: arrayText(sorted.map((r) => r.messageId)),
    deliveryId: arrayText(sorted.map((r) => r.deliveryId)),
    userAgent: arrayText(sorted.map((r) => r.userAgent)),
    link: arrayText(sorted.map((r) => r.link)),
    kind: arrayText(sorted.map((r) => r.kind)),
    class: arrayText(sorted.map((r) => r.class)),
    rule: arrayText(sorted.map((r) => r.rule)),
    ip: arrayText(sorted.map((r) => r.ip)),
    uncounted: rare(sorted.map((r) => r.uncounted)),
    hint: rare(sorted.map((r) => r.hint)),
    visitor: rare(sorted.map((r) => r.visitor)),
    web: rare(sorted.map((r) => r.web)),
  };
}

/** A column that most rows leave empty: nothing is sent when all do, and null stands for the empty ones. */
function rare(values: readonly string[]): string {
  return values.some((value) => value !== "") ? arrayText(values.map((value) => value || null)) : "{}";
}

/** Those that were changed, in order: the new ones, or those that are there. */
function packReactions(reactions: readonly Reaction[], fresh: boolean): ReactionColumns {
  const all = reactions.filter((one) => one.changed && one.fresh === fresh).sort((a, b) => a.messageId - b.messageId);
  return {
    messageId: arrayText(all.map((r) => r.messageId)),
    deliveryId: arrayText(all.map((r) => r.deliveryId)),
    sentAt: arrayText(all.map((r) => r.sentAt)),
    openedAt: arrayText(all.map((r) => r.openedAt)),
    machineOpenedAt: arrayText(all.map((r) => r.machineOpenedAt)),
    flags: arrayText(all.map((r) => (r.optedOut ? OPTED_OUT : 0) | (r.trapped ? TRAPPED : 0))),
    hits: arrayText(all.map((r) => r.hits)),
    clicks: arrayText(all.map((r) => r.clicks)),
    personHits: arrayText(all.map((r) => r.personHits)),
    personClicks: arrayText(all.map((r) => r.personClicks)),
  };
}
