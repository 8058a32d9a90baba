/** Which parts are claimed, and when: with a whole mta on a real database. */
import { afterAll, afterEach, test } from "vitest";
import { openHost, POLITE } from "../../demo/internet/host.ts";
import { systemClock } from "../../src/base/clock.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { until } from "../support/until.ts";

const db = await openTestDatabase();
afterAll(() => db.close());
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const sent = async (id: number): Promise<number> =>
  (await db.sql<{ n: number }[]>`select sum(sent)::int as n from part where delivery_id = ${id}`)[0]!.n;

test("the system's clock is put back while a delivery waits for its next part: it is claimed when it is due", async () => {
  const host = await openHost({
    name: "mx.example",
    address: "127.0.0.1",
    port: 0,
    manners: POLITE,
    certificate: null,
    accept() {},
  });
  open.push(host);
  const { id, firstId } = await putDelivery(db.sql, { addresses: ["a@one.example", "b@one.example"], partSize: 1 });
  await db.sql`update part set due_at = now() + interval '1500 ms' where first_id = ${firstId + 1}`;
  let ahead = 0;
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  open.push(await openTestMta({ sql: db.sql, port: host.port, deps: { clock } }));
  await until(async () => (await sent(id)) === 1, { what: "what is due to be sent" });
  ahead = -3_600_000;
  await until(async () => (await sent(id)) === 2, { what: "what has become due to be sent" });
});
