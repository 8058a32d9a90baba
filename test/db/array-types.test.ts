import { connect, createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { openSql } from "../../src/db/sql.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const TEXTS = [
  "",
  "plain",
  "NULL",
  "null",
  'a "quoted" \\ word',
  "{a,b}",
  ",",
  " spaced ",
  "line\nbreak",
  "ümlaut 🐘",
  "\\",
  '"',
];

test("texts of every kind come back as they went", async () => {
  const [row] = await db.sql`select ${[...TEXTS, null]}::text[] as texts, ${[]}::text[] as none`;
  expect(row).toEqual({ texts: [...TEXTS, null], none: [] });
});

test("numbers come back as numbers, and bigints must be safe", async () => {
  const safe = 2 ** 53 - 1;
  const [row] =
    await db.sql`select ${[1, -2, null]}::int[] as ints, ${[safe, 0]}::bigint[] as bigints, array[7::smallint] as smallints`;
  expect(row).toEqual({ ints: [1, -2, null], bigints: [safe, 0], smallints: [7] });
  await expect(db.sql`select array[9007199254740992] as big`).rejects.toThrow("outside of the safe integers");
});

test("booleans and times come back as such", async () => {
  const [row] =
    await db.sql`select array[true, false] as booleans, array['2026-01-02T03:04:05.678Z'::timestamptz] as times`;
  expect(row).toEqual({ booleans: [true, false], times: [new Date("2026-01-02T03:04:05.678Z")] });
});

test("a server that goes away behind the login is an error of the query and of nothing else", async () => {
  const url = new URL(db.url);
  const port = Number(url.port);
  // Passes the login and cuts the connection at the first statement after it.
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    client.on("data", (bytes) => {
      // 'Q' and 'P' begin a statement (manual §54.7); the messages of the login begin otherwise.
      if (bytes[0] === 0x51 || bytes[0] === 0x50) client.resetAndDestroy();
      else server.write(bytes);
    });
    server.on("data", (bytes) => void client.write(bytes));
    client.on("close", () => server.destroy());
    server.on("close", () => client.destroy());
    for (const socket of [client, server]) socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void proxy.close());
  url.port = String((proxy.address() as AddressInfo).port);
  const sql = openSql(url.href, { poolSize: 1, name: "cut" });
  onTestFinished(() => sql.end({ timeout: 1 }));
  // An error that nobody catches would end a real process; vitest makes the run fail for it.
  await expect(sql`select ${[1]}::int[] as ints`).rejects.toThrow(/ECONNRESET|CONNECTION_CLOSED/);
});
