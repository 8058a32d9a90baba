/**
 * One program going through the mail of many: the same user agent from the same network (/24, /48) with hits on a hundred different messages within
 * ten seconds. That is ten messages a second; a company's reader's do not come so close behind one address, nor those of a carrier. Only
 * hits that nothing else speaks against are asked about, so the image proxies of Gmail and Yahoo are not.
 *
 * What is remembered is bounded and lives in this process alone: after a restart a sweep is found again a hundred messages later. Hits of the batch
 * that came before the hundredth are told too.
 */
import { addressNumber } from "../model/network.ts";

export const SWEEP_MS = 10_000;
export const SWEEP_MESSAGES = 100;

export interface Sweeps {
  /** A new batch: indexes begin anew. */
  begin(): void;
  /** One hit, at epoch ms; `index` of it in the batch. The hits of the batch that are a sweep's by now, not told before. */
  hit(ip: string, userAgent: number, message: number, at: number, index: number): readonly number[];
}

interface Window {
  from: number;
  readonly messages: Set<number>;
  /** Of which batch `indexes` are. */
  batch: number;
  indexes: number[];
}

const NONE: readonly number[] = [];

/** @param most user agents and networks that are remembered at once. */
export function openSweeps(most: number = 5_000): Sweeps {
  const windows = new Map<string, Window>();
  let batch = 0;

  function windowOf(key: string, at: number): Window {
    const known = windows.get(key);
    if (known !== undefined && Math.abs(at - known.from) <= SWEEP_MS) return known;
    // The newest stand last, so what is forgotten is what was begun first.
    windows.delete(key);
    const made = { from: at, messages: new Set<number>(), batch, indexes: [] };
    windows.set(key, made);
    if (windows.size > most) windows.delete(windows.keys().next().value as string);
    return made;
  }

  return {
    begin: () => void batch++,
    hit(ip, userAgent, message, at, index) {
      const network = networkOf(ip);
      if (network === null || message === 0) return NONE;
      const window = windowOf(`${network} ${userAgent}`, at);
      if (window.batch !== batch) {
        window.batch = batch;
        window.indexes = [];
      }
      if (window.messages.size < SWEEP_MESSAGES) window.messages.add(message);
      window.indexes.push(index);
      if (window.messages.size < SWEEP_MESSAGES) return NONE;
      const told = window.indexes;
      window.indexes = [];
      return told;
    },
  };
}

/** null: the address is not known. */
function networkOf(ip: string): string | null {
  if (ip === "") return null;
  const number = addressNumber(ip);
  if (number === null) return null;
  return ip.includes(":") ? `6:${number}` : `4:${Math.floor(number / 256)}`;
}
