/** The module as a process starts it: listens where it is told, says when it cannot, drains. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { loadTokenKeys } from "../../src/config/keys.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { loadTrackingSecret } from "../../src/config/tracking-place.ts";
import { createToken } from "../../src/db/tokens.ts";
import { verifyStops } from "../../src/model/stops.ts";
import { start, type WebContext } from "../../src/web/start.ts";
import { openTestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const db = await openTestDatabase();
afterAll(() => db.close());

function context(port: number, settings: object = {}): WebContext {
  return {
    settings: parseSettings({ web: { port }, ...settings }),
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

test("redirection servers show the secret of the file and get what the keys of the file sign; web makes no keys", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-web-"));
  const own = context(0, { dataDir });
  const running = await start(own);
  const secret = loadTrackingSecret(own.settings).toString("utf8");
  const ask = (): Promise<Response> =>
    fetch(`http://127.0.0.1:${running.port}/v1/tracking/stops`, { headers: { authorization: `Bearer ${secret}` } });
  expect((await ask()).status).toBe(503);
  expect(existsSync(join(dataDir, "keys/token.json"))).toBe(false);
  const ring = loadTokenKeys(own.settings);
  const answer = await ask();
  expect(answer.status).toBe(200);
  expect(verifyStops(ring, await answer.text())).toMatchObject({ stops: [] });
  await running.drain();
  rmSync(dataDir, { recursive: true });
});
