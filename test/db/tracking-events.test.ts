/** Hits read back: with a message, behind a cursor, by delivery with addresses. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findMessage } from "../../src/db/messages.ts";
import { deliveryEvents, reactionsOfMessage, trackingEvents } from "../../src/db/tracking-events.ts";
import { volumeOfId } from "../../src/db/volumes.ts";
import { TRACKING_KINDS, type TrackingKind, VISITOR_CLASSES, type VisitorClass } from "../../src/model/tracking.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery, type TestDelivery } from "../support/ledger.ts";

let db: TestDatabase;
let delivery: TestDelivery;
beforeAll(async () => {
  db = await openTestDatabase();
  for (const month of ["2026-05-03", "2026-06-30"]) await db.sql`select tracking_month(${month}::date)`;
  delivery = await putDelivery(db.sql, { addresses: ["a@one.example", "b@two.example"] });
});
afterAll(() => db.close());
beforeEach(async () => void (await db.sql`truncate tracking`));

interface Put {
  readonly at?: string;
  readonly message?: number;
  readonly delivery?: number;
  readonly kind?: TrackingKind;
  readonly class?: VisitorClass;
  readonly rule?: string;
  readonly uncounted?: string;
  readonly hint?: string;
  readonly link?: number;
  readonly agent?: string;
}

async function put(hit: Put): Promise<number> {
  const [agent] = await db.sql<{ id: number }[]>`
    insert into user_agent (text) values (${hit.agent ?? "Mozilla/5.0 (X11)"}) on conflict (text) do update set text = excluded.text returning id`;
  const [row] = await db.sql<{ id: number }[]>`
    insert into tracking (at, message_id, delivery_id, kind, link, class, rule, uncounted, hint, ip, user_agent)
    values (${hit.at ?? "2026-05-03T10:00:00Z"}, ${hit.message ?? delivery.firstId}, ${hit.delivery ?? delivery.id},
      ${TRACKING_KINDS.indexOf(hit.kind ?? "click")}, ${hit.link ?? 0}, ${VISITOR_CLASSES.indexOf(hit.class ?? "person")}, ${hit.rule ?? ""},
      ${hit.uncounted ?? ""}, ${hit.hint ?? ""}, '192.0.2.0', ${agent!.id})
    returning id`;
  return row!.id;
}

describe("the events of a message", () => {
  test("hold what its readers did, in order of time, with class and reason", async () => {
    const leaf = db.sql(`event_${volumeOfId(delivery.firstId)}`);
    await db.sql`insert into ${leaf} (message_id, at, type) values (${delivery.firstId}, '2026-05-03T09:00:00Z', 2)`;
    await put({ kind: "click", at: "2026-06-30T23:59:59Z", link: 4, agent: "evil\n<script>\u202e" });
    await put({ kind: "open", at: "2026-05-03T08:59:59Z", class: "prefetch", rule: "apple-privacy" });
    await put({
      kind: "open",
      at: "2026-05-03T09:00:01Z",
      class: "prefetch",
      rule: "apple-privacy",
      uncounted: "repeated",
    });
    await put({ kind: "unsubscribe", at: "2026-06-30T23:59:59.5Z", hint: "one-click" });
    await put({ kind: "mirror", at: "2026-05-03T11:00:00Z" });
    await put({ kind: "click", message: delivery.firstId + 1 });
    const found = await findMessage(db.sql, delivery.firstId);
    const told = found?.events.map((e) => [e.type, e.class, e.link, e.uncounted, e.reason]);
    expect(told).toEqual([
      ["accepted", "", 0, "", ""],
      [
        "opened",
        "prefetch",
        0,
        "",
        "Apple Mail Privacy Protection fetched it, whether anybody looked at the mail or not",
      ],
      ["sent", "", 0, "", ""],
      [
        "opened",
        "prefetch",
        0,
        "repeated",
        "Apple Mail Privacy Protection fetched it, whether anybody looked at the mail or not",
      ],
      ["clicked", "person", 4, "", "nothing speaks for a machine"],
      ["unsubscribed", "person", 0, "", "one-click"],
    ]);
    expect(found?.events[4]).toMatchObject({ ip: "192.0.2.0", userAgent: "evil\n<script>\u202e" });
  });

  test("are a thousand at most, and none for the anonymous", async () => {
    await db.sql`
      insert into tracking (at, message_id, delivery_id, kind, class)
      select '2026-05-03T10:00:00Z'::timestamptz + n * interval '1 s', ${delivery.firstId}, ${delivery.id}, 0, 0 from generate_series(1, 1500) n`;
    await put({ message: 0 });
    expect(await reactionsOfMessage(db.sql, delivery.firstId)).toHaveLength(1000);
    expect(await reactionsOfMessage(db.sql, 0)).toEqual([]);
  });
});

describe("the stream", () => {
  test("goes on behind the cursor over the months, of one delivery and one kind if asked", async () => {
    const ids = [
      await put({ at: "2026-06-30T10:00:00Z" }),
      await put({ kind: "unsubscribe" }),
      await put({ delivery: delivery.id + 1 }),
      await put({ kind: "open", at: "2026-06-01T00:00:00Z" }),
      await put({ kind: "transaction", message: 0 }),
    ];
    const read = async (over: Partial<Parameters<typeof trackingEvents>[1]>): Promise<number[]> =>
      (await trackingEvents(db.sql, { after: 0, delivery: 0, kind: "", limit: 100, ...over })).map(({ id }) => id);
    expect(await read({})).toEqual(ids);
    expect(await read({ limit: 2 })).toEqual(ids.slice(0, 2));
    expect(await read({ after: ids[1]! })).toEqual(ids.slice(2));
    expect(await read({ delivery: delivery.id })).toEqual([ids[0], ids[1], ids[3], ids[4]]);
    expect(await read({ kind: "unsubscribe" })).toEqual([ids[1]]);
    expect(await read({ kind: "transaction", delivery: delivery.id })).toEqual([ids[4]]);
    expect(await read({ kind: "open", after: ids[3]! })).toEqual([]);
  });

  test("has the addresses of a delivery, as long as its messages are kept", async () => {
    const other = await putDelivery(db.sql, { addresses: ["gone@one.example"] });
    await put({ message: delivery.firstId + 1 });
    await put({ message: 0 });
    await put({ message: other.firstId, delivery: other.id });
    const addresses = async (id: number): Promise<string[]> =>
      (await deliveryEvents(db.sql, id, { after: 0, limit: 10 })).map(({ address }) => address);
    expect(await addresses(delivery.id)).toEqual(["b@two.example", ""]);
    expect(await addresses(other.id)).toEqual(["gone@one.example"]);
    await db.sql`drop table ${db.sql(`message_${volumeOfId(other.firstId)}`)}`;
    expect(await addresses(other.id)).toEqual([""]);
    expect(await addresses(999_999)).toEqual([]);
  });
});

describe("the leaf of a month", () => {
  test("is made once, whoever makes it, and has the month in UTC, whatever the session's zone", async () => {
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        db.sql.begin(async (tx) => {
          await tx`select set_config('timezone', ${i % 2 ? "Pacific/Auckland" : "America/Lima"}, true)`;
          await tx`select tracking_month('2027-02-28'::date)`;
        }),
      ),
    );
    await put({ at: "2027-02-01T00:00:00Z" });
    await put({ at: "2027-02-28T23:59:59.999Z" });
    await expect(put({ at: "2027-03-01T00:00:00Z" })).rejects.toThrow(/no partition/);
    await expect(put({ at: "2027-01-31T23:59:59.999Z" })).rejects.toThrow(/no partition/);
  });
});
