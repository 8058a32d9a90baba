/**
 * Batches on their way into the database, one behind the other: while one is being committed the next one is prepared on what will be there
 * when it is. It is sent when that has come true; if it does not, it is prepared again, on what there is. Here is known where the fence stands,
 * or that nobody knows, because the answer to a commit was not heard: then the database is asked.
 */
import type { Sql } from "../db/sql.ts";
import type { PackedBatch } from "../db/tracking-batch.ts";
import { commitBatch, fenceBehind } from "../db/tracking-commit.ts";
import { type Fence, readFence } from "../db/tracking-sources.ts";
import type { UnderWay } from "./known.ts";

export interface Prepared {
  readonly batch: PackedBatch;
  readonly underWay: UnderWay | null;
  /** Called when it is sent. */
  readonly sent?: () => void;
}

/** `refused`: the log is to be gone on with elsewhere; `deposed`: somebody else leads. */
export type Taken = "counted" | "refused" | "deposed";

/** A batch that was sent. */
export interface Sent {
  /** Of which work it is a part. */
  readonly of: object;
  readonly underWay: UnderWay | null;
  /** When it is committed. */
  readonly fence: Fence;
  readonly committed: Promise<boolean>;
}

export interface Pipeline {
  /** One work at a time sends batches, in the order in which they ask. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Prepares a batch and sends it behind the one before (in turn only). One of the same work that failed is that work's failure.
   * @param prepare may be called again; null: there is nothing to send.
   */
  send(of: object, prepare: (before: UnderWay | null, fence: Fence) => Promise<Prepared | null>): Promise<Sent | Taken>;
  /** The end of what was sent. Rejects as its commit does. */
  result(sent: Sent | Taken): Promise<Taken>;
  /** Waits until nothing is under way. */
  quiet(): Promise<void>;
}

/** @param raised the fence as this leader has raised it. */
export function openPipeline(sql: Sql, raised: Fence): Pipeline {
  /** null: a commit went out whose answer was not heard. */
  let fence: Fence | null = raised;
  /** At most one, and nothing is sent before its end is known. */
  let last: Sent | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  /** null: it is another's. */
  async function known(): Promise<Fence | null> {
    return (fence ??= await readFence(sql, raised.epoch));
  }

  async function ended(one: Sent): Promise<boolean> {
    let committed = false;
    try {
      committed = await one.committed;
    } finally {
      if (last === one) {
        last = null;
        fence = committed ? one.fence : null;
      }
    }
    return committed;
  }

  /** Is what this batch was prepared on there by now? */
  async function isFirm(before: Sent | null, of: object): Promise<boolean> {
    if (before === null) return true;
    return before.of === of ? ended(before) : ended(before).catch(() => false);
  }

  return {
    inTurn(work) {
      const result = turn.then(work);
      turn = result.catch(() => {});
      return result;
    },
    async send(of, prepare) {
      for (;;) {
        const before: Sent | null = last;
        const at = before?.fence ?? (await known());
        if (at === null) return "deposed";
        const prepared = await prepare(before?.underWay ?? null, at);
        if (await isFirm(before, of)) {
          if (prepared === null) return "counted";
          const { batch, underWay } = prepared;
          const one = { of, underWay, fence: fenceBehind(at, batch), committed: commitBatch(sql, at, batch) };
          // Whoever waits for its end is told; it must not be an error nobody catches before that.
          one.committed.catch(() => {});
          prepared.sent?.();
          return (last = one);
        }
        if (before?.of === of) return "refused";
      }
    },
    async result(sent) {
      if (typeof sent === "string") return sent;
      return (await ended(sent)) ? "counted" : "refused";
    },
    async quiet() {
      if (last !== null) await ended(last).catch(() => false);
    },
  };
}
