/**
 * The secret and the token keys that web shares with redirection servers: read when the first of them asks, and again every few seconds from then on. Web
 * makes no keys: others would not know them. Without them it answers everybody else, and redirection servers with 503.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openReread, type Reread } from "../base/reread.ts";
import { Problem } from "../http/problem.ts";
import { ringMark, type TokenKeyRing } from "../model/token.ts";
import type { TrackingServers } from "./context.ts";

/** Sooner than anybody reads mail that was signed with a new key. */
const READ_MS = 10_000;

export interface ServersDeps {
  readonly clock: Clock;
  readonly log: Log;
  readSecret(): Buffer;
  readKeys(): TokenKeyRing;
}

/** What it returns throws Problem 503 while there has never been anything to read. */
export function openServers(deps: ServersDeps): TrackingServers & { close(): void } {
  const secret = reread(deps, "tracking secret", deps.readSecret, (value) => value.toString("base64"));
  const keys = reread(deps, "token keys", deps.readKeys, ringMark);
  return {
    secret: secret.current,
    tokenKeys: keys.current,
    close() {
      secret.close();
      keys.close();
    },
  };
}

function reread<T>(
  { clock, log }: ServersDeps,
  what: string,
  read: () => T,
  mark: (value: T) => string,
): { current(): T; close(): void } {
  let files: Reread<T> | undefined;
  return {
    current() {
      try {
        files ??= openReread({ what, everyMs: READ_MS, clock, log, read, mark });
      } catch (err) {
        log.error({ err }, `the ${what} shared with redirection servers cannot be read`);
        throw new Problem(503, "the keys of this machine cannot be read", { retryAfter: 30 });
      }
      return files.current;
    },
    close: () => files?.close(),
  };
}
