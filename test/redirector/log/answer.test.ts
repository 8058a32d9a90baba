/** `GET /log` against the real server, as a workflow asks, and as others do. */
import { appendFileSync, cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { decodeRecord } from "../../../src/model/tracking.ts";
import { type Answer, link, openTestRedirector, SECRET, type TestRedirector, token } from "../../support/redirector.ts";
import { until } from "../../support/until.ts";

let server: TestRedirector;
beforeEach(async () => {
  server = await openTestRedirector();
});
afterEach(() => server.close());

const AUTHORIZATION = { authorization: `Bearer ${SECRET}` };
const pull = (query: string, headers: Record<string, string> = AUTHORIZATION): Promise<Answer> =>
  server.ask(`/log?${query}`, { headers });
const click = (message: number): Promise<Answer> => server.ask(`/r/${token(message)}/${link()}`);
const messages = ({ body }: Answer): number[] =>
  body
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const record = decodeRecord(line);
      if (typeof record === "string") throw new Error(record);
      return record.message;
    });

describe("who does not show the secret gets nothing", () => {
  test.each([
    {},
    { authorization: "" },
    { authorization: "Bearer" },
    { authorization: `Bearer ${SECRET}x` },
    { authorization: `Bearer ${SECRET.slice(1)}` },
    { authorization: `Basic ${SECRET}` },
    { authorization: `Bearer ${"x".repeat(5000)}` },
  ] as Record<string, string>[])("%j", async (headers) => {
    for (const path of ["/log", "/log?after=0", "/metrics"]) {
      const answer = await server.ask(path, { headers });
      expect(answer).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
      expect(answer.headers["x-log"]).toBeUndefined();
    }
  });
});

test("nonsense is refused", async () => {
  for (const query of [
    "after=-1",
    "after=x",
    "limit=0",
    "limit=1.5",
    "wait=-5",
    "pulled=x",
    "after=99999999999999999999",
  ])
    expect([query, (await pull(query)).status]).toEqual([query, 400]);
  expect((await server.ask("/log", { method: "POST", headers: AUTHORIZATION })).status).toBe(405);
});

test("another log's id, or a position that is not there: 409, and whose log this is", async () => {
  await click(1);
  const { headers } = await pull("after=0");
  expect(await pull(`after=0&log=${"0".repeat(32)}`)).toMatchObject({
    status: 409,
    headers: { "x-log": headers["x-log"] },
    body: "",
  });
  expect((await pull(`after=${Number(headers["x-next"]) + 1}`)).status).toBe(409);
  expect((await pull(`after=0&log=${headers["x-log"]}`)).status).toBe(200);
});

test("a folder that was put back from an older copy: who pulled more than it has is told where to go on, also when it has grown beyond that", async () => {
  for (const message of [1, 2]) await click(message);
  const copy = `${server.folder}-copy`;
  onTestFinished(() => rmSync(copy, { recursive: true, force: true }));
  cpSync(server.folder, copy, { recursive: true });
  for (const message of [3, 4]) await click(message);
  const { headers } = await pull("after=0");
  const [log, position] = [headers["x-log"], String(headers["x-next"])];
  await server.restart(() => {
    rmSync(server.folder, { recursive: true });
    cpSync(copy, server.folder, { recursive: true });
    rmSync(join(server.folder, "lock"), { force: true });
  });
  await click(5);
  const shorter = await pull(`after=${position}&log=${log}&wait=1000`);
  expect(shorter).toMatchObject({ status: 409, headers: { "x-log": log } });
  expect(messages(await pull(`after=${String(shorter.headers["x-resume"])}&log=${log}`))).toEqual([5]);
  for (const message of [6, 7, 8]) await click(message);
  const longer = await pull(`after=${position}&log=${log}`);
  expect(longer).toMatchObject({ status: 409, headers: { "x-resume": shorter.headers["x-resume"] } });
  expect(messages(await pull(`after=${String(longer.headers["x-resume"])}`))).toEqual([5, 6, 7, 8]);
});

test("a machine with a name that no header holds is pulled like any other", async () => {
  const other = await openTestRedirector({ machine: "サーバー 1" });
  onTestFinished(() => other.close());
  const answer = await other.ask("/log?after=0", { headers: AUTHORIZATION });
  expect(answer).toMatchObject({ status: 200, headers: { "x-host": "???? 1" } });
});

test("records by pieces, each once, with what there is to know of the log", async () => {
  for (let i = 1; i <= 5; i++) await click(i);
  const seen: number[] = [];
  let after = "0";
  for (let round = 0; round < 10; round++) {
    const answer = await pull(`after=${after}&limit=2`);
    expect(answer.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "x-host": "test",
      "x-lost": "0",
      "x-log": expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(answer.headers["x-gap"]).toBeUndefined();
    seen.push(...messages(answer));
    if (answer.headers["x-next"] === after) break;
    after = String(answer.headers["x-next"]);
  }
  expect(seen).toEqual([1, 2, 3, 4, 5]);
  // A duplicate pull gives the same again.
  expect(messages(await pull("after=0"))).toEqual([1, 2, 3, 4, 5]);
  expect(await server.ask("/log?after=0", { method: "HEAD", headers: AUTHORIZATION })).toMatchObject({
    status: 200,
    body: "",
  });
});

test("what is asked for ahead is kept until it is said to be elsewhere", async () => {
  for (let i = 1; i <= 3; i++) await click(i);
  const unpulled = async (): Promise<number> =>
    Number(
      /redirector_log_unpulled_bytes\S* (\d+)/.exec(
        (await server.ask("/metrics", { headers: AUTHORIZATION })).body,
      )![1],
    );
  const next = Number((await pull("after=0")).headers["x-next"]);
  expect(await unpulled()).toBe(next);
  await pull(`after=${next}&pulled=10`);
  expect(await unpulled()).toBe(next - 10);
  await pull(`after=${next}&pulled=${next + 1000}`);
  expect(await unpulled()).toBe(0);
});

test("packed when that is accepted", async () => {
  for (let i = 1; i <= 50; i++) await click(i);
  const { port } = server;
  const headers = { ...AUTHORIZATION, "accept-encoding": "gzip" };
  const packed = await new Promise<Buffer>((resolve, reject) => {
    request({ port, path: "/log?after=0", headers, agent: false }, (response) => {
      expect(response.headers["content-encoding"]).toBe("gzip");
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part)).on("end", () => resolve(Buffer.concat(parts)));
    })
      .on("error", reject)
      .end();
  });
  const plain = await pull("after=0");
  expect(plain.headers["content-encoding"]).toBeUndefined();
  expect(gunzipSync(packed).toString()).toBe(plain.body);
  expect(packed.length).toBeLessThan(plain.body.length / 3);
});

test("who waits is answered when a hit comes, or when the time is over; who waits no more is forgotten", async () => {
  expect(messages(await pull("after=0&wait=1"))).toEqual([]);
  const waiting = pull("after=0&wait=60000");
  let answered = false;
  void waiting.then(() => (answered = true));
  await until(async () => (await server.ask("/r/test")).status === 200);
  expect(answered).toBe(false);
  await click(1);
  expect(messages(await waiting)).toEqual([1]);
});

test("a drain does not wait for who waits", async () => {
  const waiting = pull("after=0&wait=60000").catch(() => null);
  await until(async () =>
    (await server.ask("/metrics", { headers: AUTHORIZATION })).body.includes("redirector_connections"),
  );
  await server.restart();
  await waiting;
});

test("a damaged log is handed over as it is, and what comes behind it too; what is missing is told", async () => {
  await click(1);
  const [file] = readdirSync(join(server.folder, "segments"));
  appendFileSync(join(server.folder, "segments", file!), "garbage\n");
  await server.restart();
  await click(2);
  const first = await pull("after=0");
  expect(first.body).toMatch(/\ngarbage\n$/);
  expect(messages(await pull(`after=${first.headers["x-next"]}`))).toEqual([2]);
  // The first file is lost.
  rmSync(join(server.folder, "segments", file!));
  await server.restart();
  const gone = await pull("after=0");
  expect(gone).toMatchObject({
    body: "",
    headers: { "x-gap": first.headers["x-next"], "x-next": first.headers["x-next"] },
  });
});
