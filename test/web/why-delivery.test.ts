/** Why over the API for a delivery: its largest domains one by one, when it will be through and what that is based on. */
import { beforeEach, expect, test } from "vitest";
import { openTestApi, type Answer } from "../support/api.ts";
import { handClock } from "../support/clock.ts";
import { type FakeStat, laneReport, openFakeStat, pathReport, ruleOf } from "../support/stat-answers.ts";

let stat: FakeStat = await openFakeStat();
const clock = handClock(Date.now());
const api = await openTestApi(
  { mta: { affinities: [{ name: "default", ips: [{ publicId: 1 }, { publicId: 2 }] }] } },
  {
    clock,
    askStat: (what, args) => stat.ask(what, args),
    exchangers: async (domain) => ({ kind: "names", names: [`mx.${domain}`] }),
  },
  { debug() {}, info() {}, warn() {}, error: (_, text) => expect.unreachable(text), child: () => expect.unreachable() },
);
const { sql } = api.db;

beforeEach(async () => {
  stat = await openFakeStat();
  await clock.advance(10_000);
  await sql`insert into mta (owner, identity, seen_at) values ('m1/0', 'x', now()) on conflict (owner) do update set seen_at = now()`;
});

const MX = "mx.a.example";
const LANE = { site: MX, mx: MX };
const start = async (domains: Record<string, number>): Promise<number> => {
  const recipients = Object.entries(domains).flatMap(([domain, count]) =>
    Array.from({ length: count }, (_, i) => ({ email: `u${i}@${domain}` })),
  );
  const id = await api.delivery({ recipients, start: true });
  // As an upload lays them out when there are enough: a part for each domain.
  await sql`delete from part where delivery_id = ${id}`;
  for (const [domain, count] of Object.entries(domains))
    await sql`insert into part (delivery_id, first_id, last_id, domain, due_at, pending)
      select ${id}, min(id), max(id), ${domain}, now(), ${count} from message where delivery_id = ${id} and address like ${`%@${domain}`}`;
  return id;
};
const whyD = (id: number): Promise<Answer> => api.get(`/v1/deliveries/${id}/why`);

test("its largest domains, what holds each, and an estimate by limits", async () => {
  const id = await start({ "a.example": 60, "b.example": 40 });
  stat.rules = [ruleOf("a", "mx.a.example", { messagesPerHour: 60 }), ...stat.rules];
  stat.observe([pathReport({ site: MX, mx: MX, publicId: 1, attempts: 100, accepted: 100 })]);
  stat.lanes("m1/0", [laneReport({ ...LANE, publicId: 1 })]);
  stat.counters = [1, 2].map((publicId) => ({
    counter: `a|${publicId}|`,
    rule: "a",
    publicId,
    ip: "",
    connections: 1,
    connectionLimit: 1,
    spent: 5,
    periodLimit: 5,
    periodEnd: Date.now() + 60_000,
    waiting: 1,
    members: [],
  }));
  await sql`insert into progress (delivery_id, bucket, owner, settled) values (${id}, (extract(epoch from now()) / 10)::bigint, 'm1/0', 600)`;
  const { status, body } = await whyD(id);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    id,
    deliveryState: "sending",
    state: "moving",
    hold: { kind: "quota", by: "rule a" },
    domains: [
      { domain: "a.example", open: 60, state: "waiting", hold: { kind: "quota" } },
      { domain: "b.example", open: 40, hold: { kind: "unclaimed" } },
    ],
    others: 0,
    etaBasis: { kind: "limits", text: "60 for mx.a.example at 120 an hour (rule a), if nothing else is sent there" },
  });
  // Two IPs at 60 an hour each: 30 minutes.
  expect(Date.parse(body["eta"]) - clock.now()).toBe(30 * 60_000);
  expect(body["sentence"]).toMatch(
    /^60 of 100 open messages are for a\.example: 5 of 5 messages of this period are used, set by rule a/,
  );
  const own = await api.get(`/v1/deliveries/${id}`);
  expect(own.body).toMatchObject({ eta: expect.any(String), etaBasis: { kind: "limits" } });
});

test("a small delivery, whose parts mix domains: what most of it waits for is told all the same", async () => {
  const recipients = ["u1@a.example", "u2@a.example", "u3@a.example", "u4@b.example"].map((email) => ({ email }));
  const id = await api.delivery({ recipients, start: true });
  expect(await sql`select domain from part where delivery_id = ${id}`).toEqual([{ domain: "" }]);
  await sql`update part set owner = 'm1/0', lease_until = now() + interval '1 hour' where delivery_id = ${id}`;
  stat.lanes("m1/0", [laneReport({ ...LANE, publicId: 1 })]);
  stat.measures = [
    { kind: "warm-up", site: MX, publicId: null, stage: "stop", by: "warm-up", reason: "day 1", since: 1, until: 0 },
  ];
  expect((await whyD(id)).body).toMatchObject({
    state: "waiting",
    sentence: expect.stringMatching(/^3 of 4 open messages are for a\.example: Stopped: day 1/),
    domains: [
      { domain: "a.example", open: 3, claimed: 3, hold: { kind: "warm-up" } },
      { domain: "b.example", open: 1, claimed: 1 },
    ],
    others: 0,
  });
  // Tried, and one of them twice: it waits for the first of their next tries.
  await sql`update part set owner = '', pending = 0, deferred = 4, due_at = '2098-01-01T00:00:00Z' where delivery_id = ${id}`;
  await sql`update message set status = 1, due_at = '2099-01-01T00:00:00Z' where delivery_id = ${id}`;
  expect((await whyD(id)).body).toMatchObject({
    hold: { kind: "schedule", until: "2099-01-01T00:00:00.000Z" },
    domains: [{ domain: "a.example", open: 3, claimed: 0 }, { domain: "b.example" }],
  });
});

test("all of it was tried: it waits for the next try", async () => {
  const id = await start({ "a.example": 10 });
  await sql`update part set pending = 0, deferred = 10, due_at = '2099-01-01T00:00:00Z' where delivery_id = ${id}`;
  expect((await whyD(id)).body).toMatchObject({
    state: "waiting",
    hold: { kind: "schedule", by: "the retry schedule", until: "2099-01-01T00:00:00.000Z" },
  });
  await sql`update part set pending = 1, deferred = 9 where delivery_id = ${id}`;
  expect((await whyD(id)).body["hold"]["by"]).toBe("the mta that had it");
});

test("a site that a person stopped: no estimate, and why", async () => {
  const id = await start({ "a.example": 10 });
  stat.governed = () => ({
    hold: { kind: "suspension", by: "operator alice", text: "suspended: blocked", since: 1, until: 0 },
  });
  stat.measures = [
    {
      kind: "suspension",
      site: "",
      publicId: null,
      stage: "stop",
      by: "operator alice",
      reason: "blocked",
      since: 1,
      until: 0,
    },
  ];
  expect((await whyD(id)).body).toMatchObject({
    state: "waiting",
    hold: { kind: "suspension" },
    eta: null,
    etaBasis: { kind: "hold", text: "10 for mx.a.example wait without an end: suspended: blocked (operator alice)" },
  });
});

test.each<[string, (id: number) => Promise<unknown>, object]>([
  [
    "paused",
    (id) => api.post(`/v1/deliveries/${id}/pause`, { reason: "typo" }),
    { state: "waiting", hold: { kind: "paused", by: "test" }, eta: null },
  ],
  [
    "stopped",
    (id) => api.post(`/v1/deliveries/${id}/stop`, { reason: "wrong\u001b list" }),
    {
      state: "final",
      hold: null,
      sentence: expect.stringMatching(/^Stopped by test at .* \(wrong list\): 0 sent, 0 failed, 5 cancelled\.$/),
    },
  ],
  [
    "finished",
    (id) => sql`update delivery set state = 'finished', finished_at = now() where id = ${id}`,
    { state: "final", sentence: expect.stringMatching(/^Finished at/) },
  ],
  ["without any mta", () => sql`delete from mta`, { state: "waiting", hold: { kind: "no-mta" } }],
])("%s", async (_, make, expected) => {
  const id = await start({ "a.example": 5 });
  await make(id);
  expect((await whyD(id)).body).toMatchObject(expected);
});

test("a draft, and none", async () => {
  expect((await whyD(await api.delivery())).body).toMatchObject({ state: "waiting", hold: { kind: "draft" } });
  expect((await whyD(999_999)).status).toBe(404);
});

test("no statistics server: 503 with what is known, and its own page goes on by rate", async () => {
  const id = await start({ "a.example": 600 });
  await sql`insert into progress (delivery_id, bucket, owner, settled) values (${id}, (extract(epoch from now()) / 10)::bigint, 'm1/0', 600)`;
  stat.away = new Error("away");
  const own = await api.get(`/v1/deliveries/${id}`);
  expect(own).toMatchObject({
    status: 200,
    body: {
      eta: expect.any(String),
      etaBasis: { kind: "rate", text: expect.stringContaining("limits are not known: ") },
    },
  });
  await sql`delete from progress where delivery_id = ${id}`;
  await clock.advance(2_000);
  expect(await whyD(id)).toMatchObject({
    status: 503,
    body: { known: { id, domains: [{ domain: "a.example", state: "unknown" }] } },
  });
});
