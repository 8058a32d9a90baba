/** One program going through the mail of many. */
import { expect, test } from "vitest";
import { openSweeps, SWEEP_HITS, SWEEP_MS } from "../../src/workflow/sweep.ts";
import { NOW } from "../support/tracking.ts";

/** Which of `count` hits, `everyMs` apart, are known for a sweep; each on the message `of` says. */
function known(
  count: number,
  everyMs: number,
  over: Partial<Record<"of" | "agent", (i: number) => number>> & { ip?: (i: number) => string } = {},
): number[] {
  const { of = (i) => i + 1, ip = (i) => `198.51.100.${i % 256}`, agent = () => 7 } = over;
  const sweeps = openSweeps();
  const found = [];
  for (let i = 0; i < count; i++) if (sweeps.hit(ip(i), agent(i), of(i), NOW + i * everyMs) > 0) found.push(i);
  return found;
}

test("is known at the hundredth hit, and for each behind it", () => {
  expect(known(150, 50)).toEqual(Array.from({ length: 51 }, (_, i) => i + SWEEP_HITS - 1));
  expect(known(300, 10, { ip: (i) => `2001:db8:7:${i}::1` })).toHaveLength(201);
});

test("is not a hundred readers in more time, one reader who opens a hundred times, several networks or programs", () => {
  expect(known(1000, SWEEP_MS / 98)).toEqual([]);
  expect(known(1000, 5, { of: (i) => i % 20 })).toEqual([]);
  expect(known(1000, 5, { ip: (i) => `198.51.${i % 20}.1` })).toEqual([]);
  expect(known(1000, 5, { agent: (i) => i % 20 })).toEqual([]);
});

test("cannot be told without an address or a message", () => {
  expect(known(500, 5, { ip: () => "" })).toEqual([]);
  expect(known(500, 5, { ip: () => "unknown" })).toEqual([]);
  expect(known(500, 5, { of: () => 0 })).toEqual([]);
});

test("is not what comes by a proxy nobody told of: there all readers have one address", () => {
  for (const ip of [
    "127.0.0.1",
    "127.0.0.0",
    "10.1.2.0",
    "192.168.0.7",
    "100.64.1.1",
    "::1",
    "::",
    "fd00:1:2::",
    "fe80::1",
  ])
    expect([ip, known(500, 5, { ip: () => ip })]).toEqual([ip, []]);
  for (const ip of ["11.1.2.0", "100.128.0.1", "172.32.0.1", "2001:db8:1::"])
    expect([ip, known(500, 5, { ip: () => ip }).length > 0]).toEqual([ip, true]);
});

test("begins when it began, and ends with it", () => {
  const sweeps = openSweeps();
  for (let i = 0; i < 99; i++) sweeps.hit("198.51.100.1", 7, i + 1, NOW + 1000 + i);
  expect(sweeps.hit("198.51.100.200", 7, 1000, NOW + 2000)).toBe(NOW + 1000);
  expect(sweeps.hit("198.51.100.200", 7, 1001, NOW + 1000 + SWEEP_MS + 1)).toBe(0);
});

test("is found among any number of others, in a memory that does not grow", () => {
  const sweeps = openSweeps(64);
  let found = 0;
  for (let i = 0; i < 20_000; i++) {
    sweeps.hit(`${i % 200}.${(i >> 3) % 250}.${i % 250}.1`, i % 500, i + 1, NOW + i / 2);
    if (i % 10 === 0 && sweeps.hit("198.51.100.1", 7, i + 1, NOW + i / 2) > 0) found++;
  }
  expect(found).toBeGreaterThan(1500);
});
