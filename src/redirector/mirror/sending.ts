/**
 * Pages on their way to readers stand in memory until the last octet is taken. Whoever takes them drop by drop, over thousands of connections, is not to
 * fill it: there is a bound on octets, beyond which readers are told to come again, and a time by which a page is taken.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";

export interface Sending {
  /** False when there is no room for so many octets; else they have their place until the response is over. */
  take(response: ServerResponse, octets: number): boolean;
}

/** A thousand newsletters at the same moment. */
export const MOST_SENDING = 128 * 1024 * 1024;
/** 100 KB at the speed of a modem. */
const SEND_MS = 60_000;

export function openSending(clock: Clock): Sending {
  let octets = 0;
  return {
    take(response, taken) {
      if (octets + taken > MOST_SENDING) return false;
      octets += taken;
      const timer = clock.after(SEND_MS, () => response.destroy());
      response.once("close", () => {
        octets -= taken;
        timer.cancel();
      });
      return true;
    },
  };
}
