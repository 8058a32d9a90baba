/** A memory of hints with a bound: when it is full it begins anew. */

const MOST_REMEMBERED = 20_000;

export function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MOST_REMEMBERED && !map.has(key)) map.clear();
  map.set(key, value);
}
