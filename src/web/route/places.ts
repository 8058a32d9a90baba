/** A bound on answers that are being streamed: whoever finds no place is told when to come again; a place is free when its stream is closed, however it ended. */
import type { Readable } from "node:stream";
import { Problem } from "../../http/problem.ts";

export interface Places {
  /** Opens a stream in a place. Throws Problem 429 when there is none. */
  take<T extends Readable>(open: () => T): T;
}

/** `what`: `4 files are being written` is what the problem says. */
export function openPlaces(most: number, what: string): Places {
  let taken = 0;
  return {
    take(open) {
      if (taken >= most) throw new Problem(429, `${most} ${what} already`, { retryAfter: 5 });
      taken++;
      try {
        const stream = open();
        stream.once("close", () => taken--);
        return stream;
      } catch (error) {
        taken--;
        throw error;
      }
    },
  };
}
