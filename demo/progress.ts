/** How far the delivery is, while it goes on: a bar on a terminal, a line a second elsewhere. The only importer of cli-progress. */
import { Presets, SingleBar } from "cli-progress";
import type { Counters } from "../src/model/delivery.ts";

export interface Progress {
  show(counters: Counters): void;
  /** Leaves what is on the screen; show() does nothing afterwards. Idempotent. */
  stop(): void;
}

const LINE_MS = 1000;

export function openProgress(out: NodeJS.WriteStream, total: number, startedAt: number): Progress {
  return out.isTTY ? bar(out, total, startedAt) : lines(out, total, startedAt);
}

/** Messages with nothing left to do. */
export function settledOf(counters: Counters): number {
  return counters.accepted - counters.pending - counters.deferred;
}

function bar(out: NodeJS.WriteStream, total: number, startedAt: number): Progress {
  const format = "  {bar} {percentage} %  {value} of {total}  {sent} sent  {failed} failed  {deferred} wait  {rate}/s";
  const one = new SingleBar({ format, stream: out, hideCursor: true, barsize: 30, fps: 10 }, Presets.shades_classic);
  let open = true;
  one.start(total, 0, { sent: 0, failed: 0, deferred: 0, rate: 0 });
  return {
    show(counters) {
      if (open) one.update(settledOf(counters), { ...counters, rate: rateOf(counters, startedAt) });
    },
    stop() {
      if (open) one.stop();
      open = false;
    },
  };
}

function lines(out: NodeJS.WriteStream, total: number, startedAt: number): Progress {
  let shownAt = 0;
  let open = true;
  return {
    show(counters) {
      const now = Date.now();
      const settled = settledOf(counters);
      if (!open || (now - shownAt < LINE_MS && settled < total)) return;
      shownAt = now;
      const { sent, failed, deferred } = counters;
      const seconds = ((now - startedAt) / 1000).toFixed(1).padStart(5);
      out.write(
        `${seconds} s  ${settled} of ${total}  ${sent} sent  ${failed} failed  ${deferred} wait  ${rateOf(counters, startedAt)}/s\n`,
      );
      if (settled >= total) open = false;
    },
    stop() {
      open = false;
    },
  };
}

function rateOf(counters: Counters, startedAt: number): number {
  const seconds = Math.max(0.001, (Date.now() - startedAt) / 1000);
  return Math.round((counters.sent + counters.failed) / seconds);
}
