import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CHANNELS } from "../../src/db/sql.ts";
import type { Host, Manners } from "../../demo/internet/host.ts";
import { openHost, POLITE } from "../../demo/internet/host.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { countBothWays, type DeliveryOptions, putDelivery, type TestDelivery } from "../support/ledger.ts";
import { openTestMta, type TestMta, type TestMtaOptions } from "../support/mta.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

/** A receiving host and how often it took each recipient. */
async function host(manners: Partial<Manners> = {}): Promise<Host & { readonly taken: Map<string, number> }> {
  const taken = new Map<string, number>();
  const opened = await openHost({
    name: "mx.example",
    address: "127.0.0.1",
    port: 0,
    manners: { ...POLITE, ...manners },
    certificate: null,
    accept: (message) => {
      for (const to of message.to) taken.set(to, (taken.get(to) ?? 0) + 1);
    },
  });
  open.push(opened);
  return Object.assign(opened, { taken });
}

async function start(options: Omit<TestMtaOptions, "sql">): Promise<TestMta> {
  const mta = await openTestMta({ sql: db.sql, ...options });
  open.push(mta);
  return mta;
}

async function put(options: DeliveryOptions): Promise<TestDelivery> {
  const delivery = await putDelivery(db.sql, options);
  await db.sql.notify(CHANNELS.work, String(delivery.id));
  return delivery;
}

const people = (n: number, domain: (i: number) => string = () => "one.example"): string[] =>
  Array.from({ length: n }, (_, i) => `p${i}@${domain(i)}`);

async function state(id: number): Promise<string> {
  const [row] = await db.sql<{ state: string }[]>`select state from delivery where id = ${id}`;
  return row!.state;
}

async function finished(id: number): Promise<number[]> {
  await until(async () => (await state(id)) === "finished", {
    what: `delivery ${id} to finish`,
    timeoutMs: 20_000,
  }).catch(async (error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(await countBothWays(db.sql, id))}`, { cause: error });
  });
  const both = await countBothWays(db.sql, id);
  expect(both.parts).toEqual(both.rows);
  return both.rows;
}

describe("a delivery", () => {
  test.each([
    ["one round trip a message", {}],
    ["CHUNKING", { chunking: true }],
    ["no PIPELINING", { pipelining: false }],
  ])("of a thousand over 40 domains arrives once, with %s", async (_, manners) => {
    const mx = await host(manners);
    const addresses = people(1000, (i) => `d${i % 40}.example`);
    const { id } = await put({ addresses, partSize: 100 });
    await start({ port: mx.port });
    expect(await finished(id)).toEqual([0, 0, 1000, 0, 0, 0, 0, 0]);
    expect(mx.taken.size).toBe(1000);
    expect([...mx.taken.values()].every((n) => n === 1)).toBe(true);
    const [events] = await db.sql<
      { n: number }[]
    >`select count(*)::int as n from event e join message m on m.id = e.message_id where m.delivery_id = ${id} and type = 2`;
    expect(events!.n).toBe(1000);
  });

  test("unknown users fail, greylisted ones come later, the unrenderable fail alone", async () => {
    const seen = new Set<string>();
    const mx = await host({
      refuse(address) {
        if (address.startsWith("p7")) return "550 5.1.1 no such user";
        if (address.startsWith("p3") && !seen.has(address)) {
          seen.add(address);
          return "451 4.7.1 greylisted";
        }
        return "";
      },
    });
    const variables = Array.from({ length: 100 }, (_, i) => (i === 50 ? { unrenderable: true } : {}));
    const { id, firstId } = await put({ addresses: people(100), variables, partSize: 30, retry: [1] });
    await start({ port: mx.port });
    expect(await finished(id)).toEqual([0, 0, 88, 12, 0, 0, 0, 0]);
    const reasons =
      await db.sql`select reason, count(*)::int as n from message where delivery_id = ${id} and status = 3 group by 1 order by 1`.values();
    expect([...reasons]).toEqual([
      ["unrenderable", 1],
      ["user-unknown", 11],
    ]);
    const [late] = await db.sql<
      { n: number }[]
    >`select count(*)::int as n from message where delivery_id = ${id} and status = 2 and attempts = 2`;
    expect(late!.n).toBe(11);
    const events =
      await db.sql`select type, code, enhanced, stage, reason, mx, remote_ip from event where message_id = ${firstId + 3} order by id`;
    expect(events).toMatchObject([
      {
        type: 3,
        code: 451,
        enhanced: "4.7.1",
        stage: "rcpt",
        reason: "greylisted",
        mx: "mx.one.example",
        remote_ip: "127.0.0.1",
      },
      { type: 2, code: 250, stage: "dot", reason: "" },
    ]);
  });

  test("dropped in the text of the message: sent again, once", async () => {
    const dropped = new Set<string>();
    const mx = await host({
      drop(address) {
        if (!address.startsWith("p1") || dropped.has(address)) return false;
        dropped.add(address);
        return true;
      },
    });
    // The connection breaks after the dot was written: that is doubt, and this delivery has it tried again.
    const { id } = await put({ addresses: people(30), retry: [1] });
    await start({ port: mx.port });
    expect((await finished(id))[2]).toBe(30);
    expect([...mx.taken.values()].every((n) => n === 1)).toBe(true);
  });

  test("a site with a connection limit is served within it", async () => {
    const mx = await host({ connections: 2 });
    const { id } = await put({ addresses: people(500) });
    await start({ port: mx.port });
    expect((await finished(id))[2]).toBe(500);
    expect([...mx.taken.values()].every((n) => n === 1)).toBe(true);
  });

  test("paused it stands still, resumed it goes on, stopped it ends; nothing counts as an attempt", async () => {
    const mx = await host({ latencyMs: 5 });
    const { id } = await put({ addresses: people(3000), partSize: 100 });
    await start({ port: mx.port, rules: [{ mx: "*", connections: 2 }] });
    const sent = async (): Promise<number> => (await countBothWays(db.sql, id)).rows[2]!;
    const turn = async (next: string): Promise<void> => {
      await db.sql`update delivery set state = ${next} where id = ${id}`;
      await db.sql.notify(CHANNELS.delivery, `${id} ${next}`);
    };
    await until(async () => (await sent()) > 50, { what: "some to be sent" });
    await turn("paused");
    await until(
      async () => {
        const [row] = await db.sql<
          { n: number }[]
        >`select count(*)::int as n from part where delivery_id = ${id} and owner <> ''`;
        return row!.n === 0;
      },
      { what: "all parts to be given back" },
    );
    const at = await sent();
    const [tried] = await db.sql<
      { n: number }[]
    >`select count(*)::int as n from message where delivery_id = ${id} and status <> 2 and attempts > 0`;
    expect(tried!.n).toBe(0);
    expect(await sent()).toBe(at);
    await turn("sending");
    await until(async () => (await sent()) > at + 50, { what: "more to be sent" });
    await turn("stopped");
    await until(
      async () => {
        const [row] = await db.sql<
          { n: number }[]
        >`select count(*)::int as n from part where delivery_id = ${id} and owner <> ''`;
        return row!.n === 0;
      },
      { what: "all parts to be given back" },
    );
    expect(mx.taken.size).toBe(await sent());
  });

  test("past its deadline what is left fails as expired, though the site would take it", async () => {
    const mx = await host();
    const { id } = await put({ addresses: people(20), deadline: new Date(Date.now() - 1000) });
    await start({ port: mx.port });
    expect(await finished(id)).toEqual([0, 0, 0, 20, 0, 0, 0, 0]);
    const reasons = await db.sql`select distinct reason from message where delivery_id = ${id}`.values();
    expect([...reasons]).toEqual([["expired"]]);
    expect(mx.taken.size).toBe(0);
  });

  test("is not starved by hundreds that only wait for their retries", async () => {
    const mx = await host();
    const volume = (await db.sql<{ id: number }[]>`select open_volume(false) as id`)[0]!.id;
    const waiting: number[] = [];
    for (let i = 0; i < 210; i++)
      waiting.push((await putDelivery(db.sql, { addresses: [`w${i}@one.example`], volume })).id);
    await db.sql`update part set due_at = now() + interval '1 hour' where delivery_id = any(${waiting})`;
    const { id } = await put({ addresses: people(50) });
    await start({ port: mx.port });
    expect((await finished(id))[2]).toBe(50);
    await db.sql`update delivery set state = 'stopped' where id = any(${waiting})`;
  });

  test("a site that cannot be reached defers its messages with the reason", async () => {
    const { id, firstId } = await put({ addresses: people(3) });
    await start({ port: 9 });
    await until(async () => (await countBothWays(db.sql, id)).rows[1] === 3, { what: "all to be deferred" });
    const [event] = await db.sql`select type, stage, reason, reply from event where message_id = ${firstId}`;
    expect(event).toMatchObject({ type: 3, stage: "connect", reason: "unreachable" });
    expect(event!["reply"]).not.toBe("");
  });

  test("whoever was suppressed a minute ago gets nothing", async () => {
    const mx = await host();
    const { id } = await putDelivery(db.sql, { addresses: people(10, () => "late.example"), state: "paused" });
    await db.sql`insert into suppression (address, reason) values ('p4@late.example', 'unsubscribed')`;
    await db.sql`update delivery set state = 'sending' where id = ${id}`;
    await start({ port: mx.port });
    expect(await finished(id)).toEqual([0, 0, 9, 0, 0, 1, 0, 0]);
    expect(mx.taken.has("p4@late.example")).toBe(false);
  });
});

describe("two mtas", () => {
  test("share a delivery, and nobody gets it twice", async () => {
    const mx = await host({ latencyMs: 2 });
    const { id } = await put({ addresses: people(4000), partSize: 50 });
    const settings = { window: 500, partSize: 50 };
    const rules = [{ mx: "*", connections: 4 }];
    await start({ port: mx.port, owner: "a/0", settings, rules });
    await start({ port: mx.port, owner: "b/0", settings, rules });
    expect((await finished(id))[2]).toBe(4000);
    expect(mx.taken.size).toBe(4000);
    expect([...mx.taken.values()].every((n) => n === 1)).toBe(true);
    const owners = await db.sql`select distinct owner from progress where delivery_id = ${id}`.values();
    expect(owners).toHaveLength(2);
  });
});

describe("drain", () => {
  test("what is on the wire is recorded, everything else goes back", async () => {
    const mx = await host({ latencyMs: 10 });
    const { id } = await put({ addresses: people(2000) });
    const mta = await openTestMta({ sql: db.sql, port: mx.port });
    await until(() => mx.taken.size > 100, { what: "some to arrive" });
    await mta.close();
    const both = await countBothWays(db.sql, id);
    expect(both.parts).toEqual(both.rows);
    expect(both.rows[2]).toBe(mx.taken.size);
    const [row] = await db.sql<
      { n: number }[]
    >`select count(*)::int as n from part where delivery_id = ${id} and owner <> ''`;
    expect(row!.n).toBe(0);
    await start({ port: mx.port });
    expect((await finished(id))[2]).toBe(2000);
    expect([...mx.taken.values()].every((n) => n === 1)).toBe(true);
  });
});
