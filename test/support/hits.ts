/** Hits, put into the ledger straight: for tests of what is read back of them. */
import type { Sql } from "../../src/db/sql.ts";
import {
  TRACKING_KINDS,
  type TrackingKind,
  VISITOR_CLASSES,
  type VisitorClass,
  type WebHit,
} from "../../src/model/tracking.ts";

export interface TestHit {
  readonly delivery: number;
  readonly message?: number;
  readonly at?: string;
  readonly kind?: TrackingKind;
  readonly class?: VisitorClass;
  readonly rule?: string;
  readonly uncounted?: string;
  readonly hint?: string;
  readonly link?: number;
  readonly agent?: string;
  readonly ip?: string;
  readonly visitor?: string;
  readonly web?: WebHit;
}

/** Its id. */
export async function putHit(sql: Sql, hit: TestHit): Promise<number> {
  const at = hit.at ?? "2026-05-03T10:00:00Z";
  await sql`select tracking_month(${at.slice(0, 10)}::date)`;
  const [agent] = await sql<{ id: number }[]>`
    insert into user_agent (text) values (${hit.agent ?? "Mozilla/5.0 (X11)"}) on conflict (text) do update set text = excluded.text returning id`;
  const [row] = await sql<{ id: number }[]>`
    insert into tracking (at, message_id, delivery_id, kind, link, class, rule, uncounted, hint, ip, visitor, user_agent, web)
    values (${at}, ${hit.message ?? 0}, ${hit.delivery}, ${TRACKING_KINDS.indexOf(hit.kind ?? "click")}, ${hit.link ?? 0},
      ${VISITOR_CLASSES.indexOf(hit.class ?? "person")}, ${hit.rule ?? ""}, ${hit.uncounted ?? ""}, ${hit.hint ?? ""}, ${hit.ip ?? "192.0.2.0"},
      ${hit.visitor ?? ""}, ${agent!.id}, ${hit.web === undefined ? null : sql.json(hit.web as never)})
    returning id`;
  return row!.id;
}
