/** What a bench is: the types every bench and `bench/run.ts` share. */

export interface BenchOptions {
  /** True when all benches run in a row: fewer rounds, smaller loads. */
  readonly short: boolean;
  readonly values: Readonly<Record<string, string>>;
  /** Files or folders named behind the bench. */
  readonly places?: readonly string[];
}

/** Prints its table and returns the object of the last line. */
export type Bench = (options: BenchOptions) => Promise<Record<string, unknown>>;
