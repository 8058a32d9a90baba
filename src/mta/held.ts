/** What an mta holds in memory of deliveries, parts and messages between claim and release. */
import type { ActiveDelivery, ClaimedPart } from "../db/claims.ts";
import type { SharedContent } from "../render/contract.ts";

/** Mutable: what the database or a notification says of it is seen by everything that holds it. */
export type HeldDelivery = { -readonly [K in keyof ActiveDelivery]: ActiveDelivery[K] } & {
  readonly content: SharedContent;
};

export interface HeldPart {
  readonly claim: ClaimedPart;
  readonly delivery: HeldDelivery;
  /** Messages loaded that are neither recorded nor given back. */
  open: number;
  /** Epoch ms: messages given back need not be looked at before; Infinity while none was. */
  notBefore: number;
  /** Once released: epoch ms when it is due again, Infinity when it is closed. */
  dueAt: number;
  /** True once it is known to be no longer ours. */
  lost: boolean;
}

export interface Held {
  readonly id: number;
  readonly part: HeldPart;
  readonly address: string;
  readonly domain: string;
  readonly variables: string;
  /** Number of the status it was loaded with. */
  readonly status: number;
  readonly attempts: number;
  /** Times it was moved to another path since it was claimed. */
  moves: number;
  /** IPs of its affinity by which its site could not be reached since it was claimed. */
  passed: number;
}

/** Whether a message may still be sent: its delivery runs and its part is ours (its deadline is another matter). */
export function mayGo(held: Held): boolean {
  return !held.part.lost && held.part.delivery.state === "sending";
}

/** Where a message stands in the ledger, as it was loaded: what its record is fenced with. */
export interface Place {
  readonly id: number;
  readonly partId: number;
  readonly epoch: number;
  readonly deliveryId: number;
  readonly status: number;
  readonly attempts: number;
}

export const placeOf = ({ id, part, status, attempts }: Held): Place => ({
  id,
  partId: part.claim.id,
  epoch: part.claim.epoch,
  deliveryId: part.delivery.id,
  status,
  attempts,
});
