/** GET /v1/events beside the workflow that writes them: a reader who follows it misses nothing and sees nothing twice, whoever counts. */
import { beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { openTestApi } from "../support/api.ts";
import { hit, NOW, openCounter, sentDelivery } from "../support/tracking.ts";
import { until } from "../support/until.ts";

const api = await openTestApi({ web: { requestsPerSecond: 10_000 } }, {}, silentLog);
const { sql } = api.db;
beforeEach(async () => void (await sql`truncate tracking`));

/** Reads on behind its cursor. */
function openReader(query = ""): { readonly seen: number[]; read(): Promise<number> } {
  const seen: number[] = [];
  let cursor = "0";
  return {
    seen,
    async read() {
      const { status, text, headers } = await api.get(`/v1/events?cursor=${cursor}&limit=23${query}`);
      if (status !== 200) throw new Error(text);
      cursor = headers["x-next-cursor"]!;
      const ids = text
        .split("\n")
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { id: number }).id);
      seen.push(...ids);
      return ids.length;
    },
  };
}

async function allIds(): Promise<number[]> {
  return (await sql<{ id: number }[]>`select id from tracking order by id`).map(({ id }) => id);
}

test("a batch that hangs half-way while another machine takes over: the reader waits for it, and does not go past it", async () => {
  const { id, firstId } = await sentDelivery(sql, 3);
  const click = (message: number, at: number) => hit({ message: firstId + message, delivery: id, at });
  const first = await openCounter(sql, 1);
  await first.take([click(0, NOW)]);
  const reader = openReader();
  expect(await reader.read()).toBe(1);

  // Somebody holds a row the batch needs, so that it stops in its middle: its hits have ids and are not committed.
  const free = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = sql.begin(async (tx) => {
    await tx`select from delivery_reactions where delivery_id = ${id} for update`;
    held.resolve();
    await free.promise;
  });
  await held.promise;
  const hanging = first.take([click(1, NOW + 60_000)]);
  await until(async () => (await waiting()) === 1);
  const taking = openCounter(sql, 2);
  await until(async () => (await waiting()) === 2);
  expect(await reader.read()).toBe(0);
  free.resolve();
  await holding;
  expect(await hanging).toBe("counted");
  const second = await taking;
  expect(await second.take([click(2, NOW + 120_000)])).toBe("counted");
  expect(await first.take([click(0, NOW + 180_000)])).not.toBe("counted");
  while ((await reader.read()) > 0);
  expect(reader.seen).toEqual(await allIds());
  expect(reader.seen).toHaveLength(3);
});

test("readers of everything, of a delivery and of one type follow while hits are counted", async () => {
  const one = await sentDelivery(sql, 50);
  const two = await sentDelivery(sql, 50, { prefix: "s" });
  const counter = await openCounter(sql, 3, { batch: 40 });
  const readers = [openReader(), openReader(`&delivery=${two.id}`), openReader("&type=unsubscribed")];
  let done = false;
  const following = readers.map(async (reader) => {
    for (;;) {
      const last = done;
      if ((await reader.read()) === 0 && last) return;
    }
  });
  for (let piece = 0; piece < 10; piece++)
    await counter.take(
      Array.from({ length: 100 }, (_, i) => {
        const { id, firstId } = i % 2 === 0 ? one : two;
        const kind = i % 25 === 0 ? "unsubscribe" : "click";
        return hit({ kind, message: firstId + (i % 50), delivery: id, at: NOW + piece * 60_000 + i });
      }),
    );
  done = true;
  await Promise.all(following);
  const rows = await sql<
    { id: number; delivery_id: number; kind: number }[]
  >`select id, delivery_id, kind from tracking order by id`;
  expect(rows).toHaveLength(1000);
  expect(readers[0]!.seen).toEqual(rows.map(({ id }) => id));
  expect(readers[1]!.seen).toEqual(rows.filter((row) => row.delivery_id === two.id).map(({ id }) => id));
  expect(readers[2]!.seen).toEqual(rows.filter((row) => row.kind === 2).map(({ id }) => id));
});

/** Statements that wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await sql<{ n: number }[]>`
    select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return row!.n;
}
