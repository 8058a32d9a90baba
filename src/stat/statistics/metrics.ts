/**
 * The statistics for Prometheus: totals without a site, and the last hour of the few busiest sites. A site is a name from a stranger's DNS, so
 * there are never more than TOP of them on the page, and a name that is no longer among them is gone from it.
 */
import type { Metrics } from "../../base/metrics.ts";
import { type Counts, errorsOf } from "../../quota/answers.ts";
import type { PathReport } from "../../quota/messages.ts";
import type { Statistics } from "../statistics.ts";
import type { Outbox } from "./outbox.ts";
import { sumCounts } from "./ring.ts";

export const TOP = 20;
/** The page asks for each gauge in turn: they all tell of one look. */
const LOOK_MS = 5_000;

const RESULTS = ["accepted", "deferred", "rejected"] as const;
const CONNECTS = { opened: "connects", refused: "refused", "timed-out": "timedOut", aborted: "aborted" } as const;

/** What has to be called with each report. */
export function addStatisticsMetrics(
  metrics: Metrics,
  statistics: Pick<Statistics, "sites" | "paths" | "size">,
  outbox: Pick<Outbox, "waiting" | "dropped">,
  now: () => number,
): (report: PathReport) => void {
  const attempts = metrics.counter("stat_attempts_total", "Attempts at messages by their result", ["result"]);
  const connects = metrics.counter("stat_connections_total", "Connections by what became of them", ["result"]);
  const bytes = metrics.counter("stat_bytes_total", "Octets of attempted messages");
  metrics.gauge("stat_paths", "Paths with statistics in memory", () => statistics.size);
  metrics.gauge("stat_rows_waiting", "Rows of statistics that wait for the database", () => outbox.waiting);
  metrics.gauge("stat_rows_dropped", "Rows of statistics given up since the start", () => outbox.dropped);

  let seen: readonly (readonly [string, Counts])[] = [];
  let seenAt = Number.NEGATIVE_INFINITY;
  const top = (): typeof seen => {
    if (now() - seenAt < LOOK_MS && now() >= seenAt) return seen;
    seenAt = now();
    seen = busiest(statistics, seenAt);
    return seen;
  };
  const tell = (name: string, help: string, value: (counts: Counts) => number): void =>
    metrics.gauges(name, `${help} in the last hour, the ${TOP} busiest sites`, ["site"], () =>
      top().map(([site, counts]) => ({ labels: { site }, value: value(counts) })),
    );
  tell("stat_site_attempts", "Attempts", (c) => c.attempts);
  tell("stat_site_accepted", "Accepted messages", (c) => c.accepted);
  tell("stat_site_errors", "Attempts and connections that failed", errorsOf);
  tell("stat_site_latency_seconds", "Mean time of an attempt", (c) =>
    c.attempts > 0 ? c.latencyMs / c.attempts / 1000 : 0,
  );

  return (report) => {
    for (const result of RESULTS) attempts.inc({ result }, number(report[result]));
    for (const [result, name] of Object.entries(CONNECTS)) connects.inc({ result }, number(report[name]));
    bytes.inc({}, number(report.bytes));
  };
}

/** A counter refuses what is no number, and a client may say 1e999. */
const number = (value: number): number => (Number.isFinite(value) && value > 0 ? value : 0);

/** By first exchanger: a site's whole name is longer than anybody reads, and sites of one provider often begin with the same one. */
function busiest(statistics: Pick<Statistics, "sites" | "paths">, now: number): (readonly [string, Counts])[] {
  const sums = new Map<string, Counts[]>();
  for (const site of statistics.sites()) {
    const name = site.split(",", 1)[0]!.slice(0, 100);
    const hours = statistics.paths(site, now).map((path) => path.hour);
    const known = sums.get(name);
    if (known === undefined) sums.set(name, hours);
    else known.push(...hours);
  }
  return [...sums]
    .map(([name, all]) => [name, sumCounts(all)] as const)
    .filter(([, counts]) => counts.attempts + counts.connects + errorsOf(counts) > 0)
    .toSorted((a, b) => b[1].attempts - a[1].attempts || errorsOf(b[1]) - errorsOf(a[1]) || (a[0] < b[0] ? -1 : 1))
    .slice(0, TOP);
}
