/**
 * What was opened is released in reverse, once: also when the opening of the next thing fails. A composition root opens everything
 * inside `withReleasers` and keeps `releasers.all` as its close.
 */

export type Release = () => void | Promise<void>;

export interface Releasers {
  add(release: Release): void;
  /** Releases everything, last one first, each awaited. One that fails does not spare the others; all failures are thrown together. */
  all(): Promise<void>;
}

/** Runs `open`; when it fails, what it had added is released before the failure goes on. */
export async function withReleasers<T>(open: (releasers: Releasers) => Promise<T>): Promise<T> {
  const held: Release[] = [];
  let releasing: Promise<void> | undefined;
  const releaseAll = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (let release = held.pop(); release !== undefined; release = held.pop()) {
      try {
        await release();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, "several things could not be closed");
  };
  const releasers: Releasers = {
    add: (release) => void held.push(release),
    all: () => (releasing ??= releaseAll()),
  };
  try {
    return await open(releasers);
  } catch (error) {
    try {
      await releasers.all();
    } catch (second) {
      throw new AggregateError([error, second], (error as Error).message, { cause: second });
    }
    throw error;
  }
}
