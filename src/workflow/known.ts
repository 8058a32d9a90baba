/**
 * Everything that has to be known to count a batch of hits, read with a few questions, whatever the batch is made of. While it is read, the batch
 * before may still be on its way into the database: what that one changes is taken from it (UnderWay), and whether the database shows it
 * already or not makes no difference.
 */
import type { Sql } from "../db/sql.ts";
import type { Correction, HitRow } from "../db/tracking-batch.ts";
import {
  type EarlierHit,
  type KnownMessage,
  NEVER_KNOWN,
  NOT_ASKED,
  type Reaction,
  readEarlier,
  readMessages,
  readReactions,
  readSent,
  readVisitors,
  type VisitorClicks,
} from "../db/tracking-state.ts";
import { BURST_MS } from "../model/burst.ts";
import { TRACKING_KINDS, type TrackingRecord } from "../model/tracking.ts";
import { isEarly } from "../model/visitor.ts";
import type { Agent, Agents } from "./agents.ts";
import type { EndedDeliveries } from "./ended.ts";

/** A batch that is being committed: what will be there when it is. */
export interface UnderWay {
  /** In order of id, without a gap. */
  readonly rows: readonly HitRow[];
  readonly reactions: ReadonlyMap<number, Reaction>;
  readonly visitors: readonly VisitorClicks[];
  readonly corrections: readonly Correction[];
}

export interface Known {
  /** Of each hit. */
  readonly agents: readonly Agent[];
  /** Of each message of the batch, new ones too; 0 (anonymous) has none. Counting changes them. */
  readonly reactions: Map<number, Reaction>;
  /** When messages were sent that could not be told when their first hit came; epoch ms. */
  readonly sentSince: ReadonlyMap<number, number>;
  readonly addresses: ReadonlyMap<number, string>;
  readonly earlier: ReadonlyMap<number, readonly EarlierHit[]>;
  readonly visitors: VisitorClicks[];
}

/** What a batch says of a message. */
interface Named {
  /** The delivery a hit names, 0 for none. */
  delivery: number;
  /** Of the first hit, epoch ms. */
  at: number;
}

interface Wanted {
  readonly messages: Map<number, Named>;
  readonly optOuts: Set<number>;
}

function wantedOf(hits: readonly TrackingRecord[]): Wanted {
  const messages = new Map<number, Named>();
  const optOuts = new Set<number>();
  for (const { message, delivery, kind, at } of hits) {
    if (message === 0) continue;
    const named = messages.get(message);
    if (named === undefined) messages.set(message, { delivery, at });
    else {
      named.delivery ||= delivery;
      named.at = Math.min(named.at, at);
    }
    if (kind === "unsubscribe") optOuts.add(message);
  }
  return { messages, optOuts };
}

export interface KnownDeps {
  readonly sql: Sql;
  readonly agents: Agents;
  readonly ended: EndedDeliveries;
}

export async function readKnown(
  { sql, agents, ended }: KnownDeps,
  hits: readonly TrackingRecord[],
  underWay: UnderWay | null,
): Promise<Known> {
  const { messages: wanted, optOuts } = wantedOf(hits);
  const reactions = new Map<number, Reaction>();
  const unread: number[] = [];
  for (const id of wanted.keys()) {
    const changing = underWay?.reactions.get(id);
    if (changing === undefined) unread.push(id);
    else reactions.set(id, changing);
  }
  // In order, so that neighbours are read together.
  unread.sort((a, b) => a - b);
  const [agentOf] = await Promise.all([
    agents.of(hits.map(({ userAgent }) => userAgent)),
    readReactions(sql, unread, reactions),
  ]);
  const fresh = [...wanted.keys()].filter((id) => !reactions.has(id));
  const [messages, earlier] = await Promise.all([
    readMessages(sql, [...fresh, ...[...optOuts].filter((id) => reactions.has(id))]),
    earlierOf(sql, hits, reactions, underWay),
  ]);
  for (const id of fresh) reactions.set(id, newReaction(id, messages.get(id), wanted.get(id)!.delivery));
  return {
    agents: agentOf,
    reactions,
    sentSince: await sentOf(sql, ended, wanted, reactions),
    addresses: new Map([...optOuts].flatMap((id) => (messages.has(id) ? [[id, messages.get(id)!.address]] : []))),
    earlier: Map.groupBy(earlier, ({ messageId }) => messageId),
    visitors: await visitorsOf(sql, hits, reactions, earlier, underWay),
  };
}

/**
 * When messages were sent, where it matters: of those that were not known to be sent, and of those that have a hit from before the end of their
 * delivery. A new one keeps what is found; one that had hits before is looked at again with all of them (second-look.ts).
 */
async function sentOf(
  sql: Sql,
  ended: EndedDeliveries,
  wanted: ReadonlyMap<number, Named>,
  reactions: ReadonlyMap<number, Reaction>,
): Promise<Map<number, number>> {
  const deliveries = new Set<number>();
  for (const id of wanted.keys()) {
    const { sentAt, deliveryId } = reactions.get(id)!;
    if (sentAt === NOT_ASKED) deliveries.add(deliveryId);
  }
  const endOf = await ended.of(deliveries);
  const asked: number[] = [];
  for (const [id, { at }] of wanted) {
    const { sentAt, deliveryId } = reactions.get(id)!;
    const end = endOf.get(deliveryId) ?? Number.POSITIVE_INFINITY;
    if (sentAt === 0 || (sentAt === NOT_ASKED && isEarly(at, end))) asked.push(id);
  }
  const sent = await readSent(sql, asked);
  for (const id of asked) {
    const reaction = reactions.get(id)!;
    if (reaction.sentAt !== NOT_ASKED) continue;
    reaction.sentAt = sent.get(id) ?? 0;
    reaction.changed = true;
  }
  return sent;
}

/** @param named the delivery a hit names, for a message that is not in the ledger any more. */
function newReaction(messageId: number, message: KnownMessage | undefined, named: number): Reaction {
  return {
    messageId,
    deliveryId: message?.deliveryId ?? named,
    sentAt: message === undefined ? NEVER_KNOWN : NOT_ASKED,
    openedAt: 0,
    machineOpenedAt: 0,
    optedOut: false,
    trapped: false,
    hits: 0,
    clicks: 0,
    personHits: 0,
    personClicks: 0,
    fresh: true,
    changed: true,
  };
}

/** Hits close to those of the batch, on messages where there may be a burst: clicked before, or more than once in the batch; opened, and clicked by a machine. */
async function earlierOf(
  sql: Sql,
  hits: readonly TrackingRecord[],
  reactions: ReadonlyMap<number, Reaction>,
  underWay: UnderWay | null,
): Promise<EarlierHit[]> {
  const once = new Set<number>();
  const clicked = new Set<number>();
  let from = Number.MAX_SAFE_INTEGER;
  let to = 0;
  for (const { kind, message, at, hint } of hits) {
    const reaction = reactions.get(message);
    // Of a message without a row there is nothing earlier.
    if (reaction === undefined) continue;
    if (kind === "click") {
      if (reaction.clicks > 0 || reaction.trapped || hint === "trap" || once.has(message)) clicked.add(message);
      once.add(message);
    } else if (kind !== "open" && kind !== "mirror") continue;
    // A burst has left clicks of a machine; most opens come to messages without.
    else if (reaction.clicks > reaction.personClicks || reaction.trapped) clicked.add(message);
    else continue;
    from = Math.min(from, at);
    to = Math.max(to, at);
  }
  if (clicked.size === 0) return [];
  const read = await readEarlier(
    sql,
    [...clicked].sort((a, b) => a - b),
    from - BURST_MS,
    to + BURST_MS,
  );
  if (underWay === null) return read;
  const first = underWay.rows[0]?.id ?? Number.MAX_SAFE_INTEGER;
  const corrected = new Map(underWay.corrections.map(({ id, class: made }) => [id, made]));
  const before = read
    .filter(({ id }) => id < first)
    .map((hit) => (corrected.has(hit.id) ? { ...hit, class: corrected.get(hit.id)! } : hit));
  return [...before, ...underWay.rows.filter(({ messageId, kind }) => clicked.has(messageId) && LOOKED_AT.has(kind))];
}

const LOOKED_AT = new Set((["open", "click", "mirror"] as const).map((kind) => TRACKING_KINDS.indexOf(kind)));

/** Those whose clicks are counted, or may be taken back. */
async function visitorsOf(
  sql: Sql,
  hits: readonly TrackingRecord[],
  reactions: ReadonlyMap<number, Reaction>,
  earlier: readonly EarlierHit[],
  underWay: UnderWay | null,
): Promise<VisitorClicks[]> {
  const wanted = new Map<string, { deliveryId: number; visitor: string }>();
  const want = (deliveryId: number, visitor: string): void => {
    if (visitor !== "") wanted.set(`${deliveryId} ${visitor}`, { deliveryId, visitor });
  };
  for (const { kind, visitor, message, delivery } of hits)
    if (visitor !== "" && kind === "click") want(reactions.get(message)?.deliveryId || delivery, visitor);
  for (const { deliveryId, visitor } of earlier) want(deliveryId, visitor);
  if (wanted.size === 0) return [];
  const changing = (underWay?.visitors ?? []).filter(({ deliveryId, visitor }) =>
    wanted.delete(`${deliveryId} ${visitor}`),
  );
  return [...changing, ...(await readVisitors(sql, [...wanted.values()]))];
}
