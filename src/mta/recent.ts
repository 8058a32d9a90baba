/** A map with a bound: when it is full, what was longest unused is forgotten. For what peers and strangers' domains make us remember. */

export interface Recent<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
  readonly size: number;
}

export function openRecent<K, V>(limit: number): Recent<K, V> {
  // A Map iterates in the order of insertion: taking out and putting in again moves a key to the young end.
  const map = new Map<K, V>();
  return {
    get(key) {
      const value = map.get(key);
      if (value === undefined) return undefined;
      map.delete(key);
      map.set(key, value);
      return value;
    },
    set(key, value) {
      map.delete(key);
      map.set(key, value);
      if (map.size > limit) for (const oldest of map.keys()) return void map.delete(oldest);
    },
    delete: (key) => void map.delete(key),
    get size() {
      return map.size;
    },
  };
}
