/** Counters and gauges of one process in the Prometheus text format, and the only importer of prom-client. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

type Labels = Readonly<Record<string, string | number>>;

export interface Metrics {
  /** Only goes up. Names end in `_total`. Labels come from a small fixed set: never an address, a domain or a reply. */
  counter(name: string, help: string, labels?: readonly string[]): { inc(labels?: Labels, by?: number): void };
  /** Asked for its value when somebody looks. */
  gauge(name: string, help: string, value: () => number): void;
  /** Several values of one name, asked for when somebody looks; those that are not told any more are gone. The teller bounds how many. */
  gauges(
    name: string,
    help: string,
    labels: readonly string[],
    values: () => Iterable<{ readonly labels: Labels; readonly value: number }>,
  ): void;
  /** Seconds, unless the name says otherwise. */
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[],
  ): { observe(value: number, labels?: Labels): void };
  /** The whole page. */
  text(): Promise<string>;
  readonly contentType: string;
  close(): void;
}

/** Every name gets the prefix `postilion_`, every value the label `module`. */
export function openMetrics(module: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ module });
  collectDefaultMetrics({ register: registry });
  const common = (name: string, help: string) => ({ name: `postilion_${name}`, help, registers: [registry] });
  return {
    counter(name, help, labels = []) {
      const made = new Counter({ ...common(name, help), labelNames: [...labels] });
      return { inc: (values = {}, by = 1) => made.inc(values, by) };
    },
    gauge(name, help, value) {
      new Gauge({
        ...common(name, help),
        collect() {
          this.set(value());
        },
      });
    },
    gauges(name, help, labels, values) {
      new Gauge({
        ...common(name, help),
        labelNames: [...labels],
        collect() {
          this.reset();
          for (const { labels: of, value } of values()) this.set(of, value);
        },
      });
    },
    histogram(name, help, buckets, labels = []) {
      const made = new Histogram({ ...common(name, help), buckets: [...buckets], labelNames: [...labels] });
      return { observe: (value, values = {}) => made.observe(values, value) };
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => registry.clear(),
  };
}
