/**
 * Any hits in any pieces: all sums are what the raw rows say after every commit, though each was made from what was known before it; and who clicked
 * does not depend on how the log was cut into pieces.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { TRACKING_KINDS, type TrackingRecord } from "../../src/model/tracking.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { draws } from "../support/draws.ts";
import {
  APPLE,
  CHROME,
  GMAIL,
  hit,
  keptSums,
  NOW,
  openCounter,
  reckonedSums,
  sentDelivery,
} from "../support/tracking.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const AGENTS = [CHROME, CHROME, CHROME, APPLE, GMAIL, "curl/8", ""];
const KINDS = [...TRACKING_KINDS, "click", "click", "click", "open", "open"] as const;

function randomHits(
  seed: number,
  deliveries: readonly { id: number; firstId: number }[],
  count: number,
): TrackingRecord[] {
  const below = draws(seed);
  let at = NOW;
  return Array.from({ length: count }, () => {
    at += below(6) === 0 ? below(15_000) : below(400);
    const d = deliveries[below(deliveries.length)]!;
    const kind = KINDS[below(KINDS.length)]!;
    return hit({
      // Now and then it comes late.
      at: below(10) === 0 ? at - below(30_000) : at,
      kind,
      message: below(12) === 0 ? 0 : d.firstId + below(2),
      delivery: below(15) === 0 ? deliveries[0]!.id : kind === "unsubscribe" ? 0 : d.id,
      link: kind === "click" ? 1 + below(5) : 0,
      hint: kind === "click" && below(30) === 0 ? "trap" : "",
      method: below(20) === 0 ? "HEAD" : "GET",
      ip: below(5) === 0 ? "" : `203.0.${below(2)}.0`,
      userAgent: AGENTS[below(AGENTS.length)]!,
      visitor: below(3) === 0 ? "" : `v${below(4)}`,
      web: kind === "transaction" ? { tag: "t", amount: below(1000) / 100, articles: below(3), more: [] } : null,
    });
  });
}

/** Who clicked, by the clicks in the order of the log. */
async function counted(
  seed: number,
  batch: number,
  pieces: (below: (n: number) => number) => number,
): Promise<string[]> {
  await db.sql`truncate tracking, reaction, delivery_reactions, link_statistics, visitor_click, tracking_source, tracking_fence`;
  const deliveries = await Promise.all([0, 1, 2].map((i) => sentDelivery(db.sql, 4, { prefix: `s${i}x` })));
  const hits = randomHits(seed, deliveries, 400);
  const counter = await openCounter(db.sql, seed * 10 + batch, { batch });
  const below = draws(seed + batch);
  for (let from = 0; from < hits.length;) {
    const to = from + 1 + pieces(below);
    expect(await counter.take(hits.slice(from, to))).toBe("counted");
    expect(await keptSums(db.sql)).toEqual(await reckonedSums(db.sql));
    from = to;
  }
  const rows = await db.sql<
    { class: number; rule: string }[]
  >`select class, rule from tracking where kind = 1 order by id`;
  return rows.map((row) => `${row.class} ${row.rule}`);
}

test.each([1, 2, 3])("seed %i", { timeout: 60_000 }, async (seed) => {
  const whole = await counted(seed, 1000, () => 400);
  expect(whole.filter((row) => row === "3 burst").length).toBeGreaterThan(2);
  expect(whole.filter((row) => row === "0 ").length).toBeGreaterThan(3);
  expect(await counted(seed, 7, (below) => below(60))).toEqual(whole);
  expect(await counted(seed, 1, (below) => below(40))).toEqual(whole);
});
