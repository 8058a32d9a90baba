/** Progress as server-sent events: one at once, one for each change, the last one and the end. */
import { expect, test } from "vitest";
import { openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const api = await openTestApi();
const base = await api.listen();

interface Told {
  readonly event: string;
  readonly data: { state: string; counters: Record<string, number> };
}

async function follow(
  id: number,
): Promise<{ told: Told[]; ended: () => boolean; close: () => void; type: string | null }> {
  const gone = new AbortController();
  const response = await fetch(`${base}/v1/deliveries/${id}/events`, {
    headers: { authorization: `Bearer ${api.token}` },
    signal: gone.signal,
  });
  const told: Told[] = [];
  let ended = false;
  void (async () => {
    let text = "";
    try {
      for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
        text += part;
        const whole = text.split("\n\n");
        text = whole.pop()!;
        for (const one of whole) {
          const match = /^event: (\w+)\ndata: (.*)$/.exec(one);
          if (match !== null) told.push({ event: match[1]!, data: JSON.parse(match[2]!) });
        }
      }
    } catch (error) {
      expect((error as Error).name).toBe("AbortError");
    }
    ended = true;
  })();
  return { told, ended: () => ended, close: () => gone.abort(), type: response.headers.get("content-type") };
}

test("a stream tells the state at once, each change, and ends with finished", async () => {
  const id = await api.delivery({ recipients: [{ email: "a@example.com" }], start: true });
  const stream = await follow(id);
  expect(stream.type).toContain("text/event-stream");
  await until(() => stream.told.length === 1);
  expect(stream.told[0]).toMatchObject({ event: "progress", data: { state: "sending", counters: { pending: 1 } } });
  await api.db.sql`update part set pending = 0, sent = 1 where delivery_id = ${id}`;
  await until(() => stream.told.length === 2);
  expect(stream.told[1]).toMatchObject({ event: "progress", data: { counters: { pending: 0, sent: 1 } } });
  await api.db.sql`update delivery set state = 'finished' where id = ${id}`;
  await until(() => stream.ended());
  expect(stream.told.slice(2).map((one) => one.event)).toEqual(["progress", "finished"]);
});

test("a delivery that is over is told and the stream ends; one that is not there is a 404", async () => {
  const id = await api.delivery();
  await api.post(`/v1/deliveries/${id}/stop`);
  const stream = await follow(id);
  await until(() => stream.ended());
  expect(stream.told.map((one) => one.event)).toEqual(["progress", "finished"]);
  expect((await api.get("/v1/deliveries/999999/events")).status).toBe(404);
});

test("two hundred followers, not one more; who leaves makes room; closing the server ends them", async () => {
  const id = await api.delivery();
  const streams = await Promise.all(Array.from({ length: 200 }, () => follow(id)));
  expect((await api.get(`/v1/deliveries/${id}/events`)).status).toBe(429);
  streams[0]!.close();
  await until(async () => {
    const next = await follow(id);
    return next.type?.includes("event-stream");
  });
  await api.server.close();
  await until(() => streams.every((one) => one.ended()));
});
