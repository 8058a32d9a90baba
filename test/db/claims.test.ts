import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as claims from "../../src/db/claims.ts";
import { releaseParts, takeOverParts } from "../../src/db/leases.ts";
import { finishDeliveries } from "../../src/db/lifecycle.ts";
import { type OutcomeRecord, recordOutcomes } from "../../src/db/record.ts";
import { doubtParts, ownedParts, resolveHeld } from "../../src/db/recovery.ts";
import { volumeOfId } from "../../src/db/volumes.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { countBothWays, putDelivery } from "../support/ledger.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const people = (n: number, domain = "one.example"): string[] => Array.from({ length: n }, (_, i) => `p${i}@${domain}`);
const LEASE = 60_000;

function claim(owner: string, deliveryId: number, parts = 1, saturated: string[] = []): Promise<claims.ClaimedPart[]> {
  return claims.claimParts(db.sql, { owner, leaseMs: LEASE, wanted: [{ deliveryId, parts, late: false }], saturated });
}

function record(part: claims.ClaimedPart, id: number, to: number, extra: Partial<OutcomeRecord> = {}): OutcomeRecord {
  return {
    id,
    partId: part.id,
    epoch: part.epoch,
    deliveryId: part.deliveryId,
    from: 0,
    to,
    attempts: 1,
    tried: 0,
    dueAt: 0,
    reason: "",
    event: to === 2 ? 2 : to === 1 ? 3 : 4,
    at: Date.now(),
    code: 250,
    publicId: 0,
    latencyMs: 3,
    enhanced: "2.0.0",
    stage: "dot",
    reply: "ok",
    mx: "mx.one.example",
    remoteIp: "127.0.0.1",
    tls: "",
    transcript: "",
    ...extra,
  };
}

async function expire(partId: number): Promise<void> {
  await db.sql`update part set lease_until = now() - interval '1 s' where id = ${partId}`;
}

describe("claiming", () => {
  test("two mtas never get the same part, and together they get all of them", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(100), partSize: 5 });
    const claimed = (await Promise.all(Array.from({ length: 8 }, (_, i) => claim(`m/${i}`, delivery.id, 5)))).flat();
    expect(new Set(claimed.map((p) => p.id)).size).toBe(claimed.length);
    while (claimed.length < 20) {
      const more = await claim("m/last", delivery.id, 20);
      if (more.length === 0) break;
      claimed.push(...more);
    }
    expect(claimed).toHaveLength(20);
    expect(await claims.loadMessages(db.sql, claimed)).toHaveLength(100);
  });

  test("a paused delivery and a saturated domain are left alone", async () => {
    const paused = await putDelivery(db.sql, { addresses: people(3), state: "paused", priority: 0 });
    expect(
      (await claims.claimUrgentParts(db.sql, { owner: "m/0", leaseMs: LEASE, saturated: [] }, 10)).filter(
        (p) => p.deliveryId === paused.id,
      ),
    ).toEqual([]);
    const busy = await putDelivery(db.sql, { addresses: people(3) });
    await db.sql`update part set domain = 'one.example' where delivery_id = ${busy.id}`;
    expect(await claim("m/0", busy.id, 1, ["one.example"])).toEqual([]);
    expect(await claim("m/0", busy.id, 1, ["two.example"])).toHaveLength(1);
  });

  test("someone suppressed after the upload is marked when the part is loaded", async () => {
    const delivery = await putDelivery(db.sql, { addresses: ["Kept@x.example", "Gone@x.example"] });
    await db.sql`insert into suppression (address, reason) values ('gone@x.example', 'unsubscribed')`;
    const loaded = await claims.loadMessages(db.sql, await claim("m/0", delivery.id));
    expect(loaded.map((m) => [m.address, m.suppressed])).toEqual([
      ["Kept@x.example", ""],
      ["Gone@x.example", "unsubscribed"],
    ]);
  });
});

describe("recording", () => {
  test("rows, counters, events and progress change together, and once", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(4) });
    const [part] = await claim("m/0", delivery.id);
    const volume = volumeOfId(delivery.firstId);
    const batch = [
      record(part!, delivery.firstId, 2),
      record(part!, delivery.firstId + 1, 3, { reason: "user-unknown", code: 550 }),
      record(part!, delivery.firstId + 2, 1, { reason: "greylisted", dueAt: Date.now() + 300_000 }),
    ];
    for (let i = 0; i < 2; i++) expect(await recordOutcomes(db.sql, "m/0", volume, batch)).toEqual(new Set([part!.id]));
    const { parts, rows } = await countBothWays(db.sql, delivery.id);
    expect(rows).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect(parts).toEqual(rows);
    const events = await db.sql`select type, reply from event where message_id = ${delivery.firstId}`;
    expect(events).toHaveLength(1);
    const [progress] = await db.sql`select settled, deferred from progress where delivery_id = ${delivery.id}`;
    expect(progress).toMatchObject({ settled: 2, deferred: 1 });
  });

  test("a zombie's late write is refused", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(2) });
    const [old] = await claim("dead/0", delivery.id);
    await expire(old!.id);
    const taken = (await takeOverParts(db.sql, "heir/0", LEASE, 100)).filter((p) => p.deliveryId === delivery.id);
    expect(taken).toMatchObject([{ id: old!.id, epoch: old!.epoch + 1, takenOver: true }]);
    const volume = volumeOfId(delivery.firstId);
    expect(await recordOutcomes(db.sql, "dead/0", volume, [record(old!, delivery.firstId, 2)])).toEqual(new Set());
    expect((await countBothWays(db.sql, delivery.id)).rows[2]).toBe(0);
    // The same owner name with the epoch of before is no better.
    expect(await recordOutcomes(db.sql, "heir/0", volume, [record(old!, delivery.firstId, 2)])).toEqual(new Set());
    expect(await recordOutcomes(db.sql, "heir/0", volume, [record(taken[0]!, delivery.firstId, 2)])).toEqual(
      new Set([old!.id]),
    );
  });

  test("a record of an older claim is refused though its neighbour of this one is not", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(2) });
    const [first] = await claim("m/0", delivery.id);
    await releaseParts(db.sql, "m/0", [{ id: first!.id, epoch: first!.epoch, notBefore: 0 }]);
    const [second] = await claim("m/0", delivery.id);
    const volume = volumeOfId(delivery.firstId);
    await recordOutcomes(db.sql, "m/0", volume, [
      record(first!, delivery.firstId, 2),
      record(second!, delivery.firstId + 1, 2),
    ]);
    expect((await countBothWays(db.sql, delivery.id)).rows).toEqual([1, 0, 1, 0, 0, 0, 0, 0]);
  });

  test("a deferral recorded twice is one event", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(1) });
    const [part] = await claim("m/0", delivery.id);
    const volume = volumeOfId(delivery.firstId);
    const deferral = record(part!, delivery.firstId, 1, { dueAt: Date.now() + 1000, reason: "greylisted" });
    const again = { ...deferral, from: 1, tried: 1, attempts: 2 };
    for (const one of [deferral, deferral, again, again]) await recordOutcomes(db.sql, "m/0", volume, [one]);
    const events = await db.sql`select attempt from event where message_id = ${delivery.firstId} order by id`.values();
    expect([...events]).toEqual([[1], [2]]);
    const [progress] = await db.sql`select sum(deferred)::int as n from progress where delivery_id = ${delivery.id}`;
    expect(progress!["n"]).toBe(2);
  });

  test("a record of a thousand messages touches only its own leaf by index", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(5000), partSize: 1000 });
    const [part] = await claim("m/0", delivery.id);
    const volume = volumeOfId(delivery.firstId);
    await db.sql`analyze`;
    const before = await db.sql<
      { n: number }[]
    >`select coalesce(seq_tup_read, 0)::int as n from pg_stat_user_tables where relname = ${`message_${volume}`}`;
    const batch = Array.from({ length: 1000 }, (_, i) => record(part!, part!.firstId + i, 2));
    await recordOutcomes(db.sql, "m/0", volume, batch);
    expect((await countBothWays(db.sql, delivery.id)).parts[2]).toBe(1000);
    const after = await db.sql<
      { n: number }[]
    >`select coalesce(seq_tup_read, 0)::int as n from pg_stat_user_tables where relname = ${`message_${volume}`}`;
    expect(after[0]!.n - before[0]!.n).toBeLessThanOrEqual(5000);
  });
});

describe("release", () => {
  test("a part sleeps until its first message is due; a done part is closed", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(2) });
    const [part] = await claim("m/0", delivery.id);
    const volume = volumeOfId(delivery.firstId);
    const due = Date.now() + 600_000;
    await recordOutcomes(db.sql, "m/0", volume, [
      record(part!, delivery.firstId, 2),
      record(part!, delivery.firstId + 1, 1, { dueAt: due }),
    ]);
    await releaseParts(db.sql, "m/0", [{ id: part!.id, epoch: part!.epoch, notBefore: 0 }]);
    const [row] = await db.sql<
      { due_at: Date; owner: string }[]
    >`select due_at, owner from part where id = ${part!.id}`;
    expect(row!.owner).toBe("");
    expect(Math.abs(row!.due_at.getTime() - due)).toBeLessThan(5);
    await db.sql`update part set due_at = now() where id = ${part!.id}`;
    await db.sql`update message set due_at = now() where id = ${delivery.firstId + 1}`;
    const [again] = await claim("m/1", delivery.id);
    expect(await claims.loadMessages(db.sql, [again!])).toMatchObject([
      { id: delivery.firstId + 1, status: 1, attempts: 1 },
    ]);
    await recordOutcomes(db.sql, "m/1", volume, [
      record(again!, delivery.firstId + 1, 2, { from: 1, attempts: 2, tried: 1 }),
    ]);
    await releaseParts(db.sql, "m/1", [{ id: again!.id, epoch: again!.epoch, notBefore: 0 }]);
    expect(await finishDeliveries(db.sql, [delivery.id])).toEqual([delivery.id]);
    expect(await finishDeliveries(db.sql, "all")).not.toContain(delivery.id);
  });

  test("given back with a hint, pending messages wait for it", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(2) });
    const [part] = await claim("m/0", delivery.id);
    await releaseParts(db.sql, "m/0", [{ id: part!.id, epoch: part!.epoch, notBefore: Date.now() + 60_000 }]);
    expect(await claim("m/0", delivery.id)).toEqual([]);
    await db.sql`update part set due_at = now() where id = ${part!.id}`;
    expect(await claim("m/0", delivery.id)).toHaveLength(1);
  });
});

describe("doubt", () => {
  test.each([
    ["hold", [0, 0, 0, 0, 0, 0, 0, 3], 3],
    ["assume-sent", [0, 0, 0, 0, 0, 0, 0, 3], 3],
    ["retry", [3, 0, 0, 0, 0, 0, 0, 0], 3],
  ] as const)("a part taken over under policy %s", async (inDoubt, counters, events) => {
    const delivery = await putDelivery(db.sql, { addresses: people(3), inDoubt });
    const [part] = await claim("dead/1", delivery.id);
    await expire(part!.id);
    await takeOverParts(db.sql, "heir/1", LEASE, 100);
    const both = await countBothWays(db.sql, delivery.id);
    expect(both.rows).toEqual(counters);
    expect(both.parts).toEqual(counters);
    const noted =
      await db.sql`select e.id from event e join message m on m.id = e.message_id where m.delivery_id = ${delivery.id} and e.type = 5`;
    expect(noted).toHaveLength(events);
  });

  test("a journal that comes back later settles what was held, and nothing else", async () => {
    const delivery = await putDelivery(db.sql, { addresses: people(3), inDoubt: "hold" });
    const [part] = await claim("late/0", delivery.id);
    await doubtParts(db.sql, await ownedParts(db.sql, "late/0"), "test");
    await releaseParts(db.sql, "late/0", [{ id: part!.id, epoch: part!.epoch, notBefore: 0 }]);
    expect(await resolveHeld(db.sql, [{ id: delivery.firstId, status: 2, reply: "250 ok" }])).toBe(1);
    expect(await resolveHeld(db.sql, [{ id: delivery.firstId, status: 2, reply: "250 ok" }])).toBe(0);
    const both = await countBothWays(db.sql, delivery.id);
    expect(both.rows).toEqual([0, 0, 1, 0, 0, 0, 0, 2]);
    expect(both.parts).toEqual(both.rows);
  });
});
