/** What is counted of a warm-up plan, apart from its settings: so it outlives a restart, and a time in which the settings do not have the plan. */

export interface Counts {
  /** Sending days that are over. */
  day: number;
  /** Begin of the day and of the hour that are counted. */
  dayAt: number;
  hourAt: number;
  sent: number;
  sentInHour: number;
  accepted: number;
  errors: number;
  paused: string;
  pausedSince: number;
}

export const NOTHING: Readonly<Counts> = {
  day: 0,
  dayAt: 0,
  hourAt: 0,
  sent: 0,
  sentInHour: 0,
  accepted: 0,
  errors: 0,
  paused: "",
  pausedSince: 0,
};

const NUMBERS = ["day", "dayAt", "hourAt", "sent", "sentInHour", "accepted", "errors", "pausedSince"] as const;
/** A public id and a mask. */
const KEY_MOST = 300;

/** Of whatever has counts, these alone. */
export function countsOf(from: Readonly<Counts>): Counts {
  const counts = { ...NOTHING, paused: from.paused };
  for (const name of NUMBERS) counts[name] = from[name];
  return counts;
}

export function plainCounts(key: string, counts: Readonly<Counts>): unknown {
  return [key, counts.paused, ...NUMBERS.map((name) => counts[name])];
}

/** What `plainCounts` made; null when this is something else. */
export function readCounts(plain: unknown): readonly [key: string, counts: Counts] | null {
  if (!Array.isArray(plain)) return null;
  const [key, paused, ...numbers] = plain as unknown[];
  if (typeof key !== "string" || key.length > KEY_MOST || typeof paused !== "string") return null;
  if (!numbers.every((n) => Number.isSafeInteger(n) && Number(n) >= 0)) return null;
  const counts = { ...NOTHING, paused };
  NUMBERS.forEach((name, i) => (counts[name] = Number(numbers[i] ?? 0)));
  return [key, counts];
}
