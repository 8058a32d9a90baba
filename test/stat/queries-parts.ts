/** What the tests of questions share: a rule, a path, a lane, a counter, a measure in one line each, and questions over what a test sets. */
import { expect } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { builtInRule, type MxRule } from "../../src/model/mx-rules.ts";
import type { Hold, LaneReport } from "../../src/model/traffic.ts";
import { MOST_ANSWER, NO_COUNTS } from "../../src/quota/answers.ts";
import type { PathReport, QueryName } from "../../src/quota/messages.ts";
import type { CounterState, Measure } from "../../src/stat/contract.ts";
import { openQueries, type Queries } from "../../src/stat/queries.ts";
import { openStatistics, type Statistics } from "../../src/stat/statistics.ts";
import { handClock } from "../support/clock.ts";

export const NOON: number = Date.UTC(2026, 4, 1, 12);
export const SITE = "mx1.a.example,mx2.a.example";

const base = builtInRule("*");
const careful: MxRule = {
  ...base,
  id: "a",
  mx: ["*.a.example"],
  limits: { ...base.limits, rule: "a", scope: "ip", connections: 3, messagesPerHour: 1200 },
  origin: "rules/mx.yaml:12",
  origins: { connections: "rules/mx.yaml:14" },
  note: "careful",
};

/** Mutable: what a test sets is what is there at the next question. */
export interface Scene {
  now: number;
  counters: CounterState[];
  measures: Measure[];
  governed: Hold | null;
  readonly statistics: Statistics;
  readonly queries: Queries;
  /** The answer, or a promise of it (`sites`); it fits into a line. */
  ask<T>(what: QueryName, args?: Record<string, unknown>): T;
}

export async function openScene(): Promise<Scene> {
  const statistics = await openStatistics({
    clock: handClock(NOON),
    log: silentLog,
    writeRows: async () => {},
    readRows: async () => [],
    forgetRows: async () => 0,
  });
  const queries = openQueries({
    engine: { counters: () => scene.counters },
    governor: {
      list: () => scene.measures,
      govern: (_site, _path, limits) => ({
        limits: { ...limits, connections: 1 },
        hold: scene.governed,
        connections: 1,
        messages: Number.POSITIVE_INFINITY,
      }),
    },
    statistics,
    rules: () => [careful, base],
    reload: () => ({ rules: 2 }),
  });
  const scene: Scene = {
    now: NOON,
    counters: [],
    measures: [],
    governed: null,
    statistics,
    queries,
    ask<T>(what: QueryName, args: Record<string, unknown> = {}): T {
      const fits = (answer: unknown): T => {
        expect(Buffer.byteLength(JSON.stringify(answer))).toBeLessThan(MOST_ANSWER * 1.1);
        return answer as T;
      };
      const answer = queries.answer(what, args, scene.now);
      return answer instanceof Promise ? (answer.then(fits) as T) : fits(answer);
    },
  };
  return scene;
}

export const report = (parts: Partial<PathReport> = {}): PathReport => ({
  ...NO_COUNTS,
  site: SITE,
  mx: "mx1.a.example",
  ip: "192.0.2.1",
  publicId: 1,
  attempts: 100,
  accepted: 100,
  latencyMs: 10_000,
  ...parts,
});

export const lane = (parts: Partial<LaneReport> = {}): LaneReport => ({
  site: SITE,
  mx: "mx1.a.example",
  publicId: 1,
  waiting: 50,
  inFlight: 2,
  sessions: 3,
  hold: null,
  ...parts,
});

export const counter = (parts: Partial<CounterState> = {}): CounterState => ({
  counter: "a|1|",
  rule: "a",
  publicId: 1,
  ip: "",
  connections: 3,
  connectionLimit: 3,
  spent: 0,
  periodLimit: 100,
  periodEnd: NOON + 300_000,
  waiting: 0,
  members: [],
  ...parts,
});

export const measure = (parts: Partial<Measure> = {}): Measure => ({
  kind: "suspension",
  site: "",
  publicId: null,
  stage: "stop",
  by: "alice",
  reason: "complaints",
  since: NOON - 60_000,
  until: 0,
  ...parts,
});
