/** Deliveries over the API: what is refused when they are made, their states, exact counters, and the answer to the same key twice. */
import { expect, test } from "vitest";
import { CONTENT, openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const api = await openTestApi({
  mta: { affinities: [{ name: "news" }, { name: "alerts" }] },
  tracking: { url: "https://t.example.com" },
});
const GOOD = { content: CONTENT, from: "News <news@example.com>" };

test("a delivery is made with every default and read back", async () => {
  const made = await api.post("/v1/deliveries", {
    ...GOOD,
    name: "May",
    validity: "P2DT1H",
    retrySchedule: [60, 120],
    notBefore: "2030-01-01T00:00:00+02:00",
  });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    name: "May",
    state: "draft",
    from: "news@example.com",
    affinity: "news",
    priority: "normal",
    inDoubt: "retry",
    validity: 176_400,
    retrySchedule: [60, 120],
    notBefore: "2029-12-31T22:00:00.000Z",
    counters: {
      accepted: 0,
      pending: 0,
      claimed: 0,
      deferred: 0,
      sent: 0,
      failed: 0,
      bounced: 0,
      excluded: 0,
      cancelled: 0,
      inDoubt: 0,
    },
    rate: 0,
    eta: null,
  });
  expect((await api.get(`/v1/deliveries/${made.body["id"]}`)).body).toEqual(made.body);
  const [row] = await api.db
    .sql`select c.body from delivery d join content c on c.hash = d.content_hash where d.id = ${made.body["id"]}`;
  expect(JSON.parse(row!["body"])).toMatchObject({
    subject: "Hello {{first}}",
    textFromHtml: false,
    from: { address: "news@example.com", name: "News" },
    returnPathDomain: "bounces.example.com",
    listUnsubscribe: null,
  });
});

test("what is wrong is refused with its place, all of it at once", async () => {
  const cases: [object, string, RegExp][] = [
    [{ ...GOOD, form: "x" }, "form", /unknown field; did you mean from\?/],
    [{ ...GOOD, content: { ...CONTENT, sbject: "x" } }, "content.sbject", /did you mean subject\?/],
    [
      { ...GOOD, content: { ...CONTENT, attachments: [{ filename: "a", contenttype: "b", data: "" }] } },
      "content.attachments.0.contenttype",
      /did you mean contentType/,
    ],
    [{ ...GOOD, from: "nobody" }, "from", /no @/],
    [{ ...GOOD, from: "A\r\nBcc: <x@example.com>" }, "from", /control character/],
    [{ ...GOOD, from: { address: "a@example.com\r\nBcc: b@example.com" } }, "from", /./],
    [{ ...GOOD, replyTo: "x y@example.com" }, "replyTo", /./],
    [{ ...GOOD, returnPathDomain: "bad_domain\r\n" }, "returnPathDomain", /./],
    [{ ...GOOD, affinity: "alert" }, "affinity", /known: news, alerts \(did you mean alerts\?\)/],
    [{ ...GOOD, content: { subject: "x" } }, "content.html", /html or text/],
    [{ ...GOOD, notBefore: "tomorrow" }, "notBefore", /RFC 3339/],
    [{ ...GOOD, notAfter: "2020-01-01T00:00:00Z" }, "notAfter", /has passed/],
    [{ ...GOOD, validity: "P1Y" }, "validity", /ISO 8601/],
    [{ ...GOOD, priority: "urgent" }, "priority", /./],
    [{ ...GOOD, weight: 1000 }, "weight", /./],
    [{ ...GOOD, retrySchedule: [] }, "retrySchedule", /./],
    [{ ...GOOD, start: true }, "start", /without recipients/],
    [{ ...GOOD, recipients: [{ email: "a@example.com" }, { email: "b" }] }, "recipients.1", /no @/],
    [
      { ...GOOD, content: { ...CONTENT, globals: JSON.parse(`${'{"a":'.repeat(1000)}1${"}".repeat(1000)}`) } },
      "content.globals",
      /nested deeper/,
    ],
  ];
  for (const [body, path, message] of cases) {
    const answer = await api.post("/v1/deliveries", body);
    expect(answer.status, path).toBe(400);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.body["errors"], path).toContainEqual({ path, message: expect.stringMatching(message) });
  }
  const both = await api.post("/v1/deliveries", { ...GOOD, from: "nobody", affinity: "x" });
  expect(both.body["errors"]).toHaveLength(2);
  const many = await api.post("/v1/deliveries", {
    ...GOOD,
    ...Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`x${i}`, i])),
  });
  expect(many.status).toBe(400);
  expect(many.text.length).toBeLessThan(5_000);
});

test("bodies that are not JSON, not UTF-8 or too long", async () => {
  const send = (body: string | Buffer) => api.call("POST", "/v1/deliveries", body);
  expect(await send("{")).toMatchObject({ status: 400, body: { title: "Bad Request" } });
  expect((await send(Buffer.from([0x22, 0xff, 0x22]))).body["detail"]).toContain("UTF-8");
  expect((await send(`${"[".repeat(200_000)}${"]".repeat(200_000)}`)).status).toBe(400);
  expect((await send(Buffer.alloc(33 * 1024 * 1024, " "))).status).toBe(413);
  const big = await api.post("/v1/deliveries", {
    ...GOOD,
    content: {
      ...CONTENT,
      attachments: [{ filename: "a", contentType: "text/plain", data: "A".repeat(21 * 1024 * 1024) }],
    },
  });
  expect(big).toMatchObject({ status: 413, body: { detail: expect.stringContaining("contentLimitBytes") } });
});

test("states: start needs recipients, commands repeat without harm, the impossible is a 409 with the reason", async () => {
  const id = await api.delivery();
  const at = (command: string) => api.post(`/v1/deliveries/${id}/${command}`);
  expect(await at("start")).toMatchObject({
    status: 409,
    body: { detail: "start is not possible: it has no recipients" },
  });
  expect((await at("pause")).status).toBe(409);
  await api.upload(id, '{"email":"a@example.com"}\n{"email":"b@example.com"}');
  expect((await at("start")).body).toMatchObject({ state: "sending", counters: { accepted: 2, pending: 2 } });
  const again = await at("start");
  expect(again).toMatchObject({ status: 200, body: { state: "sending" } });
  expect(Date.parse(again.body["deadline"]) - Date.parse(again.body["startedAt"])).toBe(5 * 24 * 3600 * 1000);
  expect((await at("pause")).body).toMatchObject({ state: "paused" });
  expect(await at("start")).toMatchObject({ status: 409, body: { detail: expect.stringContaining("resume") } });
  expect((await at("resume")).body).toMatchObject({ state: "sending" });
  const stopped = await api.post(`/v1/deliveries/${id}/stop`, { reason: "wrong subject" });
  expect(stopped.body).toMatchObject({
    state: "stopped",
    stateReason: "wrong subject",
    counters: { accepted: 2, pending: 0, cancelled: 2 },
  });
  expect((await at("stop")).status).toBe(200);
  expect((await at("resume")).status).toBe(409);
  expect((await api.post("/v1/deliveries/424242/start")).status).toBe(404);
  // No row was rewritten for it.
  expect(await api.db.sql`select distinct status from message where delivery_id = ${id}`).toMatchObject([
    { status: 0 },
  ]);
  const { body } = await api.get(`/v1/deliveries/${id}/messages?status=cancelled`);
  expect(body["messages"]).toHaveLength(2);
  expect((await api.get(`/v1/deliveries/${id}/messages?status=pending`)).body["messages"]).toHaveLength(0);
});

test("an affinity that the settings have lost: start and resume say so, stop still works", async () => {
  const draft = await api.delivery({ recipients: [{ email: "a@example.com" }] });
  const paused = await api.delivery({ recipients: [{ email: "a@example.com" }], start: true });
  await api.post(`/v1/deliveries/${paused}/pause`);
  await api.db.sql`update delivery set affinity = 'newz' where id in ${api.db.sql([draft, paused])}`;
  const detail = "is not possible: affinity newz: there is no such affinity; known: news, alerts (did you mean news?)";
  expect(await api.post(`/v1/deliveries/${draft}/start`)).toMatchObject({
    status: 409,
    body: { detail: `start ${detail}` },
  });
  expect(await api.post(`/v1/deliveries/${paused}/resume`)).toMatchObject({
    status: 409,
    body: { detail: `resume ${detail}` },
  });
  expect((await api.get(`/v1/deliveries/${paused}`)).body["state"]).toBe("paused");
  expect((await api.post(`/v1/deliveries/${paused}/stop`)).status).toBe(200);
});

test("a start before its time waits in ready", async () => {
  const id = await api.delivery({
    notBefore: "2100-01-01T00:00:00Z",
    recipients: [{ email: "a@example.com" }],
    start: true,
  });
  expect((await api.get(`/v1/deliveries/${id}`)).body).toMatchObject({
    state: "ready",
    deadline: "2100-01-06T00:00:00.000Z",
  });
});

test("commands and uploads reach those who listen", async () => {
  const heard: string[] = [];
  const listening = await Promise.all(
    ["postilion_work", "postilion_delivery"].map((channel) =>
      api.db.sql.listen(channel, (text) => heard.push(`${channel} ${text}`)),
    ),
  );
  const id = await api.delivery({ recipients: [{ email: "a@example.com" }] });
  await api.post(`/v1/deliveries/${id}/start`);
  await until(() => heard.length === 2);
  expect(heard.toSorted()).toEqual([`postilion_delivery ${id} sending`, `postilion_work ${id}`]);
  await api.upload(id, '{"email":"b@example.com"}');
  await until(() => heard.length >= 3);
  expect(heard[2]).toBe(`postilion_work ${id}`);
  await Promise.all(listening.map((one) => one.unlisten()));
});

test("inline recipients: durable with the delivery, the same address once", async () => {
  const made = await api.post("/v1/deliveries", {
    ...GOOD,
    recipients: [
      { email: "a@example.com", first: "Ann" },
      { email: "a@example.com" },
      { address: "A@example.com" },
      { email: "b@example.com" },
    ],
    start: true,
  });
  expect(made).toMatchObject({ status: 201, body: { state: "sending", counters: { accepted: 2, pending: 2 } } });
});

test("Idempotency-Key: the same answer, also to ten at once; another request is refused", async () => {
  const body = { ...GOOD, name: "once", recipients: [{ email: "a@example.com" }] };
  const send = (key: string, more: object = {}) =>
    api.call("POST", "/v1/deliveries", { ...body, ...more }, { headers: { "idempotency-key": key } });
  const first = await send("k1");
  expect(first.status).toBe(201);
  const again = await send("k1");
  expect(again.text).toBe(first.text);
  expect(again.headers["idempotency-replayed"]).toBe("true");
  expect((await send("k1", { name: "other" })).status).toBe(422);
  const many = await Promise.all(Array.from({ length: 10 }, () => send("k2")));
  expect(new Set(many.map((a) => a.status)).size).toBeLessThanOrEqual(2);
  expect(new Set(many.filter((a) => a.status === 201).map((a) => a.text)).size).toBe(1);
  expect(many.every((a) => a.status === 201 || (a.status === 409 && a.headers["retry-after"] === "1"))).toBe(true);
  const [row] = await api.db.sql`select count(*)::int as n from delivery where name = 'once'`;
  expect(row).toEqual({ n: 2 });
  // Another token has keys of its own, and a request that failed leaves its key free.
  const other = await api.makeToken(["deliveries:write"]);
  const theirs = await api.call("POST", "/v1/deliveries", body, { token: other, headers: { "idempotency-key": "k1" } });
  expect(theirs.body["id"]).not.toBe(first.body["id"]);
  expect((await send("k3", { from: "x" })).status).toBe(400);
  expect((await send("k3")).status).toBe(201);
  expect((await send("bad key\u0007")).status).toBe(400);
});

test("lists: newest first, by pages, by state", async () => {
  const before = await api.delivery();
  const made = [await api.delivery(), await api.delivery(), await api.delivery()];
  const one = await api.get("/v1/deliveries?limit=2");
  expect(one.body["deliveries"].map((d: { id: number }) => d.id)).toEqual([made[2], made[1]]);
  const two = await api.get(`/v1/deliveries?limit=2&cursor=${one.body["nextCursor"]}`);
  expect(two.body["deliveries"].map((d: { id: number }) => d.id)).toEqual([made[0], before]);
  await api.post(`/v1/deliveries/${before}/stop`);
  const stopped = await api.get("/v1/deliveries?state=stopped");
  expect(stopped.body["deliveries"][0]).toMatchObject({ id: before, state: "stopped" });
  for (const query of ["state=sleeping", "limit=0", "limit=5000", "cursor=x", "cursor=1%27", "sate=draft"]) {
    expect((await api.get(`/v1/deliveries?${query}`)).status, query).toBe(400);
  }
});

test("counters, rate and what is left to do are those of the ledger", async () => {
  const id = await api.delivery({
    recipients: ["a", "b", "c", "d"].map((name) => ({ email: `${name}@example.com` })),
    start: true,
  });
  await api.db
    .sql`update part set pending = 1, deferred = 1, sent = 1, failed = 1, owner = 'm/0', lease_until = now() + interval '1 min' where delivery_id = ${id}`;
  await api.db.sql`update delivery set started_at = now() - interval '2 min' where id = ${id}`;
  await api.db.sql`insert into progress values (${id}, (extract(epoch from now()) / 10)::bigint - 1, 'm/0', 30, 1)`;
  const { body } = await api.get(`/v1/deliveries/${id}`);
  expect(body).toMatchObject({
    counters: { accepted: 4, pending: 1, deferred: 1, claimed: 2, sent: 1, failed: 1 },
    rate: 0.5,
  });
  expect(Date.parse(body["eta"]) - Date.now()).toBeGreaterThan(2_000);
  await api.db.sql`update part set lease_until = now() - interval '1 s' where delivery_id = ${id}`;
  expect((await api.get(`/v1/deliveries/${id}`)).body["counters"]).toMatchObject({ claimed: 0 });
});
