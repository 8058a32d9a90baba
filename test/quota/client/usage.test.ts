import { expect, test } from "vitest";
import { openUsage } from "../../../src/quota/client/usage.ts";

const DAY = 86_400_000;
const NOON = Date.UTC(2026, 4, 1, 12);

test("after a day with a hundred thousand counters quiet days keep what runs, and nothing else", () => {
  const usage = openUsage("0123456789abcdef");
  for (let i = 0; i < 100_000; i++) usage.count(`c${i}`, NOON, 1);
  usage.connection("c7", 1);
  // Their day is not over: a limit of messages a day may be on them.
  usage.pass(NOON + DAY / 4);
  expect(usage.size).toBe(100_000);
  usage.count("new", NOON + DAY, 1);
  expect(usage.size).toBe(2);
  expect(usage.used("new", 2, NOON + DAY / 2)).toBe(1);
  expect(usage.connections("c7")).toBe(1);
});

test("they are forgotten though nothing is sent any more, by the time the server tells", () => {
  const usage = openUsage("0123456789abcdef");
  for (let i = 0; i < 100; i++) usage.count(`c${i}`, NOON, 1);
  usage.pass(NOON + DAY);
  expect(usage.size).toBe(0);
});
