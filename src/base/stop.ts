/**
 * The order to stop: SIGTERM, SIGINT, or the death of the parent that started us. The first one begins the drain, the second one is
 * from somebody who does not want to wait.
 */

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
}

export function openStopOrder({ onSecond, child }: StopOptions): StopOrder {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<string>();
  const numbers = { SIGINT: 2, SIGTERM: 15 } as const;
  const order = (reason: string, number: number): void => {
    if (controller.signal.aborted && number > 0) return onSecond(128 + number);
    controller.abort();
    resolve(reason);
  };
  const onTerm = (): void => order("SIGTERM", numbers.SIGTERM);
  const onInt = (): void => {
    if (!child) order("SIGINT", numbers.SIGINT);
  };
  const onDisconnect = (): void => order("the watchdog is gone", 0);
  process.on("SIGTERM", onTerm);
  process.on("SIGINT", onInt);
  if (child) process.on("disconnect", onDisconnect);
  // A process that only waits for this order has nothing else that keeps it alive.
  const alive = setInterval(() => {}, 0x7fffffff);
  return {
    signal: controller.signal,
    given: promise,
    close() {
      clearInterval(alive);
      process.off("SIGTERM", onTerm);
      process.off("SIGINT", onInt);
      process.off("disconnect", onDisconnect);
    },
  };
}
