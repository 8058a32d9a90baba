/**
 * One child process, kept alive. It is *starting* until it says it is ready; a child that is not ready in time is killed. When it ends by
 * itself, from whichever state, it *waits* by a back-off and starts again; after a minute of life the back-off starts over. `stop` ends
 * it for good: SIGTERM, time to drain, SIGKILL.
 *
 * Before a child has ever been ready nobody depends on it yet: it gives up after three tries, or at once when its exit code says that
 * a person has to change the settings. Once it has been ready it never gives up.
 */
import type { ChildProcess } from "node:child_process";
import { type BackoffOptions, openBackoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import type { Log } from "../base/log.ts";

export interface ChildOptions {
  readonly name: string;
  /** Starts the program, with an IPC channel. */
  readonly launch: () => ChildProcess;
  readonly clock: Clock;
  readonly log: Log;
  readonly readyMs: number;
  readonly drainMs: number;
  readonly backoff?: BackoffOptions;
}

export interface Child {
  /** The port it listens on (0: none) once it is ready for the first time. Rejects with ChildGone. */
  readonly ready: Promise<number>;
  /** Drains it. Idempotent; resolves when the process is gone. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
  /** Of the present process, 0 while there is none. */
  readonly pid: number;
}

/** Why a child was given up before it was ever ready. */
export class ChildGone extends Error {
  readonly exitCode: number;
  constructor(name: string, exitCode: number, how: string) {
    super(`${name} does not start: ${how}`);
    this.name = "ChildGone";
    this.exitCode = exitCode;
  }
}

const TRIES = 3;
const SETTLED_MS = 60_000;
const BACKOFF: BackoffOptions = { firstMs: 250, maxMs: 30_000 };

export function openChild({
  name,
  launch,
  clock,
  log,
  readyMs,
  drainMs,
  backoff: steps = BACKOFF,
}: ChildOptions): Child {
  const backoff = openBackoff(steps);
  const first = Promise.withResolvers<number>();
  const gone = Promise.withResolvers<void>();
  let current: ChildProcess | null = null;
  let everReady = false;
  let stopping = false;
  let tries = 0;
  let waiting = { cancel: (): void => {} };

  const begin = (): void => {
    const child = launch();
    const beganAt = clock.monotonic();
    const livedMs = (): number => Math.round(clock.monotonic() - beganAt);
    current = child;
    let ended = false;
    const overdue = clock.after(readyMs, () => {
      log.warn({ child: name, afterMs: readyMs }, "child is not ready in time and is killed");
      child.kill("SIGKILL");
    });
    child.on("message", (message) => {
      if (!isReady(message)) return;
      overdue.cancel();
      everReady = true;
      log.info({ child: name, process: child.pid, tookMs: livedMs() }, "child is ready");
      first.resolve(message.port);
    });
    const onEnd = (code: number, how: string): void => {
      if (ended) return;
      ended = true;
      overdue.cancel();
      current = null;
      after(code, how, livedMs());
    };
    // A program that cannot be started at all has no exit, only an error.
    child.on("error", (error) => {
      if (child.pid === undefined) onEnd(EXIT.fault, error.message);
    });
    child.once("exit", (code, signal) => onEnd(code ?? EXIT.fault, signal ?? `exit code ${code}`));
  };

  const after = (code: number, how: string, livedMs: number): void => {
    if (stopping) return gone.resolve();
    tries++;
    if (!everReady && (code === EXIT.settings || tries >= TRIES)) {
      stopping = true;
      gone.resolve();
      return first.reject(new ChildGone(name, code, how));
    }
    if (livedMs >= SETTLED_MS) backoff.reset();
    const waitMs = backoff.next();
    log.error({ child: name, how, livedMs, waitMs: Math.round(waitMs) }, "child ended and is started again");
    waiting = clock.after(waitMs, begin);
  };

  const stop = (): Promise<void> => {
    if (stopping) return gone.promise;
    stopping = true;
    waiting.cancel();
    first.reject(new ChildGone(name, EXIT.ok, "it was told to stop"));
    if (current === null) {
      gone.resolve();
      return gone.promise;
    }
    const child = current;
    child.kill("SIGTERM");
    const late = clock.after(drainMs, () => {
      log.warn({ child: name, afterMs: drainMs }, "child does not finish draining and is killed");
      child.kill("SIGKILL");
    });
    return gone.promise.finally(() => late.cancel());
  };

  // Whoever stops before the first `ready` may not be listening to it.
  first.promise.catch(() => {});
  begin();
  return {
    ready: first.promise,
    stop,
    kill() {
      void stop();
      current?.kill("SIGKILL");
    },
    get pid() {
      return current?.pid ?? 0;
    },
  };
}

function isReady(message: unknown): message is { type: "ready"; port: number } {
  const { type, port } = (message ?? {}) as { type?: unknown; port?: unknown };
  return type === "ready" && typeof port === "number";
}
