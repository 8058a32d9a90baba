/** What keeps a lane waiting, and what it does meanwhile: no hold is an attempt, and none costs anything. */
import { expect, test } from "vitest";
import type { Held } from "../../src/mta/held.ts";
import { outcome } from "../../src/model/outcome.ts";
import { held, laneBench, part, run } from "../support/lane.ts";

test("nothing is made that may not go, and what was granted and not used goes back", async () => {
  let rendered = 0;
  const b = laneBench({ perHour: 60, render: () => rendered++ });
  const p = part();
  for (let i = 1; i <= 3; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await run(b);
  expect(b.finished).toHaveLength(3);
  expect(b.traffic.spent).toBe(3);
  for (let i = 4; i <= 30; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await run(b);
  // Five a period.
  expect([rendered, b.finished.length, b.traffic.spent]).toEqual([5, 5, 5]);
  expect(b.lane.report()).toMatchObject({ waiting: 25, inFlight: 0 });
});

test("messages wait on the grant they were asked for: a session that is gone gives its own back", async () => {
  const b = laneBench({ connections: 1, perHour: 1200 });
  const p = part();
  for (let i = 1; i <= 10; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  expect(b.traffic.spent).toBeGreaterThan(1);
  b.lane.giveBack(({ id }) => id > 1, 0);
  b.scripts[0]?.end();
  await run(b, 3);
  expect(b.finished.map(({ id }) => id)).toEqual([1]);
  expect(b.traffic.spent).toBe(1);
});

test("messages in hand for longer than a quarter of a second are asked for anew before they are spent", async () => {
  const b = laneBench({ connections: 1, perHour: 60 });
  const p = part();
  for (let i = 1; i <= 20; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  expect(b.traffic.spent).toBeGreaterThan(1);
  // The first message takes long, the period ends: five more may go in the next one, whatever was in hand.
  await b.clock.advance(300_000);
  await run(b, 100);
  expect(b.finished).toHaveLength(6);
});

test("a revoked grant: what is in flight ends, nothing new goes over it, and another connection is asked for", async () => {
  const b = laneBench({ connections: 1 });
  const p = part();
  for (let i = 1; i <= 4; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  expect(b.scripts[0]?.session.inFlight).toBe(1);
  b.traffic.revoke();
  b.scripts[0]?.answer();
  await b.turn();
  expect(b.finished.map(({ id }) => id)).toEqual([1]);
  expect(b.scripts[0]?.session.ended).toBe(true);
  await run(b);
  expect(b.scripts).toHaveLength(2);
  expect(b.finished).toHaveLength(4);
  expect(b.finished.every((f) => f.outcome.kind === "accepted")).toBe(true);
});

test.each(["quota", "connections", "back-off", "warm-up", "suspension", "stat"] as const)(
  "held by %s: no attempt, no answer, no session; back to the database after ten seconds, and on when it ends",
  async (kind) => {
    const b = laneBench();
    b.traffic.holdSite("s", 0, kind);
    const p = part();
    for (let i = 1; i <= 20; i++) b.lane.enqueue(held(i, p));
    b.lane.pump();
    await b.clock.advance(9_000);
    expect(b.lane.report()).toMatchObject({ waiting: 20, hold: { kind } });
    await b.clock.advance(1_500);
    expect([b.given.length, b.finished.length, b.scripts.length]).toEqual([20, 0, 0]);
    expect(b.lane).toMatchObject({ held: 0, shut: true, idle: false });
    // What comes all the same goes back, for longer the longer it is parked.
    await b.clock.advance(60_000);
    b.lane.enqueue(held(21, p));
    expect(b.given.at(-1)).toEqual({ id: 21, notBefore: b.clock.now() + 70_500 });
    // One request stands for all of them; its grant calls them back.
    expect(b.traffic.waiting).toBe(1);
    b.relieved.length = 0;
    b.traffic.holdSite("s", 0, null);
    await b.turn();
    expect(b.relieved.length).toBeGreaterThan(0);
    expect(b.lane.shut).toBe(false);
    expect(b.scripts).toHaveLength(0);
    for (let i = 1; i <= 20; i++) b.lane.enqueue(held(i, p));
    b.lane.pump();
    await run(b, 60);
    expect(b.finished.filter((f) => f.outcome.kind === "accepted")).toHaveLength(20);
  },
);

test("what finds it full just behind a wait for the quota is called back: that wait says nothing of its pace", async () => {
  const b = laneBench({ connections: 1 });
  const p = part();
  b.traffic.holdSite("s", 0, "stat");
  for (let i = 1; i <= 150; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.clock.advance(5000);
  b.traffic.holdSite("s", 0, null);
  await run(b, 5);
  expect(b.finished.length).toBeGreaterThan(0);
  b.lane.enqueue(held(200, p));
  expect(b.given.at(-1)?.id).toBe(200);
  expect(b.parked).toEqual([200]);
  // Two periods without a wait later its pace is its own, and so is the time of what it has no room for.
  await b.clock.advance(3100);
  await run(b, 2);
  await b.clock.advance(3100);
  await run(b, 2);
  b.lane.enqueue(held(201, p));
  expect(b.given.at(-1)?.id).toBe(201);
  expect(b.parked).toEqual([200]);
});

test("a parked lane whose messages do not come back gives its grant to others after two seconds", async () => {
  const b = laneBench();
  b.traffic.holdSite("s", 0, "quota");
  b.lane.enqueue(held(1, part()));
  b.lane.pump();
  await b.clock.advance(11_000);
  b.traffic.holdSite("s", 0, null);
  await b.turn();
  expect(b.traffic.open).toBe(1);
  await b.clock.advance(2_100);
  await b.turn();
  expect([b.traffic.open, b.traffic.waiting, b.traffic.spent]).toEqual([0, 0, 0]);
  expect(b.lane.idle).toBe(true);
});

test("a period that is spent while sessions are open: they close, one request waits, and it goes on in the next period", async () => {
  const b = laneBench({ perHour: 24 });
  const p = part();
  for (let i = 1; i <= 10; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await run(b);
  expect(b.finished).toHaveLength(2);
  await b.clock.advance(20_000);
  expect(b.given).toHaveLength(8);
  expect(b.scripts.every(({ session }) => session.ended)).toBe(true);
  expect(b.traffic.open).toBe(1);
  const opened = b.scripts.length;
  await b.clock.advance(270_000);
  // Nothing was opened meanwhile only to find that there is nothing.
  expect(b.scripts.length).toBe(opened);
  await b.clock.advance(10_000);
  expect(b.lane.shut).toBe(false);
  for (let i = 3; i <= 10; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await run(b);
  expect(b.finished).toHaveLength(4);
});

test("nobody waits any more: the request is taken back", async () => {
  const b = laneBench();
  b.traffic.holdSite("s", 0, "connections");
  b.lane.enqueue(held(1, part()));
  b.lane.pump();
  await b.turn();
  expect(b.traffic.waiting).toBe(1);
  b.lane.giveBack(() => true, 0);
  b.lane.pump();
  await b.turn();
  expect([b.traffic.waiting, b.lane.idle]).toEqual([0, true]);
});

test("while its IP is held for the site what waits moves on, also what a thread still had; the request stays to learn of the end", async () => {
  const moved: number[] = [];
  let open = true;
  const b = laneBench({ elsewhere: (h) => open && moved.push(h.id) > 0 });
  const p = part();
  for (let i = 1; i <= 5; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  b.traffic.holdSite("s", 0, "warm-up");
  expect(b.lane.usable).toBe(false);
  b.lane.moveOn();
  b.scripts[0]?.answer();
  await run(b);
  expect(b.finished.map(({ id }) => id)).toEqual([1]);
  expect(moved.toSorted()).toEqual([2, 3, 4, 5]);
  expect([b.lane.held, b.traffic.waiting, b.given.length]).toEqual([0, 1, 0]);
  open = false;
  b.traffic.holdSite("s", 0, null);
  await b.turn();
  expect(b.lane.usable).toBe(true);
});

test("unreachable from this IP: another one of the affinity takes the messages, and it counts for nobody", async () => {
  const moved: Held[] = [];
  const b = laneBench({
    connect: () => outcome("unreachable", "connect", { text: "refused" }),
    elsewhere: (h) => moved.push(h) > 0,
  });
  const p = part();
  for (let i = 1; i <= 3; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  expect(b.finished).toEqual([]);
  expect(moved.map(({ id, passed }) => [id, passed])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect(b.lane.report().hold).toMatchObject({
    kind: "unreachable",
    text: "no exchanger gives a session: refused",
    until: b.clock.now() + 4000,
  });
});

test("every attempt is told to the statistics with its path and size; what never left is not", async () => {
  const b = laneBench({ connections: 1 });
  const p = part();
  for (let i = 1; i <= 2; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  b.scripts[0]?.answer(outcome("deferred", "rcpt", { code: 450 }));
  await b.turn();
  b.scripts[0]?.answer(outcome("unreachable", "local"));
  await b.turn();
  expect(b.traffic.observed).toEqual([
    {
      path: { publicId: 0, mx: "mx", ip: "127.0.0.1", site: "s" },
      outcome: outcome("deferred", "rcpt", { code: 450 }),
      bytes: 2,
    },
  ]);
});

test("held back to fewer connections than it asks for: it goes on with those it has, and no other IP takes over", async () => {
  const moved: number[] = [];
  const b = laneBench({ connections: 1, elsewhere: (h) => moved.push(h.id) > 0 });
  const p = part();
  for (let i = 1; i <= 30; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  await b.turn();
  // Not revoked: another connection is what is not allowed.
  b.traffic.holdMore("s", 0, "back-off");
  await run(b, 10);
  expect(b.lane).toMatchObject({ usable: true, shut: false });
  await run(b, 100);
  expect([b.finished.length, moved.length, b.given.length]).toEqual([30, 0, 0]);
});

test("the day's warm-up is full while sessions are open: what waits moves on though nothing was revoked", async () => {
  const turned: boolean[] = [];
  const b = laneBench({ connections: 1, perHour: 24, turned: (lane) => turned.push(lane.usable) });
  const p = part();
  for (let i = 1; i <= 5; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await run(b, 10);
  expect(b.finished).toHaveLength(2);
  b.traffic.holdMore("s", 0, "warm-up");
  await b.clock.advance(300);
  expect(turned).toEqual([false]);
});
