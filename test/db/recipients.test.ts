/** Batches into the ledger: whole or not at all, once, with parts that add up; and the ids they get. */
import { randomUUID } from "node:crypto";
import { afterAll, expect, test } from "vitest";
import { createDelivery } from "../../src/db/deliveries.ts";
import { addRecipients, touchUpload, type RecipientBatch } from "../../src/db/recipients.ts";
import { openIdPool, sharedVolume, takeIds, volumeOfDelivery, volumeOfId } from "../../src/db/volumes.ts";
import { handClock } from "../support/clock.ts";
import { openTestDatabase } from "../support/database.ts";

const db = await openTestDatabase();
const { sql } = db;
afterAll(() => db.close());

async function makeDelivery(): Promise<number> {
  return createDelivery(sql, {
    name: "",
    contentHash: Buffer.from("00", "hex"),
    contentBody: "{}",
    fromAddress: "a@example.com",
    affinity: "default",
    priority: "high",
    weight: 1,
    notBefore: null,
    notAfter: null,
    validity: 3600,
    retrySchedule: [60],
    inDoubt: "retry",
  });
}

async function batchOf(deliveryId: number, addresses: readonly string[], own = false): Promise<RecipientBatch> {
  const volume = (await volumeOfDelivery(sql, deliveryId, own))!;
  const firstId = await takeIds(sql, volume, addresses.length);
  const middle = firstId + Math.floor(addresses.length / 2);
  const lastId = firstId + addresses.length - 1;
  return {
    deliveryId,
    volume,
    firstId,
    addresses: addresses.join("\n"),
    variables: addresses.map((_, i) => (i % 2 === 0 ? "" : `{"i":${i}}`)).join("\n"),
    parts:
      addresses.length === 1
        ? [{ firstId, lastId, domain: "" }]
        : [
            { firstId, lastId: middle - 1, domain: "x.example" },
            { firstId: middle, lastId, domain: "" },
          ],
  };
}

const names = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `u${from + i}@x.example`);

test("rows, variables and parts are what was given", async () => {
  const id = await makeDelivery();
  expect(await addRecipients(sql, await batchOf(id, names(0, 10)), false)).toEqual({
    pending: 10,
    excluded: 0,
    repeated: false,
  });
  const rows = await sql`select address, variables, status from message where delivery_id = ${id} order by id`;
  expect(rows[0]).toEqual({ address: "u0@x.example", variables: null, status: 0 });
  expect(rows[9]).toEqual({ address: "u9@x.example", variables: '{"i":9}', status: 0 });
  const parts =
    await sql`select domain, priority, pending, due_at is not null as due from part where delivery_id = ${id} order by first_id`;
  expect([...parts]).toEqual([
    { domain: "x.example", priority: 1, pending: 5, due: true },
    { domain: "", priority: 1, pending: 5, due: true },
  ]);
});

test("one row without variables", async () => {
  const id = await makeDelivery();
  expect(await addRecipients(sql, await batchOf(id, ["one@x.example"]), false)).toMatchObject({ pending: 1 });
  expect(await sql`select variables from message where delivery_id = ${id}`).toMatchObject([{ variables: null }]);
});

test("a batch with an address that is there already adds the others, and parts count what was added", async () => {
  const id = await makeDelivery();
  await addRecipients(sql, await batchOf(id, names(0, 10)), false);
  expect(await addRecipients(sql, await batchOf(id, ["U3@x.example", ...names(10, 9)]), false)).toEqual({
    pending: 9,
    excluded: 0,
    repeated: true,
  });
  expect(await addRecipients(sql, await batchOf(id, names(0, 10)), true)).toEqual({
    pending: 0,
    excluded: 0,
    repeated: true,
  });
  const [row] = await sql`
    select (select count(*)::int from message where delivery_id = ${id}) as rows, sum(pending)::int as counted, count(*)::int as parts
    from part where delivery_id = ${id}`;
  expect(row).toEqual({ rows: 19, counted: 19, parts: 4 });
});

test("a part in which all are suppressed is not due", async () => {
  const id = await makeDelivery();
  await sql`insert into suppression (address, reason) values ('gone@x.example', 'hard bounce')`;
  expect(await addRecipients(sql, await batchOf(id, ["Gone@x.example"]), false)).toMatchObject({
    pending: 0,
    excluded: 1,
  });
  expect(await sql`select due_at, excluded from part where delivery_id = ${id}`).toMatchObject([
    { due_at: null, excluded: 1 },
  ]);
});

test("a delivery that is stopped takes nothing", async () => {
  const id = await makeDelivery();
  const batch = await batchOf(id, names(0, 3));
  await sql`update delivery set state = 'stopped' where id = ${id}`;
  expect(await addRecipients(sql, batch, false)).toBeNull();
  expect(await touchUpload(sql, id, randomUUID())).toEqual({ state: "stopped", open: false });
  expect(await touchUpload(sql, 999_999, randomUUID())).toBeNull();
  expect(await sql`select 1 from message where delivery_id = ${id}`).toHaveLength(0);
});

test("identical batches from many at once: no deadlock, each address once", async () => {
  const id = await makeDelivery();
  const batches = await Promise.all(
    Array.from({ length: 4 }, (_, i) => batchOf(id, i % 2 === 0 ? names(0, 2000) : names(0, 2000).toReversed())),
  );
  const results = await Promise.all(batches.map((batch) => addRecipients(sql, batch, false)));
  expect(results.reduce((sum, result) => sum + result!.pending, 0)).toBe(2000);
  expect(await sql`select count(*)::int as n from message where delivery_id = ${id}`).toMatchObject([{ n: 2000 }]);
});

test("shared volumes: opened once by many, left after a day; an own volume is nobody else's", async () => {
  const [a, b] = await Promise.all([sharedVolume(sql), sharedVolume(sql)]);
  expect(a).toBe(b);
  const id = await makeDelivery();
  const own = (await Promise.all([volumeOfDelivery(sql, id, true), volumeOfDelivery(sql, id, true)])) as number[];
  expect(own[0]).toBe(own[1]);
  expect(await sharedVolume(sql)).toBe(a);
  await sql`update volume set opened_at = now() - interval '25 h'`;
  const next = await Promise.all([1, 2, 3].map(() => sharedVolume(sql)));
  expect(new Set(next).size).toBe(1);
  expect(next[0]).toBeGreaterThan(own[0]!);
  expect(await volumeOfDelivery(sql, 999_999, false)).toBeNull();
});

test("opening a volume does not wait for those who read and write messages", async () => {
  const id = await makeDelivery();
  await sql.begin(async (tx) => {
    await tx`update message set attempts = 0`;
    await tx`select count(*) from event`;
    await expect(volumeOfDelivery(sql, id, true)).resolves.toBeGreaterThan(0);
  });
});

test("ids from the pool are never given twice, and an old block is left", async () => {
  const clock = handClock();
  const pools = [openIdPool(sql, clock), openIdPool(sql, clock)];
  const taken = await Promise.all(Array.from({ length: 500 }, (_, i) => pools[i % 2]!.take(7)));
  const ids = taken.flatMap(({ firstId }) => Array.from({ length: 7 }, (_, i) => firstId + i));
  expect(new Set(ids).size).toBe(3500);
  expect(taken.every(({ firstId, volume }) => volumeOfId(firstId) === volume)).toBe(true);
  await sql`update volume set opened_at = now() - interval '25 h'`;
  clock.jump(-3_600_000);
  await clock.advance(600_001);
  expect((await pools[0]!.take(1)).volume).toBeGreaterThan(taken[0]!.volume);
});
