/** What an mta knows of a delivery that is stopped while it reads about it: the news wins, or it would be sent until the next look. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDeliveries } from "../../src/mta/deliveries.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const put = async (): Promise<number> => (await putDelivery(db.sql, { addresses: ["a@one.example"] })).id;

test("stopped while it was read", async () => {
  const deliveries = openDeliveries(db.sql);
  const id = await put();
  const reading = deliveries.get([id]);
  expect(deliveries.change(id, "stopped")).toBe(false);
  const delivery = (await reading).get(id)!;
  expect(deliveries.hold(delivery).state).toBe("stopped");
});

test("stopped while its messages were loaded", async () => {
  const deliveries = openDeliveries(db.sql);
  const id = await put();
  const delivery = (await deliveries.get([id])).get(id)!;
  expect(delivery.state).toBe("sending");
  deliveries.change(id, "stopped");
  expect(deliveries.hold(delivery).state).toBe("stopped");
});

test("stopped while it is looked at again", async () => {
  const deliveries = openDeliveries(db.sql);
  const id = await put();
  const delivery = deliveries.hold((await deliveries.get([id])).get(id)!);
  const looking = deliveries.refresh();
  deliveries.change(id, "paused");
  await looking;
  expect(delivery.state).toBe("paused");
});

test("news from before the read says nothing any more", async () => {
  const deliveries = openDeliveries(db.sql);
  const id = await put();
  deliveries.change(id, "paused");
  expect(deliveries.hold((await deliveries.get([id])).get(id)!).state).toBe("sending");
});

test("read twice at the same time there is one of it, and it hears the news", async () => {
  const deliveries = openDeliveries(db.sql);
  const id = await put();
  const [one, two] = await Promise.all([deliveries.get([id]), deliveries.get([id])]);
  const first = deliveries.hold(one.get(id)!);
  const second = deliveries.hold(two.get(id)!);
  expect(second).toBe(first);
  expect(deliveries.change(id, "stopped")).toBe(true);
  expect(second.state).toBe("stopped");
});
