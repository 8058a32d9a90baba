/** Answers are one line of the protocol: lists are cut to what fits, and arguments are what a stranger may have written. */
import { MOST_ANSWER } from "../../quota/answers.ts";

/** The first of `items` that fit into `most` octets as JSON. */
export function fit<T>(items: Iterable<T>, most: number = MOST_ANSWER): T[] {
  const taken: T[] = [];
  let left = most;
  for (const item of items) {
    left -= Buffer.byteLength(JSON.stringify(item)) + 1;
    if (left < 0) break;
    taken.push(item);
  }
  return taken;
}

export type Args = Readonly<Record<string, unknown>>;

/** A text of the arguments, '' when it is not there. Throws when it is something else. */
export function textArg(args: Args, name: string): string {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return "";
  if (typeof value !== "string" || value.length > 10_000) throw new Error(`${name} is not a text`);
  return value;
}

/** A whole number of the arguments, or `fallback`. Throws when it is something else. */
export function numberArg(args: Args, name: string, fallback: number, most: number): number {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
    throw new Error(`${name} is not a whole number from 0 to ${most}`);
  return value;
}

/** Texts of the arguments, [] when there are none. */
export function textsArg(args: Args, name: string, most: number): string[] {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return [];
  if (
    !Array.isArray(value) ||
    value.length > most ||
    !value.every((one) => typeof one === "string" && one.length < 1000)
  )
    throw new Error(`${name} is not a list of at most ${most} texts`);
  return value as string[];
}

/** Whole numbers of the arguments, [] when there are none. */
export function numbersArg(args: Args, name: string, most: number): number[] {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return [];
  const fine = (one: unknown): boolean => Number.isInteger(one) && (one as number) >= 0 && (one as number) < 2 ** 31;
  if (!Array.isArray(value) || value.length > most || !value.every(fine))
    throw new Error(`${name} is not a list of at most ${most} numbers`);
  return value as number[];
}
