/**
 * One write a turn: what is said to a client while the event loop goes round once is joined and handed to its socket together. A grant for
 * one client is often made while another one's line is read, and a write of its own for each would cost more than the grant.
 */

export interface Turns {
  /** Calls `fn` once at the end of this turn of the event loop. */
  atEnd(fn: () => void): void;
}

export function openTurns(): Turns {
  let due: (() => void)[] = [];
  const run = (): void => {
    const now = due;
    due = [];
    for (const fn of now) fn();
  };
  return {
    atEnd(fn) {
      // After the sockets that are readable now: setImmediate is the phase behind the poll.
      if (due.push(fn) === 1) setImmediate(run);
    },
  };
}
