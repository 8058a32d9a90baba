/** Everything that has to be known to count a batch of hits, read with a few questions, whatever the batch is made of. */
import type { Sql } from "../db/sql.ts";
import {
  type EarlierHit,
  type KnownMessage,
  NEVER_KNOWN,
  type Reaction,
  readEarlier,
  readMessages,
  readReactions,
  readVisitors,
  type VisitorClicks,
} from "../db/tracking-state.ts";
import { BURST_MS } from "../model/burst.ts";
import type { TrackingRecord } from "../model/tracking.ts";
import type { AgentOf, Agents } from "./agents.ts";

export interface Known {
  readonly agents: AgentOf;
  /** Of each message of the batch, new ones too; 0 (anonymous) has none. Counting changes them. */
  readonly reactions: Map<number, Reaction>;
  /** When messages were sent that could not be told when their first hit came; epoch ms. */
  readonly sentSince: ReadonlyMap<number, number>;
  readonly addresses: ReadonlyMap<number, string>;
  readonly earlier: ReadonlyMap<number, readonly EarlierHit[]>;
  readonly visitors: VisitorClicks[];
}

export async function readKnown(sql: Sql, agents: Agents, hits: readonly TrackingRecord[]): Promise<Known> {
  const ids = new Set<number>();
  const delivery = new Map<number, number>();
  for (const { message, delivery: named } of hits) {
    if (message === 0) continue;
    ids.add(message);
    if (named !== 0 && !delivery.has(message)) delivery.set(message, named);
  }
  const [agentOf, reactions] = await Promise.all([
    agents.know(hits.map(({ userAgent }) => userAgent)),
    readReactions(
      sql,
      [...ids].sort((a, b) => a - b),
    ),
  ]);
  const optOuts = new Set(hits.filter(({ kind }) => kind === "unsubscribe").map(({ message }) => message));
  const asked = [...ids].filter((id) => {
    const reaction = reactions.get(id);
    return reaction === undefined || reaction.sentAt === 0 || optOuts.has(id);
  });
  const seen = new Set(reactions.keys());
  const clicked = hits.filter(({ kind, message }) => kind === "click" && seen.has(message));
  const times = clicked.map(({ at }) => at);
  const [messages, earlier] = await Promise.all([
    readMessages(sql, asked),
    readEarlier(
      sql,
      [...new Set(clicked.map(({ message }) => message))],
      least(times) - BURST_MS,
      greatest(times) + BURST_MS,
    ),
  ]);
  const sentSince = new Map<number, number>();
  for (const id of asked) {
    const reaction = reactions.get(id);
    const message = messages.get(id);
    if (reaction === undefined) reactions.set(id, newReaction(id, message, delivery.get(id) ?? 0));
    else if (reaction.sentAt === 0 && message !== undefined) sentSince.set(id, message.sentAt);
  }
  return {
    agents: agentOf,
    reactions,
    sentSince,
    addresses: new Map([...messages].map(([id, { address }]) => [id, address])),
    earlier: Map.groupBy(earlier, ({ messageId }) => messageId),
    visitors: await readVisitors(sql, visitorsOf(hits, reactions, earlier)),
  };
}

/** @param named the delivery a hit names, for a message that is not in the ledger any more. */
export function newReaction(messageId: number, message: KnownMessage | undefined, named: number): Reaction {
  return {
    messageId,
    deliveryId: message?.deliveryId ?? named,
    sentAt: message === undefined ? NEVER_KNOWN : message.sentAt,
    openedAt: 0,
    machineOpenedAt: 0,
    optedOut: false,
    hits: 0,
    clicks: 0,
    personHits: 0,
    personClicks: 0,
  };
}

/** Whose clicks are counted, or may be taken back. */
function visitorsOf(
  hits: readonly TrackingRecord[],
  reactions: ReadonlyMap<number, Reaction>,
  earlier: readonly EarlierHit[],
): { deliveryId: number; visitor: string }[] {
  const wanted = new Map<string, { deliveryId: number; visitor: string }>();
  const want = (deliveryId: number, visitor: string): void => {
    if (visitor !== "") wanted.set(`${deliveryId} ${visitor}`, { deliveryId, visitor });
  };
  for (const { kind, visitor, message, delivery } of hits)
    if (kind === "click" && visitor !== "") want(reactions.get(message)?.deliveryId || delivery, visitor);
  for (const { deliveryId, visitor } of earlier) want(deliveryId, visitor);
  return [...wanted.values()];
}

const least = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.min(a, b), Number.MAX_SAFE_INTEGER);
const greatest = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), 0);
