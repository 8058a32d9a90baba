/** The demo's command line. */
import { parseArgs } from "node:util";

export interface Options {
  readonly recipients: number;
  readonly seed: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run demo [-- options]

  --recipients N  recipients of the delivery (default 5000)
  --seed S        who is unknown, full, greylisted … is drawn from this number (default 1)
  --json          the last line is one JSON object
  --keep          keep the data folder: database, settings, every sample message
  --help          this text
`;

/** Fewer than this would leave some characters without a recipient. */
export const LEAST = 200;

/** Throws RangeError with a sentence for what cannot be. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      recipients: { type: "string", default: "5000" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  return {
    recipients: whole("--recipients", values.recipients, LEAST, 5_000_000),
    seed: whole("--seed", values.seed, 0, 0x7fffffff),
    json: values.json,
    keep: values.keep,
    help: values.help,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least || value > most || text.trim() === "") {
    throw new RangeError(`${name} is a whole number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}
