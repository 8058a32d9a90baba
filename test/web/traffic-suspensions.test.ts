/** Suspensions over the API: who and why are kept, only one ends it, and everything cannot be stopped by a slip. */
import { afterAll, expect, test } from "vitest";
import { createToken } from "../../src/db/tokens.ts";
import { openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const api = await openTestApi(
  {},
  {
    exchangers: async (name) => ({
      kind: "names",
      names: name.startsWith("shop.") ? ["mx1.big.example", "mx2.big.example"] : [name],
    }),
  },
);
const heard: string[] = [];
const listening = await api.db.sql.listen("postilion_traffic", (text) => heard.push(text));
afterAll(() => listening.unlisten());
const URL_ = "/v1/traffic/suspensions";

test("suspend, see, resume: with who, when and why, and the servers hear of it", async () => {
  const alice = await createToken(api.db.sql, "alice", ["traffic:write", "traffic:read"]);
  const bob = await createToken(api.db.sql, "bob", ["traffic:write"]);
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const made = await api.call(
    "POST",
    URL_,
    { site: "*.Example.com", publicId: 3, until: soon, reason: "complaints" },
    { token: alice.token },
  );
  expect(made).toMatchObject({
    status: 201,
    body: {
      site: "*.example.com",
      publicId: 3,
      by: "alice",
      reason: "complaints",
      until: soon,
      since: expect.any(String),
    },
  });
  const { id } = made.body as { id: number };
  await until(() => heard.includes(String(id)));
  expect((await api.get(URL_)).body).toMatchObject({ suspensions: [{ id, by: "alice" }], nextCursor: null });
  const ended = await api.call("DELETE", `${URL_}/${id}`, undefined, { token: bob.token });
  expect(ended).toMatchObject({ status: 200, body: { id, endedBy: "bob" } });
  expect((await api.call("DELETE", `${URL_}/${id}`)).status).toBe(404);
  expect((await api.get(URL_)).body["suspensions"]).toEqual([]);
  expect((await api.get(`${URL_}?state=all`)).body["suspensions"]).toMatchObject([
    { id, by: "alice", endedBy: "bob", endedAt: expect.any(String) },
  ]);
});

test("a domain of recipients is refused, with the names that would stop its mail", async () => {
  const refused = await api.post(URL_, { site: "Shop.Example", reason: "x" });
  expect(refused).toMatchObject({ status: 400, body: { errors: [{ path: "site" }] } });
  expect(refused.body["errors"][0].message).toContain('suspend "*.big.example", or this site alone');
  expect((await api.get(URL_)).body["suspensions"]).toEqual([]);
});

test("pages of those in force and of all", async () => {
  for (let i = 0; i < 5; i++) await api.post(URL_, { site: `mx${i}.example`, reason: "test" });
  const first = await api.get(`${URL_}?limit=3`);
  const second = await api.get(`${URL_}?limit=3&cursor=${first.body["nextCursor"]}`);
  const sites = [...first.body["suspensions"], ...second.body["suspensions"]].map((one: { site: string }) => one.site);
  expect(sites).toEqual(["mx0.example", "mx1.example", "mx2.example", "mx3.example", "mx4.example"]);
  expect(second.body["nextCursor"]).toBeNull();
  const newest = await api.get(`${URL_}?state=all&limit=2`);
  expect(newest.body["suspensions"].map((one: { site: string }) => one.site)).toEqual(["mx4.example", "mx3.example"]);
  expect(newest.body["nextCursor"]).not.toBeNull();
});

test.each([
  [{ reason: "everything by a slip" }, "site"],
  [{ site: "", publicId: null, reason: "x" }, "site"],
  [{ site: "mx.a.example" }, "reason"],
  [{ site: "mx.a.example", reason: "" }, "reason"],
  [{ site: "mx.a.example", reason: "two\nlines" }, "reason"],
  [{ site: "mx a.example", reason: "x" }, "site"],
  [{ site: "mx.a.example;drop", reason: "x" }, "site"],
  [{ site: "mx1.example,*.example", reason: "x" }, "site"],
  [{ site: "mx1.example,,mx2.example", reason: "x" }, "site"],
  [{ site: "x".repeat(700), reason: "x" }, "site"],
  [{ publicId: -1, reason: "x" }, "publicId"],
  [{ publicId: 2 ** 31, reason: "x" }, "publicId"],
  [{ publicId: 1.5, reason: "x" }, "publicId"],
  [{ publicId: 1, until: "2020-01-01T00:00:00Z", reason: "x" }, "until"],
  [{ publicId: 1, until: "tomorrow", reason: "x" }, "until"],
  [{ publicId: 1, reson: "x", reason: "x" }, "reson"],
])("%j is refused at %s", async (body, path) => {
  expect(await api.post(URL_, body)).toMatchObject({ status: 400, body: { errors: [{ path }] } });
});

test("everything can be stopped on purpose; a public id; the whole name of a site", async () => {
  for (const body of [{ site: "*" }, { publicId: 0 }, { site: "mx1.a.example,mx2.a.example" }])
    expect((await api.post(URL_, { ...body, reason: "x" })).status).toBe(201);
});

test("scopes: reading is not stopping", async () => {
  const reader = await api.makeToken(["traffic:read", "deliveries:write", "messages:write"]);
  expect((await api.call("POST", URL_, { site: "*", reason: "x" }, { token: reader })).status).toBe(403);
  expect((await api.call("DELETE", `${URL_}/1`, undefined, { token: reader })).status).toBe(403);
  expect((await api.call("GET", URL_, undefined, { token: reader })).status).toBe(200);
  const writer = await api.makeToken(["traffic:write"]);
  expect((await api.call("GET", URL_, undefined, { token: writer })).status).toBe(403);
});

test("a paused delivery says who paused it, when and why, until it goes on", async () => {
  const id = await api.delivery({ recipients: [{ email: "a@example.com" }], start: true });
  expect((await api.get(`/v1/deliveries/${id}`)).body).toMatchObject({ commandedBy: "test", stateReason: "" });
  const paused = await api.post(`/v1/deliveries/${id}/pause`, { reason: "typo in the subject" });
  expect(paused.body).toMatchObject({
    state: "paused",
    stateReason: "typo in the subject",
    commandedBy: "test",
    commandedAt: expect.any(String),
  });
  const resumed = await api.post(`/v1/deliveries/${id}/resume`);
  expect(resumed.body).toMatchObject({ state: "sending", stateReason: "", commandedBy: "test" });
});
