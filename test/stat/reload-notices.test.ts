/** Notices between servers without servers: who says nothing, what cannot be told, and what strangers with a database password send. */
import { expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { ReloadedHere } from "../../src/quota/answers.ts";
import { openReloading, type Reloading, type ReloadingDeps } from "../../src/stat/reload.ts";
import { type HandClock, handClock } from "../support/clock.ts";

const HERE: ReloadedHere = { rules: 61, replyRules: 41, warmUps: 1, digest: "abc", warnings: [], restart: [] };

interface One {
  readonly reloading: Reloading;
  readonly clock: HandClock;
  /** Notices it sent. */
  readonly told: string[];
  reads: number;
}

function one(process: string, deps: Partial<ReloadingDeps> = {}): One {
  const clock = handClock();
  const made: Omit<One, "reloading"> = { clock, told: [], reads: 0 };
  const reloading = openReloading({
    server: `${process}:7777`,
    process,
    read() {
      made.reads++;
      return HERE;
    },
    tell: async (payload) => made.told.push(payload),
    others: 1,
    clock,
    log: silentLog,
    ...deps,
  });
  return Object.assign(made, { reloading });
}

test("alone, nobody is waited for; its own notice is not obeyed", async () => {
  const a = one("a", { others: 0 });
  expect(await a.reloading.order()).toEqual({ ...HERE, server: "a:7777", others: [], silent: 0 });
  a.told.forEach(a.reloading.heard);
  expect(a.reads).toBe(1);
});

test("who says nothing is waited for for a moment, and counted", async () => {
  const a = one("a", { others: 3 });
  const order = a.reloading.order();
  const b = one("b");
  b.reloading.heard(a.told[0] ?? "");
  expect(b.reads).toBe(1);
  await a.clock.advance(0);
  b.told.forEach(a.reloading.heard);
  await a.clock.advance(3000);
  expect(await order).toMatchObject({ others: [{ server: "b:7777", problem: "", same: true }], silent: 2 });
  // Too late, and twice: nothing waits for it any more.
  b.told.forEach(a.reloading.heard);
});

test("a database that does not take the notice, or never answers, costs the order nothing", async () => {
  const broken = one("a", { tell: () => Promise.reject(new Error("connection refused")) });
  expect(await broken.reloading.order()).toMatchObject({ rules: 61, others: [], silent: 1 });
  const silent = one("a", { tell: () => new Promise(() => {}) });
  const order = silent.reloading.order();
  await silent.clock.advance(3000);
  expect(await order).toMatchObject({ rules: 61, silent: 1 });
  // Told by another, it cannot answer: that is in the log.
  broken.reloading.heard(JSON.stringify({ t: "read", id: "b-1", by: "b" }));
});

test("many mistakes of another server come as one line that fits into a notice", async () => {
  const mistakes = `Not valid: \n${Array.from({ length: 500 }, (_, i) => `  mx.yaml:${i}: “wrong\u001b[2J”`).join("\n")}`;
  const b = one("b", {
    read() {
      throw new Error(mistakes);
    },
  });
  const a = one("a");
  const order = a.reloading.order();
  b.reloading.heard(a.told[0] ?? "");
  expect(Buffer.byteLength(b.told[0] ?? "")).toBeLessThan(8000);
  b.told.forEach(a.reloading.heard);
  const [other] = (await order).others;
  expect(other?.problem).toMatch(/^Not valid: mx\.yaml:0: “wrong \[2J”; mx\.yaml:1: /);
  expect(other?.same).toBe(false);
});

test.each([
  "",
  "leader",
  "null",
  "[]",
  "{",
  '{"t":"read"}',
  '{"t":"read","id":5}',
  '{"t":"burn","id":"x-1"}',
  '{"__proto__":{"t":"read","id":"x-1"}}',
  '{"t":"done","id":"nobody-1","server":{},"problem":[],"digest":9}',
])("%j is no order", (payload) => {
  const a = one("a");
  a.reloading.heard(payload);
  expect(a.reads).toBe(0);
  expect(a.told).toEqual([]);
});

test("many warnings are cut; the log has them all", async () => {
  const warnings = Array.from({ length: 5000 }, () => "w".repeat(5000));
  const a = one("a", { others: 0, read: () => ({ ...HERE, warnings }) });
  expect(JSON.stringify(await a.reloading.order()).length).toBeLessThan(120_000);
});
