/**
 * The deliveries this mta has messages of, with their content in memory that the render threads share. Contents are kept by hash (a
 * thousand deliveries of one template are one content), the least recently used go when they are more than a bound.
 */
import * as claims from "../db/claims.ts";
import type { Sql } from "../db/sql.ts";
import type { SharedContent } from "../render/contract.ts";
import type { HeldDelivery } from "./held.ts";

const CONTENT_BYTES = 256 * 1024 * 1024;

export interface Deliveries {
  /** With everything the database says of them now. */
  get(ids: readonly number[]): Promise<Map<number, HeldDelivery>>;
  /** A part of it is in memory, or is no more: with the last one the delivery is forgotten. */
  hold(delivery: HeldDelivery): void;
  release(delivery: HeldDelivery): void;
  /** A delivery changed its state; false when this mta holds nothing of it. */
  change(id: number, state: string): boolean;
  /** Reads the states again: notifications may have been missed. Returns those that are not being sent any more. */
  refresh(): Promise<number[]>;
}

export function openDeliveries(sql: Sql): Deliveries {
  /** Those with parts in memory, and how many. */
  const held = new Map<number, { readonly delivery: HeldDelivery; parts: number }>();
  const contents = new Map<string, SharedContent>();
  let bytes = 0;

  async function content(hash: string): Promise<SharedContent> {
    const there = contents.get(hash);
    if (there !== undefined) {
      contents.delete(hash);
      contents.set(hash, there);
      return there;
    }
    const text = Buffer.from(await claims.contentBody(sql, hash), "utf8");
    const json = new SharedArrayBuffer(text.length);
    new Uint8Array(json).set(text);
    const shared: SharedContent = { hash, json };
    contents.set(hash, shared);
    bytes += text.length;
    for (const [old, { json: kept }] of contents) {
      if (bytes <= CONTENT_BYTES || old === hash) break;
      contents.delete(old);
      bytes -= kept.byteLength;
    }
    return shared;
  }

  return {
    async get(ids) {
      const found = new Map<number, HeldDelivery>();
      // Read each time: a notification that was missed must not leave a delivery paused here that is being sent, nor an old deadline.
      for (const row of await claims.deliveriesById(sql, [...new Set(ids)])) {
        const shared = held.has(row.id) ? null : await content(row.contentHash);
        // Looked up behind the wait: another claim may have brought it meanwhile, and there is one of each.
        const known = held.get(row.id)?.delivery;
        if (known !== undefined) found.set(row.id, Object.assign(known, row));
        else found.set(row.id, { ...row, content: shared ?? (await content(row.contentHash)) });
      }
      return found;
    },
    hold(delivery) {
      const entry = held.get(delivery.id);
      if (entry === undefined) held.set(delivery.id, { delivery, parts: 1 });
      else entry.parts++;
    },
    release(delivery) {
      const entry = held.get(delivery.id);
      if (entry !== undefined && --entry.parts === 0) held.delete(delivery.id);
    },
    change(id, state) {
      const entry = held.get(id);
      if (entry === undefined) return false;
      entry.delivery.state = state;
      return true;
    },
    async refresh() {
      const halted: number[] = [];
      for (const row of await claims.deliveriesById(sql, [...held.keys()])) {
        const entry = held.get(row.id);
        if (entry !== undefined) Object.assign(entry.delivery, row);
        if (row.state !== "sending") halted.push(row.id);
      }
      return halted;
    },
  };
}
