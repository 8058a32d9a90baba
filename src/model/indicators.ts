/**
 * The indicators of a delivery (spec modules.md §11.10; ops/tracking.md explains each): sums the tracking workflow keeps, and what follows
 * from them. Twice: over all hits, and over those a person is behind (classes person and proxy).
 */

/** Sums over hits that count. */
export interface ReactionSums {
  /** Distinct messages with any hit. */
  readonly recipientOpen: number;
  /** Opens; those of one message within a minute are one. */
  readonly totalRecipientOpen: number;
  /** Distinct messages with a click. */
  readonly recipientClick: number;
  /** Distinct visitors with a click; without a visitor's cookie each click is one. */
  readonly personClick: number;
  readonly totalRecipientClick: number;
  /** Messages whose reader unsubscribed. */
  readonly optOut: number;
  readonly mirrorPage: number;
  /** Of web tracking: pages without transactions. */
  readonly webPage: number;
  readonly transaction: number;
  readonly amount: number;
  readonly article: number;
}

export const NO_REACTIONS: ReactionSums = {
  recipientOpen: 0,
  totalRecipientOpen: 0,
  recipientClick: 0,
  personClick: 0,
  totalRecipientClick: 0,
  optOut: 0,
  mirrorPage: 0,
  webPage: 0,
  transaction: 0,
  amount: 0,
  article: 0,
};

export interface Indicators extends ReactionSums {
  /** Pages and transactions. */
  readonly totalWebPage: number;
  /** What recipientOpen would be if text could be measured as HTML can. */
  readonly estimatedRecipientOpen: number;
  /** Visitors beyond the recipients who clicked: the mail was passed on. Below 0 never. */
  readonly forward: number;
  /** recipientClick ÷ recipientOpen, 0 when nobody opened. */
  readonly reactivity: number;
}

/** @param toDeliver messages that were to be sent; @param text those of them without an HTML part. */
export function indicatorsOf(sums: ReactionSums, toDeliver: number, text: number): Indicators {
  const measurable = toDeliver - text;
  return {
    ...sums,
    totalWebPage: sums.webPage + sums.transaction,
    estimatedRecipientOpen: measurable <= 0 ? 0 : Math.round((sums.recipientOpen * toDeliver) / measurable),
    forward: Math.max(0, sums.personClick - sums.recipientClick),
    reactivity: sums.recipientOpen === 0 ? 0 : sums.recipientClick / sums.recipientOpen,
  };
}
