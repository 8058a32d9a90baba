/**
 * The secret and the token keys that web shares with redirection servers, read again when they are used and were read a while ago: a key that was rotated
 * is used without a restart. Files that cannot be read are complained of and the last good ones stay in use.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Problem } from "../http/problem.ts";
import type { TokenKeyRing } from "../model/token.ts";
import type { TrackingServers } from "./context.ts";

/** As long as an mta takes at most to sign with a new key is too long to refuse what it signed: a third of it. */
const READ_MS = 10_000;

export interface ServersDeps {
  readonly clock: Clock;
  readonly log: Log;
  loadSecret(): Buffer;
  loadKeys(): TokenKeyRing;
}

/** What it returns throws Problem 503 while there has never been anything to read. */
export function openServers({ clock, log, loadSecret, loadKeys }: ServersDeps): TrackingServers {
  function reread<T>(load: () => T): () => T {
    let last: { readonly value: T } | undefined;
    let readAt = 0;
    return () => {
      const now = clock.monotonic();
      if (last !== undefined && now - readAt < READ_MS) return last.value;
      readAt = now;
      try {
        last = { value: load() };
      } catch (err) {
        log.error({ err }, "what is shared with redirection servers cannot be read");
        if (last === undefined) throw new Problem(503, "the keys of this machine cannot be read", { retryAfter: 30 });
      }
      return last.value;
    };
  }
  return { secret: reread(loadSecret), tokenKeys: reread(loadKeys) };
}
