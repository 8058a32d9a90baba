/**
 * A render thread: makes the messages of a task. Contents are compiled once and kept, the least recently used go; a message that cannot be
 * made fails alone.
 */
import { giveWay, handOver } from "../base/threads.ts";
import { type Composer, compileContent } from "./compose.ts";
import type { Content, RenderBatch, RenderTask } from "./contract.ts";

const KEPT = 64;
/** Of contents as JSON: newsletters with attachments of 20 MB must not pile up in every thread. */
const KEPT_BYTES = 64 * 1024 * 1024;
const NICENESS = 5;
const composers = new Map<string, { readonly composer: Composer; readonly size: number }>();
let kept = 0;

giveWay(NICENESS);

export default function render({ content, keys, jobs }: RenderTask): RenderBatch {
  let composer: Composer;
  try {
    composer = composerOf(content, keys);
  } catch (error) {
    // Checked when it was submitted: what cannot be compiled now never will be.
    const why = `content: ${error instanceof Error ? error.message : String(error)}`;
    return { messageMs: 0, bytes: new ArrayBuffer(0), messages: jobs.map(({ id }) => ({ id, error: why })) };
  }
  const now = Date.now();
  const began = performance.now();
  const made = jobs.map((job) => composer.render(job, now));
  let size = 0;
  for (const one of made) if ("from" in one) size += one.bytes.length;
  const bytes = new ArrayBuffer(size);
  const whole = new Uint8Array(bytes);
  let start = 0;
  const messages = made.map((one) => {
    if (!("from" in one)) return one;
    whole.set(one.bytes, start);
    const end = start + one.bytes.length;
    const placed = { id: one.id, from: one.from, start, end, smtputf8: one.smtputf8 };
    start = end;
    return placed;
  });
  const messageMs = (performance.now() - began) / Math.max(1, jobs.length);
  return handOver({ messageMs, bytes, messages }, [bytes]);
}

function composerOf(content: RenderTask["content"], keys: RenderTask["keys"]): Composer {
  const name = `${keys.version} ${content.hash}`;
  const there = composers.get(name);
  if (there !== undefined) {
    composers.delete(name);
    composers.set(name, there);
    return there.composer;
  }
  const size = content.json.byteLength;
  const json = Buffer.from(new Uint8Array(content.json)).toString("utf8");
  const composer = compileContent(JSON.parse(json) as Content, keys);
  composers.set(name, { composer, size });
  kept += size;
  for (const [oldest, { size: freed }] of composers) {
    if ((composers.size <= KEPT && kept <= KEPT_BYTES) || oldest === name) break;
    composers.delete(oldest);
    kept -= freed;
  }
  return composer;
}
