import { expect, test } from "vitest";
import { outcome } from "../../src/model/outcome.ts";
import { held, laneBench, part, type LaneBench } from "../support/lane.ts";

test("one message opens one session; a hundred open no more than the limit", async () => {
  const b = laneBench();
  const p = part();
  b.lane.enqueue(held(1, p));
  b.lane.pump();
  await b.turn();
  expect(b.scripts).toHaveLength(1);
  for (let i = 2; i <= 100; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  for (let i = 0; i < 300 && b.finished.length < 100; i++) {
    for (const s of b.scripts) s.answer();
    await b.turn();
  }
  expect(b.scripts.length).toBeLessThanOrEqual(4);
  expect(b.finished.map((f) => f.id).toSorted((x, y) => x - y)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  expect(b.lane.held).toBe(0);
});

test("a session carries no more than messagesPerConnection, then another one does", async () => {
  const b = laneBench({ connections: 1, perConnection: 3 });
  const p = part();
  for (let i = 1; i <= 7; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  for (let i = 0; i < 60 && b.finished.length < 7; i++) {
    await b.turn();
    for (const s of b.scripts) if (s.session.inFlight > 0) s.answer();
  }
  expect(b.finished).toHaveLength(7);
  expect(b.scripts).toHaveLength(3);
});

test("an unreachable site gives its outcome to all that wait, rests, and takes nothing meanwhile", async () => {
  const b = laneBench({ connect: () => outcome("unreachable", "connect", { text: "refused" }) });
  const p = part();
  for (let i = 1; i <= 5; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  expect(b.finished).toHaveLength(5);
  expect(b.finished.every((f) => f.final && f.outcome.kind === "unreachable")).toBe(true);
  expect(b.lane.saturated).toBe(true);
  b.lane.enqueue(held(6, p));
  expect(b.given).toEqual([{ id: 6, notBefore: b.clock.now() + 4000 }]);
  await b.clock.advance(4001);
  expect(b.lane.saturated).toBe(false);
});

test("a site that refuses a second connection is served by the first, and tried again later", async () => {
  let allowed = 1;
  const b: LaneBench = laneBench({
    connect: () => (b.scripts.length >= allowed ? outcome("deferred", "banner", { code: 421 }) : null),
  });
  const p = part();
  for (let i = 1; i <= 50; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  for (let i = 0; i < 10; i++) {
    await b.turn();
    b.scripts[0]?.answer();
  }
  expect(b.scripts).toHaveLength(1);
  expect(b.finished.every((f) => f.outcome.kind === "accepted")).toBe(true);
  // The site's limit was raised: one more is tried each half minute, all the way up.
  for (allowed = 2; allowed <= 3; allowed++) {
    await b.clock.advance(30_001);
    await b.turn();
    expect(b.scripts).toHaveLength(allowed);
  }
});

test("a session that is dead on arrival counts as a refusal", async () => {
  let dead = 1;
  const b: LaneBench = laneBench({ connections: 2, deadOnArrival: () => dead-- > 0 });
  const p = part();
  b.lane.enqueue(held(1, p));
  b.lane.pump();
  await b.turn();
  expect(b.finished.map((f) => f.outcome.kind)).toEqual(["unreachable"]);
  await b.clock.advance(4001);
  b.lane.enqueue(held(2, p));
  b.lane.pump();
  await b.turn();
  b.scripts.at(-1)?.answer();
  await b.turn();
  expect(b.finished.at(-1)?.outcome.kind).toBe("accepted");
});

test("a spent quota gives its messages back to the database, and is no attempt", async () => {
  const b = laneBench({ perHour: 12 });
  const p = part();
  for (let i = 1; i <= 20; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  for (let i = 0; i < 20; i++) {
    await b.turn();
    for (const s of b.scripts) s.answer();
  }
  expect(b.finished).toHaveLength(1);
  expect(b.lane.saturated).toBe(false);
  await b.clock.advance(1_000);
  expect(b.lane.saturated).toBe(true);
  await b.clock.advance(9_001);
  expect(b.given).toHaveLength(19);
  expect(b.lane.held).toBe(0);
});

test("a paused delivery's messages go back, others go on", async () => {
  const b = laneBench({ connections: 1 });
  const paused = part();
  const other = part({ id: 2 });
  for (let i = 1; i <= 10; i++) b.lane.enqueue(held(i, i % 2 === 0 ? paused : other));
  b.lane.pump();
  await b.turn();
  paused.delivery.state = "paused";
  b.lane.giveBack((h) => h.part === paused, 0);
  for (let i = 0; i < 40; i++) {
    await b.turn();
    b.scripts[0]?.answer();
  }
  const sent = b.finished.map((f) => f.id);
  for (const id of [1, 3, 5, 7, 9]) expect(sent).toContain(id);
  expect(b.finished.length + b.given.length).toBe(10);
});

test("idle sessions close after idleMs", async () => {
  const b = laneBench();
  b.lane.enqueue(held(1, part()));
  b.lane.pump();
  await b.turn();
  b.scripts[0]?.answer();
  await b.turn();
  expect(b.scripts[0]?.session.ended).toBe(false);
  await b.clock.advance(5001);
  expect(b.scripts[0]?.session.ended).toBe(true);
  expect(b.lane.idle).toBe(true);
});

test("a session that dies in the middle loses nothing", async () => {
  const b = laneBench({ connections: 1 });
  const p = part();
  for (let i = 1; i <= 5; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  b.scripts[0]?.end();
  for (let i = 0; i < 20; i++) {
    await b.turn();
    b.scripts[1]?.answer();
  }
  expect(b.finished.map((f) => f.id).toSorted()).toEqual([1, 2, 3, 4, 5]);
  expect(b.finished.filter((f) => f.outcome.kind === "unreachable")).toHaveLength(1);
});

test("past its deadline a message leaves the lane", async () => {
  const b = laneBench({ connect: () => null, perHour: 12 });
  const late = part({ deadline: b.clock.now() + 1000 });
  for (let i = 1; i <= 3; i++) b.lane.enqueue(held(i, late));
  b.lane.expire(b.clock.now() + 2000);
  expect(b.finished.map((f) => f.outcome.kind)).toEqual(["expired", "expired", "expired"]);
  expect(b.lane.held).toBe(0);
});

test("closing gives back what waits and finishes what is on the wire", async () => {
  const b = laneBench({ connections: 1 });
  const p = part();
  for (let i = 1; i <= 6; i++) b.lane.enqueue(held(i, p));
  b.lane.pump();
  await b.turn();
  const closing = b.lane.close(new AbortController().signal);
  b.scripts[0]?.answer();
  await b.turn();
  await closing;
  expect(b.finished).toHaveLength(1);
  expect(b.given).toHaveLength(5);
});
