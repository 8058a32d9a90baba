/**
 * The order to stop: SIGTERM, SIGINT, or the death of the parent that started us. The first one begins the drain, a later one is from
 * somebody who does not want to wait.
 *
 * One order may arrive twice: Ctrl-C and some service managers signal a whole group, and `npm start` passes on to us what it got. So
 * what comes within half a second of the first is the same order. A child of the watchdog forgives one more, whenever it comes: the
 * group's signal reaches it at once, and the watchdog's own follows when it is its turn.
 */
import { type EventEmitter } from "node:events";
import { type Clock, systemClock } from "./clock.ts";

export interface StopOrder {
  /** Aborts at the first order. */
  readonly signal: AbortSignal;
  /** Resolves with what the first order was. */
  readonly given: Promise<string>;
  close(): void;
}

export interface StopOptions {
  /** Called with the exit code at the second signal. */
  readonly onSecond: (exitCode: number) => void;
  /**
   * True for a child of the watchdog. Ctrl-C at a terminal reaches every process of the group at once, and the watchdog is the one that
   * knows the order, so a child waits for its SIGTERM; and it stops by itself when the watchdog is gone.
   */
  readonly child: boolean;
  readonly clock?: Pick<Clock, "monotonic">;
  /** Where signals are heard. Default: this process. */
  readonly source?: EventEmitter;
}

/** Npm is told of a Ctrl-C at the same time as we are, and passes it on within milliseconds, on a busy machine within tens of them. */
const SAME_MS = 500;

export function openStopOrder({ onSecond, child, clock = systemClock, source = process }: StopOptions): StopOrder {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<string>();
  const numbers = { SIGINT: 2, SIGTERM: 15 } as const;
  let givenAt = 0;
  let forgiven = child ? 1 : 0;
  const order = (reason: string, number: number): void => {
    if (controller.signal.aborted) {
      if (number > 0 && clock.monotonic() - givenAt >= SAME_MS && forgiven-- <= 0) onSecond(128 + number);
      return;
    }
    givenAt = clock.monotonic();
    controller.abort();
    resolve(reason);
  };
  const onTerm = (): void => order("SIGTERM", numbers.SIGTERM);
  const onInt = (): void => {
    if (!child) order("SIGINT", numbers.SIGINT);
  };
  const onDisconnect = (): void => order("the watchdog is gone", 0);
  source.on("SIGTERM", onTerm);
  source.on("SIGINT", onInt);
  if (child) source.on("disconnect", onDisconnect);
  // A process that only waits for this order has nothing else that keeps it alive.
  const alive = setInterval(() => {}, 0x7fffffff);
  return {
    signal: controller.signal,
    given: promise,
    close() {
      clearInterval(alive);
      source.off("SIGTERM", onTerm);
      source.off("SIGINT", onInt);
      source.off("disconnect", onDisconnect);
    },
  };
}
