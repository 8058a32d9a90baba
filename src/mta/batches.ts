/**
 * From single messages to batches for the render threads: a task a message makes threads slower than none (measured: 4.5–6.6 k/s against 22–31 k/s
 * in batches of 32 on two threads). What is asked for in one turn of the event loop, or while all threads are busy, goes together, by
 * content. Transactional messages go first. While there are any, a batch is kept near 8 ms of work so that the next one never waits long
 * behind it; otherwise near 40, which wakes this thread less often (signed: 1.15–1.25 times the messages a second).
 */
import type { Clock } from "../base/clock.ts";
import type { RenderResult, SharedContent } from "../render/contract.ts";
import type { RenderKeys, RenderPool } from "../render/pool.ts";
import type { Held } from "./held.ts";

const TARGET_MS = 40;
const URGENT_TARGET_MS = 4;
/** Transactional mail comes in company: so long after the last one the next is expected. */
const URGENT_MS = 30_000;
/** One batch is one piece of memory. */
const BATCH_BYTES = 8 * 1024 * 1024;

export interface Batches {
  render(held: Held): Promise<RenderResult>;
}

interface Wanted {
  readonly held: Held;
  readonly resolve: (rendered: RenderResult) => void;
}

interface Heap {
  readonly content: SharedContent;
  items: Wanted[];
}

/** @param keys asked at each batch, so that reloaded keys are used at once. */
export function openBatches(clock: Clock, pool: RenderPool, most: number, keys: () => RenderKeys): Batches {
  const urgent = new Map<string, Heap>();
  const others = new Map<string, Heap>();
  let running = 0;
  let planned = false;
  let urgentAt = Number.NEGATIVE_INFINITY;
  function dispatch(): void {
    planned = false;
    const target = clock.monotonic() - urgentAt < URGENT_MS ? URGENT_TARGET_MS : TARGET_MS;
    // One batch more than threads: a thread that ends finds its next one waiting. Two more cost an urgent message 30 ms and gained nothing.
    while (running < pool.threads + (target === TARGET_MS ? 1 : 0)) {
      const heaps = urgent.size > 0 ? urgent : others;
      const next = heaps.entries().next().value;
      if (next === undefined) return;
      const [hash, heap] = next;
      const fit = Math.floor(BATCH_BYTES / heap.content.json.byteLength);
      const size = Math.max(1, Math.min(most, fit, Math.round(target / pool.messageMs)));
      const items = heap.items.splice(0, size);
      heaps.delete(hash);
      // Back of the queue: contents take turns.
      if (heap.items.length > 0) heaps.set(hash, heap);
      void work(heap.content, items);
    }
  }

  async function work(content: SharedContent, items: readonly Wanted[]): Promise<void> {
    running++;
    const jobs = items.map(({ held: { id, address, variables, part } }) => ({
      id,
      address,
      variables,
      delivery: part.delivery.id,
    }));
    let rendered: readonly RenderResult[];
    try {
      rendered = await pool.render(content, keys(), jobs);
    } catch (error) {
      const unavailable = error instanceof Error ? error.message : String(error);
      rendered = jobs.map(({ id }) => ({ id, unavailable }));
    }
    running--;
    items.forEach(({ held, resolve }, i) => resolve(rendered[i] ?? { id: held.id, unavailable: "no answer" }));
    dispatch();
  }

  return {
    render(held) {
      const { delivery } = held.part;
      const heaps = delivery.priority === 0 ? urgent : others;
      if (heaps === urgent) urgentAt = clock.monotonic();
      let heap = heaps.get(delivery.contentHash);
      if (heap === undefined) {
        heap = { content: delivery.content, items: [] };
        heaps.set(delivery.contentHash, heap);
      }
      const { items } = heap;
      if (!planned) {
        planned = true;
        setImmediate(dispatch);
      }
      return new Promise((resolve) => items.push({ held, resolve }));
    },
  };
}
