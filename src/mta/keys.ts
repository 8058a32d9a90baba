/**
 * The keys that sign, read again every half minute: a new key file or a new token key is used without a restart. Unreadable keys are
 * complained of and the last good ones stay in use.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openReread } from "../base/reread.ts";
import { ringMark, type TokenKeyRing } from "../model/token.ts";
import type { DkimKeyText } from "../render/contract.ts";
import type { RenderKeys } from "../render/pool.ts";

const RELOAD_MS = 30_000;

export interface Keys {
  current(): RenderKeys;
  close(): void;
}

export interface KeysDeps {
  readonly clock: Clock;
  readonly log: Log;
  load(): { token: TokenKeyRing; dkim: readonly DkimKeyText[] };
}

/** Throws what `load` throws the first time. */
export function openKeys({ clock, log, load }: KeysDeps): Keys {
  const files = openReread({
    what: "keys",
    everyMs: RELOAD_MS,
    clock,
    log,
    read: load,
    mark: ({ token, dkim }) => JSON.stringify([ringMark(token), dkim]),
  });
  let keys: RenderKeys = { version: files.version, ...files.current };
  return {
    current() {
      if (keys.version !== files.version) keys = { version: files.version, ...files.current };
      return keys;
    },
    close: () => files.close(),
  };
}
