/** The module as a process starts it: listens where it is told, says when it cannot, drains. */
import { createConnection } from "node:net";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { createToken } from "../../src/db/tokens.ts";
import { start, type WebContext } from "../../src/web/start.ts";
import { openTestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const db = await openTestDatabase();
afterAll(() => db.close());

function context(port: number): WebContext {
  return {
    settings: parseSettings({ web: { port } }),
    log: silentLog,
    sql: db.sql,
    clock: systemClock,
    signal: new AbortController().signal,
  };
}

test("it answers, refuses a port that is taken, and is gone after the drain", async () => {
  const running = await start(context(0));
  const health = (): Promise<Response> => fetch(`http://127.0.0.1:${running.port}/v1/healthz`);
  expect((await health()).status).toBe(200);
  await expect(start(context(running.port))).rejects.toMatchObject({ code: "PORT_TAKEN" });
  await running.drain();
  await expect(health()).rejects.toThrow("fetch failed");
});

test("the drain lets a request that has begun end", async () => {
  const running = await start(context(0));
  const { token } = await createToken(db.sql, "test");
  const body = JSON.stringify({ content: { subject: "x", text: "y" }, from: "a@example.com" });
  const socket = createConnection({ host: "127.0.0.1", port: running.port });
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(
    `POST /v1/deliveries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
  );
  const [before] = await db.sql`select count(*)::int as n from delivery`;
  // The head has been read when the next request on another connection is answered.
  await fetch(`http://127.0.0.1:${running.port}/v1/healthz`);
  const drained = running.drain();
  socket.write(body.slice(10));
  await until(() => answer.includes("201 Created"));
  await drained;
  const [after] = await db.sql`select count(*)::int as n from delivery`;
  expect(after!["n"] - before!["n"]).toBe(1);
  socket.destroy();
});
