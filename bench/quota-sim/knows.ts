/** What a machine is known to know. */
export interface Knows {
  version: number;
  members: number;
  /** True ms since it is without server; Infinity: it is not. */
  aloneAt: number;
  /** True ms at which it met the server last, was lost, or died. */
  disturbedAt: number;
  diedAt: number;
}
