/** One transactional message, and messages read back with what happened to them. */
import { expect, test } from "vitest";
import { openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const api = await openTestApi();
const GOOD = {
  to: "Ann Bee <ann@Example.com>",
  from: "shop@example.com",
  subject: "Your order {{n}}",
  text: "Thanks {{name}}",
  variables: { n: 7 },
};

test("a message is durable, due and announced when it is answered", async () => {
  const heard: string[] = [];
  const listening = await api.db.sql.listen("postilion_work", (text) => heard.push(text));
  const sent = await api.post("/v1/messages", GOOD);
  expect(sent.status).toBe(202);
  const { id, deliveryId } = sent.body as { id: number; deliveryId: number };
  await until(() => heard.includes(String(deliveryId)));
  await listening.unlisten();
  const [part] = await api.db.sql`
    select p.*, d.state, d.deadline > now() as live from part p join delivery d on d.id = p.delivery_id where p.delivery_id = ${deliveryId}`;
  expect(part).toMatchObject({
    first_id: id,
    last_id: id,
    priority: 0,
    domain: "example.com",
    pending: 1,
    owner: "",
    state: "sending",
    live: true,
  });
  expect((await api.get(`/v1/messages/${id}`)).body).toMatchObject({
    id,
    deliveryId,
    address: "ann@example.com",
    status: "pending",
    attempts: 0,
    variables: { toName: "Ann Bee", n: 7 },
    events: [{ type: "accepted" }],
  });
  expect((await api.get(`/v1/deliveries/${deliveryId}`)).body).toMatchObject({
    priority: "transactional",
    counters: { accepted: 1, pending: 1 },
  });
  const [content] = await api.db
    .sql`select c.body from delivery d join content c on c.hash = d.content_hash where d.id = ${deliveryId}`;
  expect(JSON.parse(content!["body"])).toMatchObject({ toName: "{{toName}}", text: "Thanks {{name}}", html: "" });
});

test("an affinity that exists nowhere is refused, with the nearest name and all of them; nothing is made", async () => {
  const [before] = await api.db.sql`select count(*)::int as deliveries from delivery`;
  const answer = await api.post("/v1/messages", { ...GOOD, affinity: "defualt" });
  expect(answer.status).toBe(400);
  expect(answer.headers["content-type"]).toContain("application/problem+json");
  const message = "there is no such affinity; known: default (did you mean default?)";
  expect(answer.body).toMatchObject({ detail: `affinity: ${message}`, errors: [{ path: "affinity", message }] });
  expect(await api.db.sql`select count(*)::int as deliveries from delivery`).toEqual([before]);
});

test("the same content is kept once", async () => {
  const before = await api.db.sql`select hash from content`;
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      api.post("/v1/messages", {
        ...GOOD,
        subject: "Shared",
        to: `Name {{x}} ${i} <u${i}@example.com>`,
        variables: { n: i },
      }),
    ),
  );
  const after = await api.db.sql`select hash from content`;
  expect(after.length - before.length).toBe(1);
});

test("the same key and request: the same message, once", async () => {
  const send = () => api.call("POST", "/v1/messages", GOOD, { headers: { "idempotency-key": "order-7" } });
  const first = await send();
  expect((await send()).text).toBe(first.text);
  const [row] = await api.db.sql`select count(*)::int as n from part where delivery_id = ${first.body["deliveryId"]}`;
  expect(row).toEqual({ n: 1 });
});

test("a suppressed address is told at once", async () => {
  await api.call("PUT", "/v1/suppressions/stop@example.com", { reason: "complained" });
  const sent = await api.post("/v1/messages", { ...GOOD, to: "STOP@example.com" });
  expect(sent).toMatchObject({ status: 202, body: { status: "excluded", reason: "suppressed: complained" } });
  const { body } = await api.get(`/v1/messages/${sent.body["id"]}`);
  expect(body["events"]).toMatchObject([{ type: "accepted" }, { type: "excluded", reason: "suppressed: complained" }]);
});

test("what is wrong is refused", async () => {
  for (const [more, path] of [
    [{ to: "ann" }, "to"],
    [{ to: "Ann\r\nBcc: x@example.com <ann@example.com>" }, "to"],
    [{ to: ["a@example.com", "b@example.com"] }, "to"],
    [{ to: undefined }, "to"],
    [{ text: undefined }, "html"],
    [{ variables: [] }, "variables"],
    [{ variables: JSON.parse(`${'{"a":'.repeat(500)}1${"}".repeat(500)}`) }, "variables"],
    [{ notAfter: "2001-01-01T00:00:00Z" }, "notAfter"],
    [{ recipients: [] }, "recipients"],
  ] as const) {
    const answer = await api.post("/v1/messages", { ...GOOD, ...more });
    expect(answer.status, JSON.stringify(more).slice(0, 60)).toBe(400);
    expect(answer.body["errors"][0].path).toBe(path);
  }
  expect((await api.post("/v1/messages", { ...GOOD, variables: { x: "y".repeat(70_000) } })).status).toBe(413);
});

test("pages of messages by status leave nothing out and nothing twice", async () => {
  const id = await api.delivery();
  await api.upload(id, Array.from({ length: 1203 }, (_, i) => `{"email":"u${i}@d${i % 3}.example"}`).join("\n"));
  await api.db.sql`update message set status = 3, reason = 'bad-mailbox' where delivery_id = ${id} and id % 10 = 0`;
  await api.db.sql`
    update part p set failed = c.failed, pending = pending - c.failed
    from (select p.id, count(*) filter (where m.status = 3)::int as failed from part p join message m on m.id between p.first_id and p.last_id
          where p.delivery_id = ${id} group by p.id) c where c.id = p.id`;
  const [rows] = await api.db
    .sql`select count(*) filter (where status = 3)::int as failed from message where delivery_id = ${id}`;
  const failed = rows!["failed"] as number;
  expect(failed).toBeGreaterThan(100);
  for (const [status, count] of [
    ["", 1203],
    ["failed", failed],
    ["pending", 1203 - failed],
    ["sent", 0],
  ] as const) {
    const seen: number[] = [];
    let cursor: string | null = "0";
    while (cursor !== null) {
      const { body } = await api.get(
        `/v1/deliveries/${id}/messages?limit=100&cursor=${cursor}${status === "" ? "" : `&status=${status}`}`,
      );
      for (const m of body["messages"] as { id: number; status: string }[]) {
        seen.push(m.id);
        if (status !== "") expect(m.status).toBe(status);
      }
      cursor = body["nextCursor"];
    }
    expect(seen).toHaveLength(count);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  }
  const one = await api.get(`/v1/deliveries/${id}/messages?address=U7@D1.example`);
  expect(one.body["messages"]).toMatchObject([{ address: "u7@d1.example" }]);
  expect((await api.get(`/v1/deliveries/${id}/messages?status=lost`)).status).toBe(400);
  expect((await api.get("/v1/deliveries/999999/messages")).status).toBe(404);
});

test("events are told in order, hostile replies as plain JSON text", async () => {
  const sent = await api.post("/v1/messages", GOOD);
  const id = sent.body["id"] as number;
  const hostile = '550 <script>alert(1)</script>\u2028 "quoted"';
  await api.db
    .sql`insert into event (message_id, type, attempt, code, stage, reply, transcript) values (${id}, 3, 1, 451, 'rcpt', ${hostile}, ${"> RCPT\n< 451"})`;
  await api.db
    .sql`insert into event (message_id, type, attempt, mx, latency_ms) values (${id}, 2, 2, 'mx.example.com', 17)`;
  const { body } = await api.get(`/v1/messages/${id}`);
  expect(body["events"]).toMatchObject([
    { type: "accepted" },
    { type: "deferred", attempt: 1, code: 451, stage: "rcpt", reply: hostile, transcript: ["> RCPT", "< 451"] },
    { type: "sent", attempt: 2, mx: "mx.example.com", latencyMs: 17 },
  ]);
  expect(body["events"][2]).not.toHaveProperty("reply");
});

test("held messages are retried or taken as sent, with their counters and events", async () => {
  for (const [action, status] of [
    ["retry", "pending"],
    ["assume-sent", "sent"],
  ] as const) {
    const id = await api.delivery({
      recipients: [{ email: "a@example.com" }, { email: "b@example.com" }, { email: "c@example.com" }],
      start: true,
    });
    await api.db
      .sql`update message set status = 7, reason = 'in-doubt' where delivery_id = ${id} and address <> 'c@example.com'`;
    await api.db.sql`update part set in_doubt = 2, pending = 1, due_at = null where delivery_id = ${id}`;
    await api.db.sql`update delivery set state = 'finished', finished_at = now() where id = ${id}`;
    expect((await api.get(`/v1/deliveries/${id}`)).body["counters"]).toMatchObject({ accepted: 3, inDoubt: 2 });
    expect((await api.post(`/v1/deliveries/${id}/in-doubt`, { action })).body).toEqual({ resolved: 2 });
    expect((await api.post(`/v1/deliveries/${id}/in-doubt`, { action })).body).toEqual({ resolved: 0 });
    const { body } = await api.get(`/v1/deliveries/${id}`);
    expect(body["state"]).toBe(action === "retry" ? "sending" : "finished");
    expect(body["counters"]).toMatchObject({
      accepted: 3,
      inDoubt: 0,
      pending: action === "retry" ? 3 : 1,
      sent: action === "retry" ? 0 : 2,
    });
    const listed = await api.get(`/v1/deliveries/${id}/messages?status=${status}`);
    const first = listed.body["messages"][0] as { id: number };
    expect((await api.get(`/v1/messages/${first.id}`)).body["events"][1]).toMatchObject({
      type: "resolved",
      reason: action,
    });
    const [part] = await api.db.sql`select due_at is null as done from part where delivery_id = ${id}`;
    expect(part).toEqual({ done: action === "assume-sent" });
  }
  expect((await api.post("/v1/deliveries/999999/in-doubt", { action: "retry" })).status).toBe(404);
  expect((await api.post("/v1/deliveries/1/in-doubt", { action: "drop" })).status).toBe(400);
});
