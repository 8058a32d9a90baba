/** Who gets in, what for, how often; and what everybody else is told. */
import { expect, test } from "vitest";
import { revokeToken, SCOPES, type Scope } from "../../src/db/tokens.ts";
import { handClock } from "../support/clock.ts";
import { openTestApi } from "../support/api.ts";

const clock = handClock(Date.now());
const api = await openTestApi({ web: { requestsPerSecond: 50 } }, { clock, metrics: async () => "postilion_up 1\n" });
const strict = await openTestApi({}, { clock });
let scarce = "";
const busy = await openTestApi({}, { load: { scarce: () => scarce, enter() {}, leave() {}, close() {} } });

const ROUTES: [string, string, Scope][] = [
  ["POST", "/v1/deliveries", "deliveries:write"],
  ["GET", "/v1/deliveries", "deliveries:read"],
  ["GET", "/v1/deliveries/1", "deliveries:read"],
  ["PUT", "/v1/deliveries/1/recipients", "deliveries:write"],
  ["POST", "/v1/deliveries/1/recipients", "deliveries:write"],
  ["POST", "/v1/deliveries/1/start", "deliveries:write"],
  ["POST", "/v1/deliveries/1/stop", "deliveries:write"],
  ["POST", "/v1/deliveries/1/in-doubt", "deliveries:write"],
  ["POST", "/v1/deliveries/1/preview", "deliveries:read"],
  ["GET", "/v1/deliveries/1/events", "deliveries:read"],
  ["GET", "/v1/deliveries/1/messages", "messages:read"],
  ["GET", "/v1/messages/1", "messages:read"],
  ["POST", "/v1/messages", "messages:write"],
  ["GET", "/v1/messages/1/why", "messages:read"],
  ["GET", "/v1/deliveries/1/why", "deliveries:read"],
  ["GET", "/v1/sites", "traffic:read"],
  ["GET", "/v1/sites/mx.example", "traffic:read"],
  ["GET", "/v1/traffic/errors", "traffic:read"],
  ["GET", "/v1/traffic/suspensions", "traffic:read"],
  ["POST", "/v1/traffic/suspensions", "traffic:write"],
  ["DELETE", "/v1/traffic/suspensions/1", "traffic:write"],
  ["GET", "/v1/deliveries/1/reactions", "tracking:read"],
  ["GET", "/v1/deliveries/1/reactions/links", "tracking:read"],
  ["GET", "/v1/deliveries/1/reactions.csv", "tracking:read"],
  ["GET", "/v1/events", "tracking:read"],
  ["GET", "/v1/deliveries/1/tracking", "tracking:read"],
  ["PUT", "/v1/deliveries/1/tracking", "tracking:write"],
  ["DELETE", "/v1/deliveries/1/tracking", "tracking:write"],
  ["GET", "/v1/deliveries/1/links/1", "tracking:read"],
  ["PUT", "/v1/deliveries/1/links/1", "tracking:write"],
  ["DELETE", "/v1/deliveries/1/links/1", "tracking:write"],
  ["GET", "/v1/suppressions", "suppressions:read"],
  ["GET", "/v1/suppressions/export", "suppressions:read"],
  ["POST", "/v1/suppressions/import", "suppressions:write"],
  ["PUT", "/v1/suppressions/a@example.com", "suppressions:write"],
  ["DELETE", "/v1/suppressions/a@example.com", "suppressions:write"],
];

test("every route needs a token, and the scope it names", async () => {
  for (const [method, url, scope] of ROUTES) {
    const what = `${method} ${url}`;
    const none = await strict.call(method, url, undefined, { token: null });
    expect(none.status, what).toBe(401);
    expect(none.headers["www-authenticate"]).toBe("Bearer");
    const others = await strict.makeToken(SCOPES.filter((one) => one !== scope));
    const refused = await strict.call(method, url, undefined, { token: others });
    expect(refused, what).toMatchObject({ status: 403, body: { detail: `the token lacks the scope ${scope}` } });
    const own = await strict.makeToken([scope]);
    expect([401, 403], what).not.toContain((await strict.call(method, url, undefined, { token: own })).status);
  }
});

test("the list above is complete", async () => {
  const document = (await strict.call("GET", "/v1/openapi.json", undefined, { token: null })).body;
  expect(document["openapi"]).toBe("3.1.0");
  const open = ["/v1/healthz", "/v1/openapi.json"];
  for (const [path, methods] of Object.entries(
    document["paths"] as Record<string, Record<string, { description?: string }>>,
  )) {
    if (open.includes(path)) continue;
    for (const [method, operation] of Object.entries(methods))
      expect(operation.description, `${method} ${path}`).toMatch(/^Scope: /);
  }
  const described = document["paths"]["/v1/deliveries"]["post"]["requestBody"]["content"]["application/json"]["schema"];
  expect(described["properties"]["content"]["properties"]["subject"]["type"]).toBe("string");
  expect(Object.keys(document["paths"])).toEqual(
    expect.arrayContaining(["/v1/deliveries/{id}/recipients", "/v1/messages/{id}"]),
  );
});

test("wrong, malformed and revoked tokens", async () => {
  for (const header of [
    "Basic abc",
    "Bearer",
    "Bearer ",
    "Bearer x y",
    `Bearer ${"a".repeat(5000)}`,
    "Bearer pst_unknown",
    "Bearer ' or 1=1--",
  ]) {
    const answer = await strict.call("GET", "/v1/deliveries", undefined, {
      token: null,
      headers: { authorization: header },
    });
    expect(answer.status, header.slice(0, 30)).toBe(401);
    expect(answer.text).not.toContain("unknown_");
  }
  const token = await strict.makeToken(["deliveries:read"]);
  expect((await strict.call("GET", "/v1/deliveries", undefined, { token })).status).toBe(200);
  const [row] = await strict.db.sql`select max(id) as id from api_token`;
  await revokeToken(strict.db.sql, row!["id"]);
  await clock.advance(5_001);
  expect((await strict.call("GET", "/v1/deliveries", undefined, { token })).status).toBe(401);
});

test("a guesser is rationed, and those with a token are not", async () => {
  const guess = () => api.call("GET", "/v1/deliveries", undefined, { token: `pst_${Math.random()}` });
  const answers = await Promise.all(Array.from({ length: 150 }, guess));
  expect(new Set(answers.map((a) => a.status))).toEqual(new Set([401, 429]));
  await clock.advance(10_000);
  expect((await api.get("/v1/deliveries")).status).toBe(200);
  await Promise.all(Array.from({ length: 250 }, guess));
  expect((await api.get("/v1/deliveries")).status).toBe(200);
});

test("more requests a second than allowed: 429 with Retry-After, for that token only", async () => {
  await clock.advance(10_000);
  const token = await api.makeToken(["deliveries:read"]);
  const answers = await Promise.all(
    Array.from({ length: 120 }, () => api.call("GET", "/v1/deliveries/1", undefined, { token })),
  );
  const refused = answers.filter((a) => a.status === 429);
  expect(refused).toHaveLength(20);
  expect(refused[0]!.headers["retry-after"]).toBe("1");
  expect((await api.get("/v1/deliveries")).status).toBe(200);
  await clock.advance(1_000);
  expect((await api.call("GET", "/v1/deliveries/1", undefined, { token })).status).toBe(404);
});

test("health and the document are open, metrics are not", async () => {
  expect(await api.call("GET", "/v1/healthz", undefined, { token: null })).toMatchObject({
    status: 200,
    body: { status: "ok" },
  });
  expect((await api.call("GET", "/metrics", undefined, { token: null })).status).toBe(401);
  expect((await api.get("/metrics")).text).toBe("postilion_up 1\n");
});

test("what is not there is told as a problem document", async () => {
  for (const [method, url] of [
    ["GET", "/"],
    ["GET", "/v1/delivery"],
    ["PATCH", "/v1/deliveries"],
    ["GET", "/v1/deliveries/1/../../x"],
    ["GET", "/v1/%ff"],
    ["GET", `/v1/${"x".repeat(5000)}`],
  ] as const) {
    const answer = await api.call(method, url);
    expect([400, 404, 414], url.slice(0, 40)).toContain(answer.status);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.body).toMatchObject({ type: "about:blank", status: answer.status, errors: [] });
  }
  for (const id of ["0", "-1", "1e3", "99999999999999999999", "1'--", "9007199254740993"]) {
    expect([400, 404], id).toContain((await api.get(`/v1/deliveries/${encodeURIComponent(id)}`)).status);
    expect([400, 404], id).toContain((await api.get(`/v1/messages/${encodeURIComponent(id)}`)).status);
  }
});

test("where there is no room for requests they are sent away at once, with when to come again", async () => {
  expect((await busy.get("/v1/deliveries")).status).toBe(200);
  scarce = "the event loop is late";
  const answer = await busy.get("/v1/deliveries");
  expect(answer).toMatchObject({ status: 503, body: { detail: "overloaded: the event loop is late" } });
  expect(answer.headers["retry-after"]).toBe("2");
});
