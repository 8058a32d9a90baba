/**
 * What the ledger says of a delivery held against what the receiving host took: the promises of exactness, each as a list of
 * those who break it, so that a failing test names them. Needs nothing of vitest.
 */
import { MESSAGE_STATUSES } from "../../src/model/delivery.ts";
import type { Sql } from "../../src/db/sql.ts";
import { countBothWays } from "./ledger.ts";

export interface Judgement {
  /** `sent` and never taken. */
  readonly lost: readonly string[];
  /** Taken more than once, and the ledger never said it was in doubt. */
  readonly doubled: readonly string[];
  /** Taken, and the ledger says neither `sent` nor that there was doubt. */
  readonly unsaid: readonly string[];
  /** Taken, and not in the delivery. */
  readonly strangers: readonly string[];
  /** The events do not add up to the status: a `sent` with not exactly one event of it, a doubt or failure without one. */
  readonly untold: readonly string[];
  /** Counters of the parts that differ from the rows. */
  readonly drift: readonly string[];
}

/** What every scenario must come to. */
export const EXACT: Judgement = { lost: [], doubled: [], unsaid: [], strangers: [], untold: [], drift: [] };

export interface Verdict {
  readonly judgement: Judgement;
  /** Messages by status, in the order of MESSAGE_STATUSES. */
  readonly rows: readonly number[];
  /** Addresses that were ever in doubt. */
  readonly doubted: ReadonlySet<string>;
  /** Addresses taken more than once. */
  readonly doubles: readonly string[];
  /** Most attempts any message had. */
  readonly attempts: number;
}

interface Row {
  readonly address: string;
  readonly status: number;
  readonly attempts: number;
  readonly sent: number;
  readonly failed: number;
  readonly doubts: number;
  readonly resolved: number;
}

/** @param taken how often the host took each address. */
export async function judge(sql: Sql, deliveryId: number, taken: ReadonlyMap<string, number>): Promise<Verdict> {
  const rows = await sql<Row[]>`
    select m.address, m.status, m.attempts,
      (count(*) filter (where e.type = 2))::int as sent, (count(*) filter (where e.type = 4))::int as failed,
      (count(*) filter (where e.type = 5))::int as doubts, (count(*) filter (where e.type = 6))::int as resolved
    from message m left join event e on e.message_id = m.id
    where m.delivery_id = ${deliveryId} group by m.id, m.address, m.status, m.attempts order by m.id`;
  const both = await countBothWays(sql, deliveryId);
  const pick = (broken: (row: Row, times: number) => boolean): string[] =>
    rows.filter((row) => broken(row, taken.get(row.address) ?? 0)).map(({ address }) => address);
  const known = new Set(rows.map(({ address }) => address));
  return {
    judgement: {
      lost: pick((row, times) => row.status === SENT && times === 0),
      doubled: pick((row, times) => times > 1 && row.doubts === 0),
      unsaid: pick((row, times) => times > 0 && row.status !== SENT && row.doubts === 0),
      strangers: [...taken.keys()].filter((address) => !known.has(address)),
      untold: pick(
        (row) =>
          (row.status === SENT && row.sent + row.resolved !== 1) ||
          (row.status === FAILED && row.failed + row.resolved !== 1) ||
          (row.status === IN_DOUBT && row.doubts === 0),
      ),
      drift: both.rows.flatMap((n, i) =>
        both.parts[i] === n ? [] : [`${MESSAGE_STATUSES[i]}: parts ${both.parts[i]}, rows ${n}`],
      ),
    },
    rows: both.rows,
    doubted: new Set(rows.filter(({ doubts }) => doubts > 0).map(({ address }) => address)),
    doubles: pick((_, times) => times > 1),
    attempts: Math.max(0, ...rows.map(({ attempts }) => attempts)),
  };
}

const SENT = MESSAGE_STATUSES.indexOf("sent");
const FAILED = MESSAGE_STATUSES.indexOf("failed");
const IN_DOUBT = MESSAGE_STATUSES.indexOf("in-doubt");

/** Resolves with the state of a delivery. */
export async function stateOf(sql: Sql, deliveryId: number): Promise<string> {
  const [row] = await sql<{ state: string }[]>`select state from delivery where id = ${deliveryId}`;
  return row?.state ?? "";
}
