/**
 * The deliveries this mta has messages of, with their content in memory that the render threads share. Contents are kept by hash (a
 * thousand deliveries of one template are one content), the least recently used go when they are more than a bound.
 */
import * as claims from "../db/claims.ts";
import type { Sql } from "../db/sql.ts";
import type { SharedContent } from "../render/contract.ts";
import type { HeldDelivery } from "./held.ts";

const CONTENT_BYTES = 256 * 1024 * 1024;
/** News is only needed for as long as a read takes. */
const NEWS_MOST = 10_000;

export interface Deliveries {
  /** With everything the database says of them now. */
  get(ids: readonly number[]): Promise<Map<number, HeldDelivery>>;
  /**
   * A part of it is in memory, or is no more: with the last one the delivery is forgotten. Returns the object that hears the news of the
   * delivery: another part may have brought it meanwhile.
   */
  hold(delivery: HeldDelivery): HeldDelivery;
  release(delivery: HeldDelivery): void;
  /**
   * A delivery changed its state; false when this mta holds nothing of it. What is being read at this moment may be older than the news:
   * the news wins when it is held, or a delivery that was stopped while its parts were loaded would be sent until the next refresh.
   */
  change(id: number, state: string): boolean;
  /** Reads the states again: notifications may have been missed. Returns those that are not being sent any more. */
  refresh(): Promise<number[]>;
}

export function openDeliveries(sql: Sql): Deliveries {
  /** Those with parts in memory, and how many. */
  const held = new Map<number, { readonly delivery: HeldDelivery; parts: number }>();
  const contents = new Map<string, SharedContent>();
  /** The last news of each delivery, while something is being read that may be older; and when each object was read. */
  const news = new Map<number, { readonly state: string; readonly at: number }>();
  const readAt = new WeakMap<HeldDelivery, number>();
  let turn = 0;
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

  function applyNews(delivery: HeldDelivery): void {
    const last = news.get(delivery.id);
    if (last !== undefined && last.at > (readAt.get(delivery) ?? 0)) delivery.state = last.state;
  }

  return {
    async get(ids) {
      const found = new Map<number, HeldDelivery>();
      const began = ++turn;
      // Read each time: a notification that was missed must not leave a delivery paused here that is being sent, nor an old deadline.
      for (const row of await claims.deliveriesById(sql, [...new Set(ids)])) {
        const shared = held.has(row.id) ? null : await content(row.contentHash);
        // Looked up behind the wait: another claim may have brought it meanwhile, and there is one of each.
        const known = held.get(row.id)?.delivery;
        const delivery =
          known !== undefined
            ? Object.assign(known, row)
            : { ...row, content: shared ?? (await content(row.contentHash)) };
        readAt.set(delivery, began);
        applyNews(delivery);
        found.set(row.id, delivery);
      }
      return found;
    },
    hold(delivery) {
      const entry = held.get(delivery.id);
      if (entry !== undefined) {
        entry.parts++;
        return entry.delivery;
      }
      applyNews(delivery);
      held.set(delivery.id, { delivery, parts: 1 });
      return delivery;
    },
    release(delivery) {
      const entry = held.get(delivery.id);
      if (entry !== undefined && --entry.parts === 0) held.delete(delivery.id);
    },
    change(id, state) {
      if (news.size >= NEWS_MOST) news.delete(news.keys().next().value ?? 0);
      news.delete(id);
      news.set(id, { state, at: ++turn });
      const entry = held.get(id);
      if (entry === undefined) return false;
      entry.delivery.state = state;
      return true;
    },
    async refresh() {
      const halted: number[] = [];
      const began = ++turn;
      for (const row of await claims.deliveriesById(sql, [...held.keys()])) {
        const entry = held.get(row.id);
        if (entry !== undefined) {
          Object.assign(entry.delivery, row);
          readAt.set(entry.delivery, began);
          applyNews(entry.delivery);
        }
        if (row.state !== "sending") halted.push(row.id);
      }
      return halted;
    },
  };
}
