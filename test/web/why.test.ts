/** Why over the API: each thing a message can wait for, the end of those that wait for nothing, and nobody there to ask. */
import { beforeEach, describe, expect, test } from "vitest";
import { addSuspension } from "../../src/db/traffic-holds.ts";
import { openTestApi, type Answer } from "../support/api.ts";
import { handClock } from "../support/clock.ts";
import { type FakeStat, laneReport, openFakeStat, pathReport } from "../support/stat-answers.ts";
import type { Exchangers } from "../../src/web/why/exchangers.ts";

let stat: FakeStat = await openFakeStat();
let exchangers: (domain: string) => Exchangers = (domain) => ({ kind: "names", names: [`mx.${domain}`] });
const clock = handClock(Date.now());
const api = await openTestApi(
  { mta: { affinities: [{ name: "default", ips: [{ publicId: 1 }, { publicId: 2 }] }] } },
  {
    clock,
    askStat: (what, args) => stat.ask(what, args),
    exchangers: async (domain) => exchangers(domain),
  },
  { debug() {}, info() {}, warn() {}, error: (_, text) => expect.unreachable(text), child: () => expect.unreachable() },
);
const { sql } = api.db;

beforeEach(async () => {
  stat = await openFakeStat();
  exchangers = (domain) => ({ kind: "names", names: [`mx.${domain}`] });
  await clock.advance(10_000);
  await sql`delete from suspension`;
  await sql`delete from measure`;
  await sql`insert into mta (owner, identity, seen_at) values ('m1/0', 'x', now()) on conflict (owner) do update set seen_at = now()`;
});

const MX = "mx.a.example";
const LANE = { site: MX, mx: MX };
const send = async (more: object = {}): Promise<{ id: number; deliveryId: number }> => {
  const sent = await api.post("/v1/messages", {
    to: "ann@a.example",
    from: "shop@example.com",
    subject: "s",
    text: "t",
    ...more,
  });
  expect(sent.status).toBe(202);
  return sent.body as { id: number; deliveryId: number };
};
const claim = (deliveryId: number): Promise<unknown> =>
  sql`update part set owner = 'm1/0', lease_until = now() + interval '1 minute' where delivery_id = ${deliveryId}`;
const why = (id: number): Promise<Answer> => api.get(`/v1/messages/${id}/why`);

async function settle(
  id: number,
  status: number,
  event: number,
  parts: { reply: string; code: number; due?: string },
): Promise<void> {
  const volume = Math.floor(id / 2 ** 32);
  await sql`update message set status = ${status}, attempts = 1, reason = 'user-unknown', due_at = ${parts.due ?? null}::timestamptz where id = ${id}`;
  await sql`insert into ${sql(`event_${volume}`)} (message_id, type, attempt, code, reply, mx, stage) values (${id}, ${event}, 1, ${parts.code}, ${parts.reply}, ${MX}, 'dot')`;
}

describe("a message", () => {
  test("claimed, and nothing holds it", async () => {
    const { id, deliveryId } = await send();
    await claim(deliveryId);
    stat.observe([pathReport({ site: MX, mx: MX, publicId: 1, attempts: 5, accepted: 5 })]);
    expect(await why(id)).toMatchObject({
      status: 200,
      body: {
        id,
        deliveryId,
        status: "pending",
        state: "moving",
        hold: null,
        site: { exchangers: [MX], hour: { attempts: 5 } },
      },
    });
    expect(stat.asked).toEqual([{ what: "site", args: { exchangers: [MX], publicIds: [1, 2] } }]);
  });

  test("nobody has claimed it yet", async () => {
    const { id } = await send();
    expect((await why(id)).body).toMatchObject({
      state: "waiting",
      hold: { kind: "unclaimed", since: expect.any(String) },
    });
  });

  test("no mta is running", async () => {
    const { id } = await send();
    await sql`update mta set seen_at = now() - interval '5 minutes'`;
    expect((await why(id)).body).toMatchObject({ state: "waiting", hold: { kind: "no-mta" } });
    expect(stat.asked).toEqual([]);
  });

  test.each<[string, () => void, object]>([
    [
      "a rule's messages",
      () =>
        (stat.counters = [
          {
            counter: "*|1|",
            rule: "*",
            publicId: null,
            ip: "",
            connections: 0,
            connectionLimit: 9,
            spent: 100,
            periodLimit: 100,
            periodEnd: 1_800_000_000_000,
            waiting: 1,
            members: [],
          },
        ]),
      { kind: "quota", by: "rule *", until: "2027-01-15T08:00:00.000Z" },
    ],
    [
      "a connection limit",
      () =>
        (stat.counters = [
          {
            counter: "*||",
            rule: "*",
            publicId: null,
            ip: "",
            connections: 9,
            connectionLimit: 9,
            spent: 0,
            periodLimit: 0,
            periodEnd: 0,
            waiting: 3,
            members: [],
          },
        ]),
      { kind: "connections", until: null },
    ],
    [
      "back-off",
      () =>
        (stat.measures = [
          {
            kind: "back-off",
            site: MX,
            publicId: null,
            stage: "stop",
            by: "reply rule slow",
            reason: "421",
            since: 1_700_000_000_000,
            until: 1_800_000_000_000,
          },
        ]),
      { kind: "back-off", by: "reply rule slow", since: "2023-11-14T22:13:20.000Z" },
    ],
    [
      "a suspension",
      () =>
        (stat.measures = [
          {
            kind: "suspension",
            site: "mx.*",
            publicId: null,
            stage: "stop",
            by: "operator alice",
            reason: "blocked",
            since: 1,
            until: 0,
          },
        ]),
      { kind: "suspension", by: "operator alice", text: "suspended: blocked" },
    ],
    [
      "warm-up of all its IPs",
      () =>
        (stat.measures = [1, 2].map((publicId) => ({
          kind: "warm-up",
          site: "",
          publicId,
          stage: "stop",
          by: "warm-up plan",
          reason: "day 3",
          since: 1,
          until: 1_800_000_000_000,
        }))),
      { kind: "warm-up", publicId: 1 },
    ],
    [
      "a TLS policy",
      () =>
        stat.lanes(
          "m1/0",
          [1, 2].map((publicId) =>
            laneReport({
              ...LANE,
              publicId,
              hold: {
                kind: "tls-policy",
                by: "MTA-STS of a.example",
                text: "the certificate is not valid",
                since: 5,
                until: 0,
              },
            }),
          ),
        ),
      { kind: "tls-policy", by: "MTA-STS of a.example" },
    ],
    [
      "a site that rests",
      () =>
        stat.lanes(
          "m1/0",
          [1, 2].map((publicId) =>
            laneReport({
              ...LANE,
              site: `${MX}#dane`,
              publicId,
              hold: { kind: "unreachable", by: "m1", text: "refused", since: 5, until: 6 },
            }),
          ),
        ),
      { kind: "unreachable" },
    ],
  ])("waits for %s", async (_, make, hold) => {
    const { id, deliveryId } = await send();
    await claim(deliveryId);
    stat.lanes("m2/0", [laneReport({ ...LANE, publicId: 1 })]);
    make();
    const answer = await why(id);
    expect(answer).toMatchObject({ status: 200, body: { state: "waiting", hold } });
    expect(answer.body["sentence"]).toMatch(/\.$/);
  });

  test("a limit that lets nothing go holds it though its machine gave it back, and no lane tells of it", async () => {
    const { id, deliveryId } = await send();
    await sql`update part set due_at = now() + interval '1 hour' where delivery_id = ${deliveryId}`;
    stat.observe([pathReport({ site: MX, mx: MX, publicId: 1, attempts: 5, accepted: 5 })]);
    const until = Date.now() + 7_200_000;
    const portion = { kind: "warm-up", by: "warm-up 1 *", text: "this hour's 9 of 50", since: 5, until } as const;
    stat.governed = (publicId) => ({ hold: publicId === 1 ? portion : { ...portion, until: until + 1 } });
    expect((await why(id)).body).toMatchObject({
      state: "waiting",
      hold: { kind: "warm-up", by: "warm-up 1 *", until: new Date(until + 1).toISOString() },
    });
    // The other IP may send.
    await clock.advance(10_000);
    stat.governed = (publicId) => ({ hold: publicId === 1 ? portion : null });
    expect((await why(id)).body["hold"]["by"]).toBe("the mta that had it");
  });
  test("what holds only one of its IPs does not hold it", async () => {
    const { id, deliveryId } = await send();
    await claim(deliveryId);
    stat.measures = [
      { kind: "suspension", site: "", publicId: 2, stage: "stop", by: "alice", reason: "x", since: 1, until: 0 },
    ];
    expect((await why(id)).body).toMatchObject({ state: "moving", site: { measures: [{ publicId: 2 }] } });
  });

  test("the DNS does not say where it goes", async () => {
    const { id } = await send();
    exchangers = () => ({ kind: "none", text: "no answer from the DNS: MX a.example\u001b" });
    expect((await why(id)).body).toMatchObject({
      state: "waiting",
      hold: { kind: "dns", text: "no answer from the DNS: MX a.example" },
    });
    expect(stat.asked).toEqual([]);
  });

  test("its next try, after what was said; notBefore; a paused delivery: no question to anybody", async () => {
    const later = await send();
    await settle(later.id, 1, 3, { reply: "4.2.0 greylisted\u001b[0m", code: 451, due: "2099-01-01T00:00:00Z" });
    const answer = await why(later.id);
    expect(answer.body).toMatchObject({
      status: "deferred",
      hold: { kind: "schedule", until: "2099-01-01T00:00:00.000Z" },
    });
    expect(answer.body["sentence"]).toBe(
      "Waits for its next try at 2099-01-01 00:00:00 UTC after mx.a.example said 451 4.2.0 greylisted [0m; 1 try so far.",
    );
    const scheduled = await send({ notBefore: "2099-01-01T00:00:00Z", notAfter: "2099-01-02T00:00:00Z" });
    expect((await why(scheduled.id)).body).toMatchObject({
      hold: { kind: "schedule", by: "notBefore", until: "2099-01-01T00:00:00.000Z" },
    });
    const paused = await send();
    await api.post(`/v1/deliveries/${paused.deliveryId}/pause`, { reason: "typo" });
    expect((await why(paused.id)).body).toMatchObject({
      hold: { kind: "paused", by: "test", text: "the delivery is paused: typo", since: expect.any(String) },
    });
    expect(stat.asked).toEqual([]);
  });

  test.each<[string, number, number, string, string]>([
    ["sent", 2, 2, "2.0.0 ok", "Sent at"],
    ["failed", 3, 4, "5.1.1 no such user", "Failed at"],
    ["bounced", 4, 8, "5.1.1 unknown", "Sent, and it came back at"],
    ["in-doubt", 7, 5, "", "Whether it was delivered is not known"],
  ])("%s: how it ended", async (status, number, event, reply, begins) => {
    const { id } = await send();
    await settle(id, number, event, { reply, code: 0 });
    const { body } = await why(id);
    expect(body).toMatchObject({ status, state: status === "in-doubt" ? "waiting" : "final" });
    expect(body["sentence"].startsWith(begins)).toBe(true);
    expect(body["sentence"]).toContain(reply);
  });

  test("excluded; cancelled with its delivery", async () => {
    await api.call("PUT", "/v1/suppressions/gone@a.example", { reason: "complained" });
    const excluded = await send({ to: "gone@a.example" });
    expect((await why(excluded.id)).body).toMatchObject({
      state: "final",
      sentence: "Never sent: excluded (suppressed: complained).",
    });
    const stopped = await send();
    await api.post(`/v1/deliveries/${stopped.deliveryId}/stop`, { reason: "wrong list" });
    const { body } = await why(stopped.id);
    expect(body).toMatchObject({ state: "final", status: "cancelled" });
    expect(body["sentence"]).toMatch(/^Cancelled: delivery \d+ was stopped by test at .* UTC \(wrong list\)\.$/);
  });

  test.each([0, 1, 4_294_967_296 * 7 + 5, 9_007_199_254_740_991])("%d is no message: 404", async (id) => {
    expect((await why(id)).status).toBe(404);
  });

  test("no statistics server: 503 with what is known; a suspension in the database is an answer", async () => {
    const { id, deliveryId } = await send();
    await claim(deliveryId);
    stat.away = new Error("cut\r\noff");
    const unknown = await why(id);
    expect(unknown).toMatchObject({
      status: 503,
      body: {
        detail: expect.stringContaining("no statistics server answers"),
        known: { id, status: "pending", state: "unknown", sentence: expect.stringContaining("m1/0 has it") },
      },
    });
    await clock.advance(2_000);
    await addSuspension(sql, { site: "mx.*.example", publicId: null, reason: "blocked", by: "alice", until: null });
    expect(await why(id)).toMatchObject({
      status: 200,
      body: { state: "waiting", hold: { kind: "suspension", by: "operator alice" } },
    });
    await sql`delete from suspension`;
    await sql`insert into measure (kind, site, public_id, by_what, reason, began_at) values ('breaker', ${MX}, null, 'the breaker', '95 % errors', now())`;
    await clock.advance(2_000);
    expect((await why(id)).body).toMatchObject({ hold: { kind: "back-off", by: "the breaker" } });
  });
});

test("scopes: messages and deliveries as for the rest of them", async () => {
  const { id, deliveryId } = await send();
  const none = await api.makeToken(["traffic:read", "traffic:write", "suppressions:read"]);
  expect((await api.call("GET", `/v1/messages/${id}/why`, undefined, { token: none })).status).toBe(403);
  expect((await api.call("GET", `/v1/deliveries/${deliveryId}/why`, undefined, { token: none })).status).toBe(403);
});
