/**
 * An operator changes their mind while a delivery is being sent, over the public API: pause, a late suppression, more recipients, resume, stop.
 * What was commanded holds for everything that has not left, and the counters add up to what was accepted whenever they are asked for.
 */
import { expect, onTestFinished, test } from "vitest";
import { openTestApi } from "../support/api.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge } from "../support/oracle.ts";
import { openTaking, people, stillness, type TakingHost } from "../support/taking.ts";
import { until } from "../support/until.ts";

const api = await openTestApi();
const COUNT = 800;

interface Told {
  readonly state: string;
  readonly counters: Readonly<Record<string, number>>;
}

const lines = (addresses: readonly string[]): string =>
  addresses.map((address) => JSON.stringify({ address })).join("\n");

interface Begun {
  readonly host: TakingHost;
  readonly id: number;
  readonly addresses: string[];
  /** Its answers take no time any more. */
  hurry(): void;
}

async function begin(name: string): Promise<Begun> {
  let latencyMs = 8;
  const manners = {
    get latencyMs() {
      return latencyMs;
    },
  };
  const host = await openTaking({ manners });
  onTestFinished(() => host.close());
  const addresses = people(COUNT, 3, name);
  const id = await api.delivery({ retrySchedule: [1] });
  expect((await api.upload(id, lines(addresses))).body).toMatchObject({ accepted: COUNT });
  const settings = { window: 400, partSize: 50 };
  const mta = await openTestMta({ sql: api.db.sql, port: host.port, settings, rules: [{ mx: "*", connections: 2 }] });
  onTestFinished(() => mta.close());
  await api.post(`/v1/deliveries/${id}/start`);
  await until(() => host.order.length > 100, { what: "some to arrive" });
  return { host, id, addresses, hurry: () => void (latencyMs = 1) };
}

/** The delivery as the API tells it; its counters add up to `accepted`. */
async function told(id: number): Promise<Told> {
  const { body } = await api.get(`/v1/deliveries/${id}`);
  const { accepted, claimed, ...others } = (body as unknown as Told).counters;
  expect(Object.values(others).reduce((sum, n) => sum + n, 0)).toBe(accepted);
  expect(claimed).toBeLessThanOrEqual(accepted!);
  return body as unknown as Told;
}

async function command(id: number, name: string): Promise<void> {
  const { status, body } = await api.post(`/v1/deliveries/${id}/${name}`);
  expect([status, body["detail"]]).toEqual([200, undefined]);
}

/** Resolves when all its parts are given back, and with how many had arrived then. */
async function still(id: number, host: TakingHost): Promise<number> {
  const owned = async (): Promise<number> =>
    (await api.db.sql`select 1 from part where delivery_id = ${id} and owner <> ''`).length;
  await until(async () => (await told(id)).state !== "sending" && (await owned()) === 0, {
    what: "all to be given back",
  });
  return host.order.length;
}

async function count(id: number, status: string): Promise<number> {
  let found = 0;
  let cursor = "0";
  for (;;) {
    const { body } = await api.get(`/v1/deliveries/${id}/messages?status=${status}&limit=1000&cursor=${cursor}`);
    found += (body["messages"] as unknown[]).length;
    if (body["nextCursor"] === null) return found;
    cursor = body["nextCursor"] as string;
  }
}

test("pause, suppress, add, resume: who was suppressed late gets nothing, all others get one", async () => {
  const { host, id, addresses, hurry } = await begin("pause");
  await command(id, "pause");
  const arrived = await still(id, host);
  await stillness(() => host.order.length, "everything");
  expect(host.order.length).toBe(arrived);
  const paused = await told(id);
  expect(paused.counters).toMatchObject({ sent: arrived, pending: COUNT - arrived, deferred: 0, failed: 0 });

  const suppressed = addresses.filter((address) => !host.taken.has(address)).slice(0, 40);
  for (const address of suppressed)
    expect((await api.call("PUT", `/v1/suppressions/${address}`, { reason: "unsubscribed" })).status).toBeLessThan(300);
  const more = people(100, 1, "added");
  expect((await api.upload(id, lines([...more, ...addresses.slice(0, 50)]))).body).toMatchObject({
    accepted: 100,
    duplicate: 50,
  });
  hurry();
  await command(id, "resume");
  await until(async () => (await told(id)).state === "finished", { what: "the delivery to end", timeoutMs: 25_000 });
  expect((await told(id)).counters).toMatchObject({ accepted: COUNT + 100, sent: COUNT + 60, excluded: 40, failed: 0 });
  expect(suppressed.filter((address) => host.taken.has(address))).toEqual([]);
  const verdict = await judge(api.db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ doubles: [], attempts: 1 });
});

test("stop: nothing more leaves, and what is left is cancelled", async () => {
  const { host, id } = await begin("stop");
  await command(id, "stop");
  const arrived = await still(id, host);
  await stillness(() => host.order.length, "everything");
  expect(host.order.length).toBe(arrived);
  const end = await told(id);
  expect(end.state).toBe("stopped");
  expect(end.counters).toMatchObject({ sent: arrived, cancelled: COUNT - arrived, pending: 0 });
  expect(await count(id, "sent")).toBe(arrived);
  expect(await count(id, "cancelled")).toBe(COUNT - arrived);
  expect((await api.post(`/v1/deliveries/${id}/resume`)).status).toBe(409);
  expect((await api.upload(id, lines(["late@stop0.example"]))).status).toBe(409);
  const verdict = await judge(api.db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
});
