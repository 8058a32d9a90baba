/**
 * A password reset and a newsletter for the same slow site: what is urgent arrives next, not at the end of the backlog. The bound is counted
 * in messages that arrive in between, so it holds on any machine.
 */
import { expect, test, type TestContext } from "vitest";
import { openTestApi, type TestApi } from "../support/api.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge } from "../support/oracle.ts";
import { openTaking, people, type TakingHost } from "../support/taking.ts";
import { putDelivery } from "../support/ledger.ts";
import { until } from "../support/until.ts";

const PARTS = [500, 100];
/** Each with a ledger of its own: an mta claims whatever there is. */
const apis = new Map(await Promise.all(PARTS.map(async (size) => [size, await openTestApi()] as const)));
const BACKLOG = 5000;
/** Two sessions with two messages each on the wire, as many rendered, and what arrives while the request goes through. */
const BOUND = 60;

async function newsletter(
  api: TestApi,
  partSize: number,
  { onTestFinished }: TestContext,
): Promise<{ host: TakingHost; id: number }> {
  const host = await openTaking({ manners: { latencyMs: 20 } });
  onTestFinished(() => host.close());
  const addresses = people(BACKLOG, 1, `bulk${partSize}x`);
  const { id } = await putDelivery(api.db.sql, { addresses, partSize });
  const settings = { window: 2000, partSize };
  const mta = await openTestMta({ sql: api.db.sql, port: host.port, settings, rules: [{ mx: "*", connections: 2 }] });
  onTestFinished(async () => {
    await api.post(`/v1/deliveries/${id}/stop`);
    await mta.close();
  });
  // The lane has more than it takes: the pace is known and the rest of the window is given back.
  await until(() => host.order.length > 300 && mta.mta.held > 500, { what: "the lane to be full", timeoutMs: 20_000 });
  return { host, id };
}

/** How many messages arrive from now until this one; it is asked for by `send`. */
async function overtakes(host: TakingHost, to: string, send: () => Promise<unknown>): Promise<number> {
  const before = host.order.length;
  await send();
  await until(() => host.order.includes(to), { what: "the urgent one to arrive", timeoutMs: 20_000 });
  return host.order.indexOf(to) - before;
}

test.concurrent.for(PARTS)("with parts of %i: each overtakes the backlog", async (partSize, context) => {
  const api = apis.get(partSize)!;
  const { host, id } = await newsletter(api, partSize, context);
  const domain = `bulk${partSize}x0.example`;
  for (let i = 0; i < 5; i++) {
    const to = `reset${i}@${domain}`;
    const passed = await overtakes(host, to, async () => {
      const sent = await api.post("/v1/messages", {
        to,
        from: "app@sender.example",
        subject: "Your code",
        text: `${i}`,
      });
      expect(sent.status).toBe(202);
    });
    expect(passed).toBeLessThan(BOUND);
  }
  // A hundred at once share the way with the newsletter, which does not stand still for them.
  const burst = Array.from({ length: 100 }, (_, i) => `burst${i}@${domain}`);
  const before = host.order.length;
  await Promise.all(
    burst.map((to) => api.post("/v1/messages", { to, from: "app@sender.example", subject: "Your code", text: "1" })),
  );
  await until(() => burst.every((to) => host.taken.has(to)), { what: "the burst to arrive", timeoutMs: 20_000 });
  const between = host.order.slice(before).filter((to) => to.startsWith("p")).length;
  expect(between).toBeLessThan(BOUND + 100);
  await api.post(`/v1/deliveries/${id}/pause`);
  await until(
    async () => (await api.db.sql`select 1 from part where delivery_id = ${id} and owner <> ''`).length === 0,
    { what: "the newsletter to be given back", timeoutMs: 20_000 },
  );
  const taken = new Map([...host.taken].filter(([address]) => address.startsWith("p")));
  const verdict = await judge(api.db.sql, id, taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict.attempts).toBe(1);
  expect([...host.taken.values()].every((times) => times === 1)).toBe(true);
});
