/** What a machine is known to know. */
import type { Curb } from "../../src/quota/messages.ts";

export interface Knows {
  version: number;
  /** The one before, and since when (true ms) nothing granted under it is used any more; Infinity: that is still to be said. */
  before: number;
  versionAt: number;
  members: number;
  /** True ms since it is without server; Infinity: it is not. */
  aloneAt: number;
  /** True ms at which it met the server last, was lost, or died. */
  disturbedAt: number;
  diedAt: number;
  /** What measures leave it without the server, by `site|publicId`: as it was told last. */
  curbs: readonly Curb[];
}
