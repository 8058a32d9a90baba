import { expect, test } from "vitest";
import { mask, openLimits } from "../../src/mta/limits.ts";
import { handClock } from "../support/clock.ts";

const rule = (parts: object) => ({
  mx: "*",
  connections: 2,
  messagesPerConnection: 100,
  messagesPerHour: 0,
  tls: "opportunistic" as const,
  ...parts,
});
const lane = { site: "mx.one.example", mx: "mx.one.example", publicId: 1, localAddress: "" };
const forever = new AbortController().signal;

test("first match wins, and * is always there", () => {
  const limits = openLimits({ rules: [rule({ mx: "*.one.example", connections: 7 })] }, handClock());
  expect(limits.limits(lane)).toMatchObject({ rule: "*.one.example", connections: 7 });
  expect(limits.limits({ ...lane, mx: "mx.two.example" })).toMatchObject({ rule: "*", connections: 20 });
});

test.each([
  ["*.google.com", "gmail-smtp-in.l.google.com", true],
  ["*.google.com", "google.com", false],
  ["mx?.example", "MX1.example", true],
  ["mx.example", "mxaexample", false],
])("mask %s on %s: %s", (text, name, matches) => {
  expect(mask(text).test(name)).toBe(matches);
});

test("a third connection waits for one to be given back, and others are not its business", async () => {
  const limits = openLimits({ rules: [rule({})] }, handClock());
  const a = await limits.connection(lane, forever);
  const b = await limits.connection(lane, forever);
  let third: unknown = "waiting";
  void limits.connection(lane, forever).then((grant) => (third = grant));
  expect(await limits.connection({ ...lane, publicId: 2 }, forever)).not.toBeNull();
  await new Promise(setImmediate);
  expect(third).toBe("waiting");
  a?.close();
  a?.close();
  await new Promise(setImmediate);
  expect(third).toMatchObject({ limits: { connections: 2 } });
  let fourth: unknown = "waiting";
  const stop = new AbortController();
  void limits.connection(lane, stop.signal).then((grant) => (fourth = grant));
  await new Promise(setImmediate);
  expect(fourth).toBe("waiting");
  stop.abort();
  await new Promise(setImmediate);
  expect(fourth).toBeNull();
  b?.close();
});

test("an hour is cut into periods; who finds the period spent is woken at the next, once", async () => {
  const clock = handClock(Date.UTC(2026, 0, 1, 12, 0, 0));
  const limits = openLimits({ rules: [rule({ messagesPerHour: 120 })] }, clock);
  let woken = 0;
  expect(limits.messages(lane, 7, () => woken++)).toBe(7);
  expect(limits.messages(lane, 7, () => woken++)).toBe(3);
  expect(limits.messages(lane, 7, () => woken++)).toBe(0);
  limits.unused(lane, 2);
  expect(limits.messages(lane, 7, () => woken++)).toBe(2);
  await clock.advance(299_000);
  expect(woken).toBe(0);
  await clock.advance(1_000);
  expect(woken).toBe(1);
  expect(limits.messages(lane, 7, () => woken++)).toBe(7);
});

test.each([1, 5, 13, 100, 1201])("%i an hour is exactly that many in twelve periods", (hour) => {
  const clock = handClock(Date.UTC(2026, 0, 1, 12, 0, 0));
  const limits = openLimits({ rules: [rule({ messagesPerHour: hour })] }, clock);
  let sent = 0;
  for (let period = 0; period < 12; period++) {
    sent += limits.messages(lane, 10_000, () => {});
    void clock.advance(300_000);
  }
  limits.close();
  expect(sent).toBeLessThanOrEqual(hour);
});
