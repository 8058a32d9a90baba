/** What pretend readers did, as the other side of what is counted; and what they found wrong on their way. */

export type Kind = "opened" | "clicked" | "unsubscribed" | "mirror";

export interface MadeHit {
  /** Of whom. */
  readonly to: string;
  readonly kind: Kind;
  /** Number of a link that was clicked, else 0. */
  readonly link: number;
  readonly who: "people" | "machines";
  /** False: it repeats one, or is of the link nobody sees; written down and in no sum. */
  readonly counts: boolean;
}

export interface Made {
  readonly hits: MadeHit[];
  /** Addresses that were answered that they are unsubscribed. */
  readonly unsubscribed: Set<string>;
  /** Links that were tampered with. */
  tampered: number;
  /** What was answered otherwise than it should. */
  readonly wrong: string[];
}

export function nothingMade(): Made {
  return { hits: [], unsubscribed: new Set(), tampered: 0, wrong: [] };
}
