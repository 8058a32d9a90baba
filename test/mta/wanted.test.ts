import { expect, test } from "vitest";
import type { Lane } from "../../src/mta/lane-contract.ts";
import { openWanted } from "../../src/mta/wanted.ts";
import { handClock } from "../support/clock.ts";

function lane(rules: readonly string[]): Lane & { readonly closed: string[] } {
  const closed: string[] = [];
  const made = { closed, closeIdle: (match: (rule: string) => boolean) => void closed.push(...rules.filter(match)) };
  return made as unknown as Lane & { readonly closed: string[] };
}

test("idle sessions that a wanted rule counts are closed, others are not; and no longer when nobody waits", async () => {
  const clock = handClock();
  const idle = lane(["google", "rest"]);
  const one = lane([]);
  const two = lane([]);
  const wanted = openWanted(clock, () => [idle, one, two]);
  wanted.set(one, "google");
  wanted.set(two, "google");
  expect(wanted.has("google")).toBe(true);
  await clock.advance(20);
  expect(idle.closed).toEqual(["google"]);
  wanted.set(one, "");
  expect(wanted.has("google")).toBe(true);
  wanted.set(two, "rest");
  expect([wanted.has("google"), wanted.has("rest")]).toEqual([false, true]);
  wanted.set(two, "");
  await clock.advance(20);
  expect(idle.closed).toEqual(["google"]);
  expect(wanted.has("rest")).toBe(false);
});
