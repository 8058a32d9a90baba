/**
 * A statistics server without sockets, for tests of who asks it: the real questions and statistics over counters and measures a test sets. `away`
 * makes it not answer.
 */
import { silentLog } from "../../src/base/log.ts";
import { type MxRule, type MxRules, builtInRule } from "../../src/model/mx-rules.ts";
import type { LaneReport, Limits } from "../../src/model/traffic.ts";
import { NO_COUNTS } from "../../src/quota/answers.ts";
import type { PathReport, QueryName, ReplySample } from "../../src/quota/messages.ts";
import type { CounterState, Governed, Measure } from "../../src/stat/contract.ts";
import { openQueries } from "../../src/stat/queries.ts";
import { openStatistics } from "../../src/stat/statistics.ts";
import { handClock } from "./clock.ts";

export interface FakeStat {
  ask(what: QueryName, args: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Every question that was asked. */
  readonly asked: { readonly what: QueryName; readonly args: Readonly<Record<string, unknown>> }[];
  /** Rejects with this as long as it is set. */
  away: Error | null;
  /** Answers this, whatever was asked. */
  nonsense: unknown;
  counters: CounterState[];
  measures: Measure[];
  rules: MxRules;
  /** What governs a path. */
  governed: (publicId: number, limits: Limits) => Partial<Governed>;
  observe(paths: readonly PathReport[], replies?: readonly ReplySample[]): void;
  lanes(member: string, lanes: readonly LaneReport[]): void;
}

export async function openFakeStat(): Promise<FakeStat> {
  // Ten seconds into a period: no test sees another one begin.
  const began = Math.floor(Date.now() / 300_000) * 300_000 + 10_000;
  const clock = handClock(began);
  const statistics = await openStatistics({
    clock,
    log: silentLog,
    writeRows: async () => {},
    readRows: async () => [],
    forgetRows: async () => 0,
  });
  let looks = 0;
  const fake: FakeStat = {
    asked: [],
    away: null,
    nonsense: undefined,
    counters: [],
    measures: [],
    rules: [builtInRule("*")],
    governed: () => ({}),
    async ask(what, args) {
      fake.asked.push({ what, args });
      if (fake.away !== null) throw fake.away;
      if (fake.nonsense !== undefined) return fake.nonsense;
      try {
        // Over the wire and back; each look a new one, as if time had passed.
        return JSON.parse(JSON.stringify(await queries.answer(what, args, began + 2_000 * looks++)));
      } catch (error) {
        return { error: (error as Error).message };
      }
    },
    observe: (paths, replies = []) => statistics.observe(paths, replies, began),
    lanes: (member, lanes) => queries.lanes(member, lanes, began),
  };
  const queries = openQueries({
    engine: { counters: () => fake.counters },
    governor: {
      list: () => fake.measures,
      govern: (_site, { publicId }, limits) => ({
        limits,
        hold: null,
        connections: Number.POSITIVE_INFINITY,
        messages: Number.POSITIVE_INFINITY,
        ...fake.governed(publicId, limits),
      }),
    },
    statistics,
    rules: () => fake.rules,
    reload: () => ({ rules: fake.rules.length }),
  });
  return fake;
}

/** A rule with these limits. */
export function ruleOf(id: string, mx: string, limits: Partial<Limits>): MxRule {
  const base = builtInRule("*");
  return {
    ...base,
    id,
    mx: [mx],
    limits: { ...base.limits, rule: id, scope: "ip", ...limits },
    origin: "rules/mx.yaml:1",
  };
}

export function pathReport(parts: Partial<PathReport>): PathReport {
  return { ...NO_COUNTS, site: "mx.a.example", mx: "mx.a.example", ip: "192.0.2.1", publicId: 0, ...parts };
}

export function laneReport(parts: Partial<LaneReport>): LaneReport {
  return {
    site: "mx.a.example",
    mx: "mx.a.example",
    publicId: 0,
    waiting: 10,
    inFlight: 0,
    sessions: 0,
    hold: null,
    ...parts,
  };
}
