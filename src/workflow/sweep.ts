/**
 * One program going through the mail of many: a hundred hits with the same user agent from the same network (/24, /48) within ten seconds, the last
 * fifty of them on fifty different messages. That is ten a second; the readers of a company do not come so close behind one address, nor
 * those of a carrier. Only hits that nothing else speaks against are asked about, so the image proxies of Gmail and Yahoo are not.
 *
 * Asked about every hit, so it is a table of plain numbers: a user agent and a network have one place in it, and who comes to a place that
 * somebody busy has is not watched. It lives in this process alone: after a restart a sweep is found again a hundred hits later.
 */
import { addressNumber, isPrivate } from "../model/network.ts";

export const SWEEP_MS = 10_000;
export const SWEEP_HITS = 100;
/** Different messages, among the hits that come behind as many others. */
const SWEEP_MESSAGES = 50;
/** Hits of a window that make it somebody busy. */
const BUSY = 8;

export interface Sweeps {
  /**
   * One hit, at epoch ms. 0: not one of a sweep; else when the sweep began: hits of the same program and network from then on are its.
   */
  hit(ip: string, userAgent: number, message: number, at: number): number;
  /** The same for the same program and network; null when the network is not known. */
  key(ip: string, userAgent: number): number | null;
}

/** @param places a power of two. */
export function openSweeps(places: number = 16_384): Sweeps {
  const keys = new Float64Array(places);
  const from = new Float64Array(places);
  const hits = new Uint32Array(places);
  /** Of windows that have half of their hits. */
  const messages = new Map<number, Set<number>>();

  function begin(place: number, key: number, at: number): void {
    keys[place] = key;
    from[place] = at;
    hits[place] = 0;
    messages.delete(place);
  }

  return {
    key: keyOf,
    hit(ip, userAgent, message, at) {
      const key = keyOf(ip, userAgent);
      if (key === null || message === 0) return 0;
      const place = scatter(key) & (places - 1);
      const over = Math.abs(at - from[place]!) > SWEEP_MS;
      if (keys[place] !== key) {
        if (!over && hits[place]! >= BUSY) return 0;
        begin(place, key, at);
      } else if (over) begin(place, key, at);
      const count = ++hits[place]!;
      if (count <= SWEEP_HITS - SWEEP_MESSAGES) return 0;
      let seen = messages.get(place);
      if (seen === undefined) messages.set(place, (seen = new Set()));
      if (seen.size < SWEEP_MESSAGES) seen.add(message);
      return seen.size < SWEEP_MESSAGES ? 0 : from[place]!;
    },
  };
}

/** Networks are apart from each other for all practical purposes: IPv6 ones above all IPv4 ones, folded to 29 bits. */
function keyOf(ip: string, userAgent: number): number | null {
  const number = ip === "" ? null : addressNumber(ip);
  // Behind a proxy that was not told of (redirector.trustedProxies) all readers have one address: they are no sweep.
  if (number === null || isPrivate(ip)) return null;
  const network = ip.includes(":") ? 0x1000000 + (number % 0x1ffffffb) : Math.floor(number / 256);
  return network * 0x400000 + (userAgent % 0x400000);
}

function scatter(key: number): number {
  let mixed = (key % 0x100000000) ^ Math.floor(key / 0x100000000);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
