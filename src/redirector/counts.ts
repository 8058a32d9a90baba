/**
 * What is counted: plain numbers on the way of a hit (a labelled counter of prom-client costs as much as verifying a token), put into the metrics when somebody
 * looks.
 */
import type { Metrics } from "../base/metrics.ts";
import { TRACKING_KINDS, type TrackingKind } from "../model/tracking.ts";
import type { LogFacts } from "./log.ts";

export interface Counts {
  hit(kind: TrackingKind): void;
  /** An answer with a page of ours. */
  page(status: number): void;
  wrote(group: { readonly records: number; readonly octets: number; readonly ms: number }): void;
  /** The page for Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface Gauges {
  readonly log: LogFacts;
  readonly connections: () => number;
  readonly stops: () => { readonly count: number; readonly heardAt: number };
  readonly mirrorBytes: () => number;
  /** Epoch ms; null: no TLS. */
  readonly certificateExpiresAt: () => number | null;
}

const SYNC_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5];

export function openCounts(metrics: Metrics): Counts & { addGauges(gauges: Gauges): void } {
  const hits = new Map<string, number>(TRACKING_KINDS.map((kind) => [kind, 0]));
  const pages = new Map<string, number>();
  let octets = 0;
  let records = 0;
  const counters = {
    hits: metrics.counter("redirector_hits_total", "Hits by kind", ["kind"]),
    pages: metrics.counter("redirector_pages_total", "Requests answered with a page of our own, by status", ["status"]),
    octets: metrics.counter("redirector_log_written_bytes_total", "Octets written to the tracking log"),
    records: metrics.counter("redirector_log_records_total", "Records written to the tracking log"),
  };
  const sync = metrics.histogram("redirector_log_sync_seconds", "A group of records, written and synced", SYNC_SECONDS);

  function settle(): void {
    for (const [kind, count] of hits) counters.hits.inc({ kind }, count);
    for (const [status, count] of pages) counters.pages.inc({ status }, count);
    counters.octets.inc({}, octets);
    counters.records.inc({}, records);
    for (const kind of hits.keys()) hits.set(kind, 0);
    pages.clear();
    octets = 0;
    records = 0;
  }

  return {
    hit: (kind) => void hits.set(kind, (hits.get(kind) ?? 0) + 1),
    page: (status) => void pages.set(String(status), (pages.get(String(status)) ?? 0) + 1),
    wrote(group) {
      octets += group.octets;
      records += group.records;
      sync.observe(group.ms / 1000);
    },
    text() {
      settle();
      return metrics.text();
    },
    contentType: metrics.contentType,
    addGauges({ log, connections, stops, mirrorBytes, certificateExpiresAt }) {
      const gauge = (name: string, help: string, value: () => number): void =>
        metrics.gauge(`redirector_${name}`, help, value);
      gauge("log_bytes", "Octets of the tracking log on disk", () => log.bytes);
      gauge("log_unpulled_bytes", "Octets of it that no workflow has pulled yet", () => log.unpulled);
      gauge("log_lost", "Hits that could not be written since this process began", () => log.lost + log.undecided);
      gauge("log_dropped_bytes", "Octets removed before anybody pulled them", () => log.dropped);
      gauge("log_alarm", "1 when the log nears its bound and nobody pulls it", () => Number(log.alarm));
      gauge("log_failing", "1 while the disk refuses or hangs", () => Number(log.state !== "ok"));
      gauge("connections", "Open connections", connections);
      gauge("stops", "Lines in the list of stopped links", () => stops().count);
      gauge("stops_heard_seconds", "When web told it last, epoch seconds; 0: never", () => stops().heardAt / 1000);
      gauge("mirror_cache_bytes", "Octets of cached mirror pages", mirrorBytes);
      gauge("certificate_expires_seconds", "When the first certificate expires, epoch seconds; 0: no TLS", () =>
        Math.round((certificateExpiresAt() ?? 0) / 1000),
      );
    },
  };
}
