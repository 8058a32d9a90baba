/**
 * The deliveries this mta has messages of, with their content in memory that the render threads share. Contents are kept by hash (a
 * thousand deliveries of one template are one content), the least recently used go when they are more than a bound.
 */
import type { Log } from "../base/log.ts";
import * as claims from "../db/claims.ts";
import type { Sql } from "../db/sql.ts";
import type { SharedContent } from "../render/contract.ts";
import type { HeldDelivery } from "./held.ts";

const CONTENT_BYTES = 256 * 1024 * 1024;
const DELIVERIES_MOST = 10_000;

export interface Deliveries {
  /** With the states the database says they have now. */
  get(ids: readonly number[]): Promise<Map<number, HeldDelivery>>;
  /** A delivery changed its state; false when this mta does not know it. */
  change(id: number, state: string): boolean;
  /** Reads the states again: notifications may have been missed. Returns those that are not being sent any more. */
  refresh(ids: readonly number[]): Promise<number[]>;
}

export function openDeliveries(sql: Sql, log: Log): Deliveries {
  const known = new Map<number, HeldDelivery>();
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
    for (const [old, { json: held }] of contents) {
      if (bytes <= CONTENT_BYTES || old === hash) break;
      contents.delete(old);
      bytes -= held.byteLength;
    }
    return shared;
  }

  return {
    async get(ids) {
      const found = new Map<number, HeldDelivery>();
      // Read each time: a notification that was missed must not leave a delivery paused here that is being sent.
      for (const row of await claims.deliveriesById(sql, [...new Set(ids)])) {
        let delivery = known.get(row.id);
        if (delivery === undefined) {
          delivery = { ...row, content: await content(row.contentHash) };
          if (known.size >= DELIVERIES_MOST) known.delete(known.keys().next().value ?? 0);
          known.set(row.id, delivery);
        }
        delivery.state = row.state;
        found.set(row.id, delivery);
      }
      return found;
    },
    change(id, state) {
      const delivery = known.get(id);
      if (delivery === undefined) return false;
      delivery.state = state;
      if (state === "finished" || state === "stopped") known.delete(id);
      log.debug({ delivery: id, state }, "delivery changed");
      return true;
    },
    async refresh(ids) {
      const halted: number[] = [];
      for (const row of await claims.deliveriesById(sql, ids)) {
        const delivery = known.get(row.id);
        if (delivery !== undefined) delivery.state = row.state;
        if (row.state !== "sending") halted.push(row.id);
      }
      return halted;
    },
  };
}
