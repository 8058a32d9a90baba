/** The leaves of table `tracking`, a month each: made before the first hit of a month is written, looked for once. */
import type { Sql } from "../db/sql.ts";
import { makeMonths } from "../db/tracking-sources.ts";

export interface Months {
  /** Makes the leaves there are to be for hits at these times (epoch ms). */
  make(times: readonly number[]): Promise<void>;
  /** Was it a leaf that is not there any more? Then all are looked at again. */
  forgot(err: unknown): boolean;
}

const CHECK_VIOLATION = "23514";

export function openMonths(sql: Sql): Months {
  const made = new Set<string>();
  return {
    async make(times) {
      const wanted = new Set<string>();
      let [from, to] = [0, 0];
      for (const at of times) {
        if (at >= from && at < to) continue;
        const date = new Date(at);
        from = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
        to = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
        const month = new Date(from).toISOString().slice(0, 10);
        if (!made.has(month)) wanted.add(month);
      }
      if (wanted.size === 0) return;
      await makeMonths(sql, [...wanted]);
      for (const month of wanted) made.add(month);
    },
    forgot(err) {
      const missing = (err as { code?: string }).code === CHECK_VIOLATION && made.size > 0;
      made.clear();
      return missing;
    },
  };
}
