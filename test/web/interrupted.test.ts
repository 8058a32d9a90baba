/** Uploads that break: the client goes away, the database does, too many come at once. What was committed stays, and is told. */
import { createConnection, type Socket } from "node:net";
import { expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const warned: object[] = [];
const api = await openTestApi(
  { web: { uploads: 2 } },
  {},
  { ...silentLog, warn: (fields) => void warned.push(fields) },
);
const { port } = new URL(await api.listen());

const lines = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `{"email":"u${from + i}@example.com"}\n`).join("");

/** Begins an upload by hand and leaves it open. */
function begin(id: number): Socket {
  const socket = createConnection({ host: "127.0.0.1", port: Number(port) });
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.write(
    `PUT /v1/deliveries/${id}/recipients HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${api.token}\r\n` +
      "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  return socket;
}
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const uploading = async (id: number): Promise<boolean> =>
  (await api.get(`/v1/deliveries/${id}`)).body["uploading"] as boolean;
const accepted = async (id: number): Promise<number> =>
  (await api.get(`/v1/deliveries/${id}`)).body["counters"].accepted as number;

test("the client goes away: what was committed stays, the upload is over, and sending again completes it", async () => {
  const id = await api.delivery();
  const socket = begin(id);
  socket.write(chunk(lines(0, 60_000)));
  await until(async () => (await accepted(id)) > 0, { what: "the first batch" });
  expect(await uploading(id)).toBe(true);
  socket.destroy();
  await until(async () => !(await uploading(id)), { what: "the end of the upload" });
  const kept = await accepted(id);
  await until(() => warned.length === 1);
  expect(warned[0]).toMatchObject({
    delivery: id,
    accepted: kept,
    committedLines: kept,
    err: { message: "the client went away" },
  });
  const [row] = await api.db.sql`select count(*)::int as n from message where delivery_id = ${id}`;
  expect(row).toEqual({ n: kept });
  const again = await api.upload(id, lines(0, 60_000));
  expect(again.body).toMatchObject({ accepted: 60_000 - kept, duplicate: kept });
  expect(await accepted(id)).toBe(60_000);
});

test("the database loses the connection in the middle: a problem that says how far it got, and it can be sent again", async () => {
  const id = await api.delivery();
  const socket = begin(id);
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(chunk(lines(0, 60_000)));
  await until(async () => (await accepted(id)) > 0, { what: "the first batch" });
  // A trigger breaks every batch from here on, as a full disk would.
  await api.db.sql.unsafe(`
    create function fail() returns trigger language plpgsql as $$ begin raise exception 'no room' using errcode = '53100'; end $$;
    create trigger fail before insert on part execute function fail()`);
  const kept = await accepted(id);
  socket.write(chunk(lines(60_000, 60_000)));
  await until(() => answer.includes("committedLines"), { what: "the problem document" });
  socket.destroy();
  expect(answer).toContain("503 Service Unavailable");
  expect(answer).toContain("retry-after: 60");
  const problem = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as {
    accepted: number;
    committedLines: number;
  };
  expect(problem.accepted).toBeGreaterThanOrEqual(kept);
  expect(await accepted(id)).toBe(problem.accepted);
  expect(problem.committedLines).toBe(problem.accepted);
  await api.db.sql.unsafe("drop trigger fail on part; drop function fail()");
  expect((await api.upload(id, lines(0, 120_000))).body).toMatchObject({ accepted: 120_000 - problem.accepted });
});

test("a delivery that is stopped in the middle of an upload takes no more", async () => {
  const id = await api.delivery();
  const socket = begin(id);
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(chunk(lines(0, 30_000)));
  await until(async () => (await accepted(id)) > 0, { what: "the first batch" });
  await api.post(`/v1/deliveries/${id}/stop`);
  const kept = await accepted(id);
  socket.write(`${chunk(lines(30_000, 30_000))}0\r\n\r\n`);
  await until(() => answer.includes("committedLines"));
  socket.destroy();
  expect(answer).toContain("409 Conflict");
  expect(await accepted(id)).toBe(kept);
});

test("more uploads at once than places: 429 with Retry-After, and a place comes back", async () => {
  const ids = [await api.delivery(), await api.delivery(), await api.delivery()];
  const open = [begin(ids[0]!), begin(ids[1]!)];
  await until(async () => (await uploading(ids[0]!)) && (await uploading(ids[1]!)));
  const refused = await api.upload(ids[2]!, lines(0, 1));
  expect(refused.status).toBe(429);
  expect(refused.headers["retry-after"]).toBe("5");
  open[0]!.destroy();
  await until(async () => (await api.upload(ids[2]!, lines(0, 1))).status === 200);
  open[1]!.destroy();
  await until(async () => !(await uploading(ids[1]!)));
});

test("a refused upload can read its answer although it has not sent everything", async () => {
  const id = await api.delivery();
  await api.post(`/v1/deliveries/${id}/stop`);
  const socket = begin(id);
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  for (let i = 0; i < 20; i++) socket.write(chunk(lines(0, 5_000)));
  await until(() => answer.includes("takes no recipients"));
  expect(answer).toContain("409 Conflict");
  socket.destroy();
});
