/** A delivery and those who upload to it: it is not finished before the last of them has ended, and no part is opened behind its end. */
import { randomUUID } from "node:crypto";
import { afterAll, expect, test } from "vitest";
import { findDelivery } from "../../src/db/deliveries.ts";
import { resolveInDoubt } from "../../src/db/in-doubt.ts";
import { finishDeliveries } from "../../src/db/lifecycle.ts";
import { addRecipients, endUpload, insertBatch, type RecipientBatch, touchUpload } from "../../src/db/recipients.ts";
import { openSql } from "../../src/db/sql.ts";
import { takeIds, volumeOfId } from "../../src/db/volumes.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { until } from "../support/until.ts";

const db = await openTestDatabase();
const { sql } = db;
/** Another process. */
const other = openSql(db.url, { poolSize: 2, name: "other" });
afterAll(async () => {
  await other.end({ timeout: 5 });
  await db.close();
});

/** A delivery whose messages are all sent. */
async function sent(): Promise<{ id: number; volume: number }> {
  const { id, firstId } = await putDelivery(sql, { addresses: ["a@one.example"] });
  await sql`update message set status = 2 where delivery_id = ${id}`;
  await sql`update part set due_at = null, pending = 0, sent = 1 where delivery_id = ${id}`;
  return { id, volume: volumeOfId(firstId) };
}
async function batch({ id, volume }: { id: number; volume: number }, address: string): Promise<RecipientBatch> {
  const firstId = await takeIds(sql, volume, 1);
  const parts = [{ firstId, lastId: firstId, domain: "" }];
  return { deliveryId: id, volume, firstId, addresses: address, variables: "", parts };
}
const state = async (id: number): Promise<string> => (await findDelivery(sql, id))!.state;
const uploading = async (id: number): Promise<boolean> => (await findDelivery(sql, id))!.uploading;
/** Somebody waits for a lock of this database. */
const waiting = async (): Promise<boolean> =>
  (await sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).length >
  0;

test("two upload at once: the first to end leaves the other its time, the last one finishes the delivery", async () => {
  const { id } = await sent();
  const [one, two] = [randomUUID(), randomUUID()];
  await touchUpload(sql, id, one);
  await touchUpload(other, id, two);
  await endUpload(sql, id, one);
  expect(await finishDeliveries(sql, [id])).toEqual([]);
  expect([await state(id), await uploading(id)]).toEqual(["sending", true]);
  await endUpload(other, id, two);
  expect([await state(id), await uploading(id)]).toEqual(["finished", false]);
});

test("one of them is killed: it counts no more after a minute, the other does for as long as it says so", async () => {
  const { id } = await sent();
  const [dead, alive] = [randomUUID(), randomUUID()];
  await touchUpload(sql, id, dead);
  await touchUpload(other, id, alive);
  const age = (): unknown =>
    sql`update upload set alive_until = alive_until - interval '61 s' where delivery_id = ${id}`;
  await age();
  await touchUpload(other, id, alive);
  expect(await finishDeliveries(sql, [id])).toEqual([]);
  // What the dead one left is gone with it.
  expect(await sql`select id from upload where delivery_id = ${id}`).toEqual([{ id: alive }]);
  await age();
  expect(await uploading(id)).toBe(false);
  expect(await finishDeliveries(sql, [id])).toEqual([id]);
});

test("the killed one alone protects no longer than a minute, although nobody forgets it", async () => {
  const { id } = await sent();
  await touchUpload(sql, id, randomUUID());
  expect(await finishDeliveries(sql, "all")).not.toContain(id);
  await sql`update upload set alive_until = now() - interval '1 ms' where delivery_id = ${id}`;
  expect(await finishDeliveries(sql, "all")).toContain(id);
});

test("a frozen one that wakes up behind its time says so again, unless the delivery is finished", async () => {
  const delivery = await sent();
  const frozen = randomUUID();
  await touchUpload(sql, delivery.id, frozen);
  await sql`delete from upload where id = ${frozen}`;
  expect(await touchUpload(sql, delivery.id, frozen)).toEqual({ state: "sending", open: true });
  expect(await uploading(delivery.id)).toBe(true);
  await endUpload(sql, delivery.id, frozen);
  expect(await touchUpload(sql, delivery.id, frozen)).toEqual({ state: "finished", open: false });
  expect(await addRecipients(sql, await batch(delivery, "b@one.example"), false)).toBeNull();
  expect(await uploading(delivery.id)).toBe(false);
});

test("a delivery that is paused when its upload ends is not finished by that", async () => {
  const { id } = await sent();
  const upload = randomUUID();
  await touchUpload(sql, id, upload);
  await sql`update delivery set state = 'paused' where id = ${id}`;
  await endUpload(sql, id, upload);
  expect(await state(id)).toBe("paused");
});

test("finishing waits for a batch that is being committed, and then finds its part though the upload has ended", async () => {
  const delivery = await sent();
  const rows = await batch(delivery, "late@one.example");
  let finishing: Promise<number[]> | undefined;
  await other.begin(async (tx) => {
    const upload = randomUUID();
    // Locked by something else first, so that finishing has looked before the upload began.
    await tx`select 1 from delivery where id = ${delivery.id} for no key update`;
    finishing = finishDeliveries(sql, [delivery.id]);
    await until(waiting, { what: "finishing to wait for the lock" });
    await touchUpload(tx, delivery.id, upload);
    await insertBatch(tx, rows, false);
    await tx`delete from upload where id = ${upload}`;
  });
  expect(await finishing).toEqual([]);
  expect(await state(delivery.id)).toBe("sending");
});

test("finishing and messages in doubt that are sent again at the same moment: they are sent", async () => {
  const { id } = await sent();
  await sql`update message set status = 7 where delivery_id = ${id}`;
  await sql`update part set sent = 0, in_doubt = 1 where delivery_id = ${id}`;
  let finishing: Promise<number[]> | undefined;
  let resolving: Promise<number | null> | undefined;
  await other.begin(async (tx) => {
    // The message is held for a moment, so resolving holds the delivery and waits; finishing looks meanwhile.
    await tx`select 1 from message where delivery_id = ${id} for update`;
    resolving = resolveInDoubt(other, id, "retry");
    await until(waiting, { what: "resolving to wait" });
    finishing = finishDeliveries(sql, [id]);
    const two = async (): Promise<boolean> =>
      (await sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
        .length === 2;
    await until(two, { what: "finishing to wait as well" });
  });
  expect(await resolving).toBe(1);
  expect(await finishing).toEqual([]);
  expect(await state(id)).toBe("sending");
});
