import { expect, test } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import type { TlsResult } from "../../../src/model/tls-result.ts";
import { openTlsResults } from "../../../src/mta/tls-policy/results.ts";
import { handClock } from "../../support/clock.ts";

const DAY = 86_400_000;
const one: Omit<TlsResult, "day" | "sessions"> = {
  domain: "good.test",
  policyType: "sts",
  policy: "",
  mx: "mx1.good.test",
  sendingIp: "",
  receivingIp: "192.0.2.1",
  result: "",
  reason: "",
};

test("what is the same is one row; written after ten seconds, each day its own", async () => {
  const clock = handClock();
  const written: TlsResult[][] = [];
  const results = openTlsResults(async (rows) => void written.push([...rows]), clock, silentLog);
  for (let i = 0; i < 5; i++) results.count(one);
  results.count({ ...one, result: "certificate-expired", reason: "it\r\nis\u001b[2J over" });
  expect(written).toEqual([]);
  await clock.advance(10_000);
  expect(written).toMatchObject([
    [
      { day: "2026-01-01", result: "", sessions: 5 },
      { day: "2026-01-01", result: "certificate-expired", sessions: 1, reason: "it is [2J over" },
    ],
  ]);
  await clock.advance(DAY);
  results.count(one);
  await results.close();
  expect(written[1]).toMatchObject([{ day: "2026-01-02", sessions: 1 }]);
  expect(clock.pending).toBe(0);
});

test("the database away: kept, added to, written when it is back; at the end tried once more", async () => {
  const clock = handClock();
  let away = true;
  const written: TlsResult[] = [];
  const results = openTlsResults(
    async (rows) => {
      if (away) throw new Error("away");
      written.push(...rows);
    },
    clock,
    silentLog,
  );
  results.count(one);
  await clock.advance(10_000);
  results.count(one);
  results.count({ ...one, mx: "mx2" });
  await clock.advance(10_000);
  away = false;
  await clock.advance(10_000);
  expect(written.map(({ mx, sessions }) => [mx, sessions])).toEqual([
    ["mx1.good.test", 2],
    ["mx2", 1],
  ]);
  away = true;
  results.count(one);
  await results.close();
  expect(clock.pending).toBe(0);
});

test("a flood of exchangers is bounded, and written in pieces", async () => {
  const clock = handClock();
  const sizes: number[] = [];
  const results = openTlsResults(async (rows) => void sizes.push(rows.length), clock, silentLog);
  for (let i = 0; i < 30_000; i++) results.count({ ...one, mx: `mx${i}` });
  await results.flush();
  expect(sizes).toEqual(Array.from({ length: 20 }, () => 1_000));
  await results.close();
});
