/** Work done one piece after the other, in the order it came; what fails is told and does not stop the rest. Bounded: what comes when too much waits is dropped and told. */

export interface InTurn {
  add(work: () => Promise<void>): void;
  /** Resolves when all that was added is done. */
  done(): Promise<void>;
}

const MOST_WAITING = 10_000;

export function inTurn(failed: (error: unknown) => void): InTurn {
  let last = Promise.resolve();
  let waiting = 0;
  return {
    add(work) {
      if (waiting >= MOST_WAITING) return failed(new Error(`more than ${MOST_WAITING} wait already`));
      waiting++;
      last = last
        .then(work)
        .catch(failed)
        .finally(() => waiting--);
    },
    done: () => last,
  };
}
