/**
 * Which address each log is pulled from. A log is known by the id in its folder: where a folder was copied to a second server, or one server is named twice,
 * two would move one cursor, and hits of the one would be left out, or counted again, for those of the other.
 */
import type { Clock } from "../base/clock.ts";

export interface Claims {
  /** The log answers at an address. '': it is pulled there; else the address that has it, and answered lately. */
  take(log: string, address: string): string;
}

/** Longer than any answer is waited for. */
const HELD_MS = 5 * 60_000;

export function openClaims(clock: Clock): Claims {
  const held = new Map<string, { readonly address: string; readonly at: number }>();
  return {
    take(log, address) {
      const now = clock.monotonic();
      const holder = held.get(log);
      if (holder !== undefined && holder.address !== address && now - holder.at < HELD_MS) return holder.address;
      // An address has one log.
      for (const [other, { address: of }] of held) if (of === address && other !== log) held.delete(other);
      held.set(log, { address, at: now });
      return "";
    },
  };
}
