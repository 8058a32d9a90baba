/**
 * The render threads as the mta sees them: jobs in, messages out, in the order of the jobs. Nothing rejects because of a message: a batch
 * that takes too long or kills its thread is made again one by one, and only the guilty one fails.
 */
import { join } from "node:path";
import type { Log } from "../base/log.ts";
import { openThreads } from "../base/threads.ts";
import type {
  RenderBatch,
  Rendered,
  RenderJob,
  RenderKeys,
  RenderResult,
  RenderTask,
  SharedContent,
} from "./contract.ts";

const BATCH_MS = 10_000;
const ALONE_MS = 5_000;
const TRIES = 3;

export interface RenderPool {
  readonly threads: number;
  /** Batches at work or waiting for a thread. */
  readonly running: number;
  /** What a message takes of a thread, smoothed; waiting for a thread is not in it. */
  readonly messageMs: number;
  render(content: SharedContent, keys: RenderKeys, jobs: readonly RenderJob[]): Promise<RenderResult[]>;
  close(): Promise<void>;
}

export function openRenderPool(options: { readonly threads: number; readonly log: Log }): RenderPool {
  const { log } = options;
  const threads = openThreads<RenderTask, RenderBatch>(join(import.meta.dirname, "render.worker.ts"), options.threads);

  let messageMs = 0.4;

  /** Whoever of the batch is guilty fails; a thread that could not be had is nobody's fault. */
  async function alone(task: RenderTask): Promise<RenderResult[]> {
    const all: RenderResult[] = [];
    for (const job of task.jobs) all.push(await one(task, job));
    return all;
  }

  async function one(task: RenderTask, job: RenderJob): Promise<RenderResult> {
    for (let tries = 1; ; tries++) {
      try {
        return (
          unpack(await threads.run({ ...task, jobs: [job] }, ALONE_MS))[0] ?? { id: job.id, unavailable: "no answer" }
        );
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        log.warn({ err: error, message: job.id, tries }, "a message cannot be rendered");
        // A machine that stood still looks like a template without end: only the third time is it the message.
        if (!(error instanceof DOMException)) return { id: job.id, unavailable: why };
        if (tries === TRIES) return { id: job.id, error: `rendering takes too long: ${why}` };
      }
    }
  }

  return {
    threads: threads.count,
    get running() {
      return threads.running;
    },
    get messageMs() {
      return messageMs;
    },
    async render(content, keys, jobs) {
      const task = { content, keys, jobs };
      try {
        const batch = await threads.run(task, BATCH_MS);
        if (batch.messageMs > 0) messageMs = messageMs * 0.9 + batch.messageMs * 0.1;
        return unpack(batch);
      } catch (error) {
        log.warn(
          { err: error, messages: jobs.length },
          "a batch could not be rendered; its messages are made one by one",
        );
        return alone(task);
      }
    },
    close: threads.close,
  };
}

function unpack({ bytes, messages }: RenderBatch): Rendered[] {
  return messages.map((m) =>
    "from" in m
      ? {
          id: m.id,
          error: "",
          from: m.from,
          bytes: new Uint8Array(bytes, m.start, m.end - m.start),
          smtputf8: m.smtputf8,
        }
      : m,
  );
}

export type { RenderKeys };
