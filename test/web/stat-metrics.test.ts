/** The statistics server's numbers on the page for Prometheus: bounded, harmless, and no wait for one that is away. */
import { expect, test } from "vitest";
import { openMetrics } from "../../src/base/metrics.ts";
import { addStatMetrics, TOP } from "../../src/web/stat-metrics.ts";
import { openStatAnswers } from "../../src/web/why/ask.ts";
import { handClock } from "../support/clock.ts";
import { laneReport, openFakeStat, pathReport } from "../support/stat-answers.ts";

const sitesOf = (page: string, name: string): string[] =>
  [...page.matchAll(new RegExp(`^postilion_stat_site_${name}\\{site="((?:[^"\\\\]|\\\\.)*)"`, "gm"))].map(
    ([, site]) => site!,
  );

test("totals, and never more sites than the top", async () => {
  const stat = await openFakeStat();
  const clock = handClock(Date.now());
  const metrics = openMetrics("web");
  const read = addStatMetrics(metrics, openStatAnswers(stat.ask, clock), clock);
  for (let i = 0; i < 100; i++)
    stat.observe([
      pathReport({ site: `mx${i}.example,mx.b`, attempts: i + 1, accepted: i, deferred: 1, latencyMs: 500 * (i + 1) }),
    ]);
  stat.lanes("m1/0", [
    laneReport({
      site: 'evil"} 1\n\u001b.example',
      mx: "x",
      waiting: 7,
      hold: { kind: "dns", by: "", text: "", since: 0, until: 0 },
    }),
  ]);
  await read();
  const page = await metrics.text();
  expect(page).toContain('postilion_stat_counts{what="attempts",module="web"} 5050');
  expect(page).toContain('postilion_stat_up{module="web"} 1');
  expect(sitesOf(page, "attempts_hour")).toHaveLength(TOP);
  expect(sitesOf(page, "attempts_hour")[1]).toBe("mx99.example");
  expect(page).toContain('postilion_stat_site_latency_seconds{site="mx99.example",module="web"} 0.5');
  expect(page).toContain('postilion_stat_site_held{site="evil\\"} 1 .example",module="web"} 1');
  stat.away = new Error("away");
  await clock.advance(2_000);
  await read();
  const without = await metrics.text();
  expect(without).toContain('postilion_stat_up{module="web"} 0');
  expect(sitesOf(without, "waiting")).toEqual([]);
  metrics.close();
});

test("a server that never answers is not waited for", async () => {
  const clock = handClock();
  const metrics = openMetrics("web");
  const read = addStatMetrics(
    metrics,
    openStatAnswers(() => new Promise(() => {}), clock),
    clock,
  );
  const reading = read();
  await clock.advance(1_600);
  await reading;
  expect(await metrics.text()).toContain('postilion_stat_up{module="web"} 0');
  metrics.close();
});
