/**
 * What the statistics server knows, for Prometheus: it has no page of its own, so web asks it when its page is read. A site is a name from a
 * stranger's DNS, so there are never more than TOP of them, and one that is no longer among the busiest is gone from the page.
 */
import type { Clock } from "../base/clock.ts";
import type { Metrics } from "../base/metrics.ts";
import { harmless } from "../model/harmless.ts";
import { type Counts, errorsOf, type SitesAnswer, type SiteSummary } from "../quota/answers.ts";
import type { StatAnswers } from "./why/ask.ts";

export const TOP = 20;
/** Whoever scrapes does not wait longer than this for it. */
const PATIENCE_MS = 1_500;

const RESULTS = ["attempts", "accepted", "deferred", "rejected", "connects", "refused", "timedOut", "aborted", "bytes"];

/** What has to be called, and awaited, before the page is made. Never rejects. */
export function addStatMetrics(metrics: Metrics, stat: Pick<StatAnswers, "sites">, clock: Clock): () => Promise<void> {
  let answer: SitesAnswer | null = null;
  metrics.gauge("stat_up", "1 while a statistics server answers", () => (answer === null ? 0 : 1));
  metrics.gauges("stat_members", "mta processes that are connected to it", [], () =>
    answer === null ? [] : [{ labels: {}, value: answer.members }],
  );
  metrics.gauges(
    "stat_counts",
    "What was counted since the server began to lead; falls to 0 with a new one",
    ["what"],
    () =>
      answer === null
        ? []
        : RESULTS.map((what) => ({ labels: { what }, value: answer!.totals[what as keyof Counts] ?? 0 })),
  );
  const tell = (name: string, help: string, value: (site: SiteSummary) => number): void =>
    metrics.gauges(`stat_site_${name}`, `${help}, by the ${TOP} sites with most to do`, ["site"], () =>
      busiest(answer).map(([site, summary]) => ({ labels: { site }, value: value(summary) })),
    );
  tell("waiting", "Messages that wait in lanes", (s) => s.waiting);
  tell("sessions", "Open SMTP sessions", (s) => s.sessions);
  tell("held", "1 while something holds it", (s) => (s.state === "held" ? 1 : 0));
  tell("attempts_hour", "Attempts in the last hour", (s) => s.hour.attempts);
  tell("errors_hour", "Attempts and connections that failed in the last hour", (s) => errorsOf(s.hour));
  tell("latency_seconds", "Mean time of an attempt in the last hour", (s) =>
    s.hour.attempts > 0 ? s.hour.latencyMs / s.hour.attempts / 1000 : 0,
  );

  return async () => {
    const late = Promise.withResolvers<null>();
    const timer = clock.after(PATIENCE_MS, () => late.resolve(null));
    const asked = await Promise.race([stat.sites({ order: "top", limit: TOP }), late.promise]);
    timer.cancel();
    answer = asked?.kind === "answer" ? asked.data : null;
  };
}

/** By first exchanger, the busier of two that begin with the same one. */
function busiest(answer: SitesAnswer | null): [string, SiteSummary][] {
  const byName = new Map<string, SiteSummary>();
  for (const site of answer?.sites.slice(0, TOP) ?? []) {
    const name = harmless(site.site.split(",", 1)[0] ?? "", 100);
    if (!byName.has(name)) byName.set(name, site);
  }
  return [...byName];
}
