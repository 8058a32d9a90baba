/**
 * Keeps the modules running: starts them in order, each when the one before is ready, and stops them in reverse. All processes of one
 * module start and stop together.
 */
import type { ChildProcess } from "node:child_process";
import type { BackoffOptions } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Child, openChild } from "./child.ts";

export interface WatchedModule {
  readonly name: string;
  readonly processes: number;
}

export interface WatchdogOptions {
  /** In the order of their start. */
  readonly modules: readonly WatchedModule[];
  readonly launch: (module: string, slot: number) => ChildProcess;
  readonly clock: Clock;
  readonly log: Log;
  readonly readyMs: number;
  readonly drainMs: number;
  readonly backoff?: BackoffOptions;
}

export interface Watchdog {
  /** The port of each module (0: it has none) once all are ready. Rejects with ChildGone when one does not start. */
  readonly ready: Promise<ReadonlyMap<string, number>>;
  /** Process ids by `module/slot`. */
  pids(): Map<string, number>;
  /** Drains all, last started first. Idempotent. */
  stop(): Promise<void>;
  /** Ends all at once. */
  kill(): void;
}

export function openWatchdog({ modules, launch, ...rest }: WatchdogOptions): Watchdog {
  const levels: { name: string; children: Child[] }[] = [];
  let stopping: Promise<void> | undefined;

  const startAll = async (): Promise<ReadonlyMap<string, number>> => {
    const ports = new Map<string, number>();
    for (const { name, processes } of modules) {
      if (stopping !== undefined) break;
      const children = Array.from({ length: processes }, (_, slot) =>
        openChild({ ...rest, name: `${name}/${slot}`, launch: () => launch(name, slot) }),
      );
      levels.push({ name, children });
      const [port = 0] = await Promise.all(children.map((child) => child.ready));
      ports.set(name, port);
    }
    return ports;
  };

  const stopAll = async (): Promise<void> => {
    for (const { children } of levels.toReversed()) await Promise.all(children.map((child) => child.stop()));
  };

  const ready = startAll();
  // It may be stopped before anybody waits for it.
  ready.catch(() => {});
  return {
    ready,
    pids: () =>
      new Map(levels.flatMap(({ name, children }) => children.map((child, slot) => [`${name}/${slot}`, child.pid]))),
    stop: () => (stopping ??= stopAll()),
    kill() {
      for (const { children } of levels) for (const child of children) child.kill();
    },
  };
}
