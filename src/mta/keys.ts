/**
 * The keys that sign, read again every half minute: a new key file or a new token key is used without a restart. Unreadable keys are
 * complained of and the last good ones stay in use.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { TokenKeyRing } from "../model/token.ts";
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
  let text = "";
  let keys = read();
  let timer: Timer = clock.after(RELOAD_MS, reload);

  function read(): RenderKeys {
    const { token, dkim } = load();
    const next = JSON.stringify([token.map((k) => [k.id, Buffer.from(k.secret).toString("base64")]), dkim]);
    if (next === text) return keys;
    const version = text === "" ? 1 : keys.version + 1;
    text = next;
    return { version, token, dkim };
  }

  function reload(): void {
    try {
      const before = keys.version;
      keys = read();
      if (keys.version !== before) log.info({ version: keys.version, dkimKeys: keys.dkim.length }, "keys reloaded");
    } catch (error) {
      log.error({ err: error }, "keys cannot be read again; the last ones stay in use");
    }
    timer = clock.after(RELOAD_MS, reload);
  }

  return { current: () => keys, close: () => timer.cancel() };
}
