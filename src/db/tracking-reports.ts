/** The sums the tracking workflow keeps, read back: the indicators of a delivery, and hits by link and five minutes. */
import { type Indicators, indicatorsOf, NO_REACTIONS, type ReactionSums } from "../model/indicators.ts";
import { TRACKING_KINDS, type TrackingKind } from "../model/tracking.ts";
import type { Sql } from "./sql.ts";

export interface Reactions {
  readonly all: Indicators;
  /** Of hits a person is behind. */
  readonly people: Indicators;
}

/** The indicators of a delivery; null: there is no such delivery. */
export async function reactionsOf(sql: Sql, deliveryId: number): Promise<Reactions | null> {
  const [delivery] = await sql<{ toDeliver: number; textOnly: boolean }[]>`
    select (c.body::json ->> 'html') = '' as "textOnly", (
      select coalesce(sum(pending + deferred + sent + failed + bounced + cancelled + in_doubt), 0)::bigint
      from part where delivery_id = d.id) as "toDeliver"
    from delivery d join content c on c.hash = d.content_hash where d.id = ${deliveryId}`;
  if (delivery === undefined) return null;
  const rows = await sql<(ReactionSums & { who: number })[]>`
    select who, recipient_open as "recipientOpen", opens as "totalRecipientOpen", recipient_click as "recipientClick", person_click as "personClick",
      clicks as "totalRecipientClick", opt_outs as "optOut", mirror_pages as "mirrorPage", web_pages as "webPage", transactions as transaction,
      amount::float8 as amount, articles as article
    from delivery_reactions where delivery_id = ${deliveryId}`;
  const { toDeliver, textOnly } = delivery;
  const told = (who: number): Indicators => {
    const { who: _, ...sums } = rows.find((row) => row.who === who) ?? { ...NO_REACTIONS, who };
    return indicatorsOf(sums, toDeliver, textOnly ? toDeliver : 0);
  };
  return { all: told(0), people: told(1) };
}

export interface LinkPeriod {
  readonly link: number;
  readonly kind: TrackingKind;
  /** Its beginning. */
  readonly period: Date;
  readonly people: number;
  readonly machines: number;
}

/** Statistics are kept by periods of five minutes. */
export const PERIOD_MS = 300_000;
/** Rows of one answer: a hundred links over a day at the finest. As many as this: there may be more. */
export const MOST_ROWS = 50_000;

/**
 * Hits that count, by link and period, in order of time; only periods with any. `stepMs`: a multiple of five minutes to be told in, counted
 * from the epoch; the whole of from…to when it is 0.
 */
export async function linkStatistics(
  sql: Sql,
  deliveryId: number,
  from: Date,
  to: Date,
  stepMs: number = PERIOD_MS,
): Promise<LinkPeriod[]> {
  const seconds = stepMs / 1000;
  const rows = await sql<(Omit<LinkPeriod, "kind"> & { kind: number })[]>`
    select link, kind, ${
      stepMs === 0
        ? sql`${from}::timestamptz`
        : sql`to_timestamp(floor(extract(epoch from bucket) / ${seconds}::float8) * ${seconds}::float8)`
    } as period, sum(person)::bigint as people, sum(machine)::bigint as machines
    from link_statistics where delivery_id = ${deliveryId} and bucket >= ${from} and bucket < ${to}
    group by 1, 2, 3 order by 3, 1, 2 limit ${MOST_ROWS}`;
  return rows.map((row) => ({ ...row, kind: TRACKING_KINDS[row.kind]! }));
}

export interface TrackingSource {
  /** Base address of the redirection server. */
  readonly address: string;
  readonly host: string;
  /** Of its last answer, within a minute; null when there was none yet. */
  readonly answeredAt: Date | null;
  /** Why it does not answer, '' when it does; and since when. */
  readonly trouble: string;
  readonly since: Date;
  /** Id of the log that was there last, '' when none is known. */
  readonly log: string;
  /** Of that log: octets pulled, records counted, records set aside, octets missing, hits that could not be written down. */
  readonly position: number;
  readonly records: number;
  readonly damaged: number;
  readonly missing: number;
  readonly lost: number;
  /** Of the newest record so far, null before the first. */
  readonly newestAt: Date | null;
}

/** The redirection servers that were ever pulled, by address. */
export async function trackingSources(sql: Sql): Promise<TrackingSource[]> {
  return sql<TrackingSource[]>`
    select r.address, r.host, r.answered_at as "answeredAt", r.trouble, r.since, r.log, coalesce(s.position, 0) as position,
      coalesce(s.records, 0) as records, coalesce(s.damaged, 0) as damaged, coalesce(s.missing, 0) as missing, coalesce(s.lost, 0) as lost,
      s.newest_at as "newestAt"
    from tracking_redirector r left join tracking_source s on s.log = r.log order by r.address limit 1000`;
}
