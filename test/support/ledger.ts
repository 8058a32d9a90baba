/** A delivery with recipients, put into the ledger straight: for tests of what comes after the API. */
import { createHash } from "node:crypto";
import { DEFAULT_RETRY_SCHEDULE, type Content } from "../../src/model/delivery.ts";
import type { Sql } from "../../src/db/sql.ts";
import { insertBatch } from "../../src/db/recipients.ts";
import { takeIds } from "../../src/db/volumes.ts";

export interface TestDelivery {
  readonly id: number;
  readonly firstId: number;
}

export interface DeliveryOptions {
  readonly addresses: readonly string[];
  readonly variables?: readonly Record<string, unknown>[];
  readonly partSize?: number;
  readonly priority?: number;
  readonly inDoubt?: "retry" | "hold" | "assume-sent";
  readonly retry?: readonly number[];
  readonly state?: string;
  readonly deadline?: Date;
  readonly content?: Partial<Content>;
  readonly volume?: number;
}

export function testContent(parts: Partial<Content> = {}): Content {
  return {
    subject: "Hello {{name}}",
    html: "<p>Hello {{name}}</p>",
    text: "Hello {{name}}",
    textFromHtml: false,
    from: { address: "news@sender.example", name: "News" },
    replyTo: null,
    toName: "",
    headers: [],
    attachments: [],
    globals: {},
    returnPathDomain: "bounces.sender.example",
    listUnsubscribe: null,
    feedbackId: "",
    ...parts,
  };
}

export async function putDelivery(sql: Sql, options: DeliveryOptions): Promise<TestDelivery> {
  const body = JSON.stringify(testContent(options.content));
  const hash = createHash("sha256").update(body).digest();
  await sql`insert into content (hash, body) values (${hash}, ${body}) on conflict do nothing`;
  const volume = options.volume ?? (await sql<{ id: number }[]>`select open_volume(false) as id`)[0]!.id;
  const [row] = await sql<{ id: number }[]>`
    insert into delivery (content_hash, from_address, volume, state, priority, affinity, in_doubt, retry, validity, deadline)
    values (${hash}, 'news@sender.example', ${volume}, ${options.state ?? "sending"}, ${options.priority ?? 2}, 'default',
      ${options.inDoubt ?? "retry"}, ${[...(options.retry ?? DEFAULT_RETRY_SCHEDULE)]}, 432000,
      ${options.deadline ?? new Date(Date.now() + 432_000_000)})
    returning id`;
  const id = row!.id;
  const count = options.addresses.length;
  const firstId = await takeIds(sql, volume, count);
  const size = options.partSize ?? 500;
  const parts = [];
  for (let at = 0; at < count; at += size)
    parts.push({ firstId: firstId + at, lastId: firstId + Math.min(at + size, count) - 1, domain: "" });
  await insertBatch(
    sql,
    {
      deliveryId: id,
      volume,
      firstId,
      addresses: options.addresses.join("\n"),
      variables: options.addresses
        .map((_, i) => (options.variables?.[i] ? JSON.stringify(options.variables[i]) : ""))
        .join("\n"),
      parts,
    },
    true,
  );
  return { id, firstId };
}

/** The counters of the parts and the counts of the rows: must always be the same. */
export async function countBothWays(sql: Sql, deliveryId: number): Promise<{ parts: number[]; rows: number[] }> {
  const [p] = await sql`
    select sum(pending)::int, sum(deferred)::int, sum(sent)::int, sum(failed)::int, sum(bounced)::int, sum(excluded)::int, sum(cancelled)::int,
      sum(in_doubt)::int from part where delivery_id = ${deliveryId}`.values();
  const counted = await sql<{ status: number; n: number }[]>`
    select status, count(*)::int as n from message where delivery_id = ${deliveryId} group by 1`;
  const rows = Array.from({ length: 8 }, (_, i) => counted.find((c) => c.status === i)?.n ?? 0);
  return { parts: p as unknown as number[], rows };
}
