/**
 * Is this process overloaded? Two signs: the event loop runs late, or more requests are at work than can be served soon. Then new ones
 * are sent away with 503 and Retry-After at once, which costs microseconds, instead of waiting until their clients give up.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface Load {
  /** '' when there is room, else what is scarce. */
  scarce(): string;
  enter(): void;
  leave(): void;
  close(): void;
}

/** The mean delay of the last second, in ms, from which on requests are refused: half a second is far above any batch of ours (20 ms). */
const LATE_MS = 500;

export function openLoad(mostAtWork: number): Load {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  let late = false;
  let atWork = 0;
  const timer = setInterval(() => {
    late = delay.mean / 1e6 > LATE_MS;
    delay.reset();
  }, 1000);
  timer.unref();
  return {
    scarce: () => (late ? "the event loop is late" : atWork >= mostAtWork ? "too many requests are at work" : ""),
    enter: () => void atWork++,
    leave: () => void atWork--,
    close() {
      clearInterval(timer);
      delay.disable();
    },
  };
}
