/** The database is not there: every answer is a 503 that says when to try again, and nothing is promised. */
import { afterAll, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { openSql } from "../../src/db/sql.ts";
import { buildApi } from "../../src/web/api.ts";
import { freePort } from "../support/free-port.ts";

const sql = openSql(`postgres://nobody@127.0.0.1:${await freePort()}/nothing`, { poolSize: 2, name: "test" });
const reported: object[] = [];
const server = await buildApi({
  settings: parseSettings({}),
  sql,
  log: { ...silentLog, error: (fields) => void reported.push(fields) },
  clock: systemClock,
  version: "test",
  checkContent: () => ({ problems: [], links: [] }),
  preview: async () => "",
  linksOf: () => [],
});
afterAll(async () => {
  await server.close();
  await sql.end({ timeout: 1 });
});

test("requests and the health check are told 503 with Retry-After", async () => {
  for (const [method, url] of [
    ["GET", "/v1/healthz"],
    ["GET", "/v1/deliveries"],
    ["POST", "/v1/messages"],
  ] as const) {
    const response = await server.inject({ method, url, headers: { authorization: "Bearer pst_x" } });
    expect(response.statusCode, url).toBe(503);
    expect(response.headers["retry-after"]).toBe("5");
    expect(response.json()).toMatchObject({ title: "Service Unavailable", detail: "the database does not answer" });
  }
  expect(reported).toHaveLength(3);
});

test("the document does not need it", async () => {
  const response = await server.inject({ method: "GET", url: "/v1/openapi.json" });
  expect(response.statusCode).toBe(200);
});
