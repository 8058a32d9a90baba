import { expect, test } from "vitest";
import { openDeadline } from "../../../src/mta/session/deadline.ts";
import { handClock } from "../../support/clock.ts";

const HOUR = 3_600_000;

test("passes once, at the last time it was set to", async () => {
  const clock = handClock();
  let passed = 0;
  const deadline = openDeadline(clock, () => passed++);
  const at = (ms: number): void => deadline.set(clock.monotonic() + ms);
  at(100);
  at(5000);
  await clock.advance(4999);
  expect(passed).toBe(0);
  await clock.advance(1);
  expect(passed).toBe(1);
  await clock.advance(HOUR);
  expect([passed, clock.pending]).toEqual([1, 0]);
  deadline.close();
});

test.each([
  ["forward", HOUR],
  ["back", -HOUR],
])("the system's clock is put %s: the wait is as long as it was", async (_name, ms) => {
  const clock = handClock();
  let passed = 0;
  const deadline = openDeadline(clock, () => passed++);
  // The timer is armed for the earlier one, and finds that it is not time yet.
  deadline.set(clock.monotonic() + 50);
  deadline.set(clock.monotonic() + 5000);
  clock.jump(ms);
  await clock.advance(4999);
  expect(passed).toBe(0);
  await clock.advance(1);
  expect(passed).toBe(1);
  deadline.close();
});
