/**
 * The door to PostgreSQL, and the only importer of `postgres`. Ids are bigint in the tables and safe integers here: a message id is
 * volume << 32 | number and stays under 2^53 until volume 2,097,152.
 */
import postgres from "postgres";
import { answeringSockets } from "./answering.ts";
import { arrayTypes } from "./array-types.ts";

export type Sql = postgres.Sql<{ bigint: number }>;
/** Inside a transaction or outside of it. */
export type AnySql = Sql | postgres.TransactionSql<{ bigint: number }>;

export interface SqlOptions {
  /** Connections of this process. */
  readonly poolSize: number;
  /** application_name, seen in pg_stat_activity. */
  readonly name: string;
  /** How long a statement may go without an octet of an answer; default a minute. */
  readonly answerMs?: number;
}

const ANSWER_MS = 60_000;

/** Opens a lazy pool on a `postgres://` URL. Close with `sql.end({ timeout: seconds })`. */
export function openSql(url: string, options: SqlOptions): Sql {
  return postgres(url, {
    max: options.poolSize,
    connection: { application_name: options.name },
    types: {
      bigint: {
        to: 20,
        from: [20],
        serialize: (value: number) => String(value),
        parse: readBigint,
      },
      ...arrayTypes(readBigint),
    },
    // See array-types.ts: it is told, so it need not ask.
    fetch_types: false,
    connect_timeout: 10,
    // Known to the driver, not to its types.
    ...({ socket: answeringSockets(options.answerMs ?? ANSWER_MS) } as object),
    // Seconds until a connection is tried again. The driver's own back-off goes to 20 s: that long every process would stand still after
    // the database is back, and every request would wait for its 503.
    backoff: (tries: number) => (0.5 + Math.random() / 2) * Math.min(1, 0.03 * 2 ** tries),
    idle_timeout: 0,
    // A query that the server never answers would hold a lease for ever; statements of ours take milliseconds.
    onnotice: () => {},
  }) as Sql;
}

function readBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} is outside of the safe integers`);
  return value;
}

/** Channels of NOTIFY: who listens learns at once, who missed it finds out at its next look (mta/claim loop, every few seconds). */
export const CHANNELS = {
  /** New due parts; payload: delivery id. */
  work: "postilion_work",
  /** A delivery changed its state; payload: `<id> <state>`. */
  delivery: "postilion_delivery",
  /** For the statistics servers; payload: the id of a suspension that began or ended, or `leader` (nobody leads any more). */
  traffic: "postilion_traffic",
  /** For the workflows that stand by; payload: `leader` (nobody leads any more). */
  workflow: "postilion_workflow",
  /** Among the statistics servers: read rules and settings again, and what came of it; payload: stat/reload.ts. */
  reload: "postilion_reload",
} as const;
