/**
 * MX rules: masks over exchanger names, and the limits of whatever matches. First match wins; `*` is the last one. Where the values come
 * from is kept with them, so that `explain` can say it.
 */
import type { Limits } from "./traffic.ts";

/** `ops/rules/mx.yaml:12`, `settings stat.rules[0]`, `built in`. */
export type Origin = string;

export interface MxRule {
  /** Unique among all rules. */
  readonly id: string;
  /** Masks over the exchanger's name, lower case, with * and ?; one of them must match. */
  readonly mx: readonly string[];
  /** Range of public ids, both included; null: all. */
  readonly publicIds: readonly [number, number] | null;
  readonly limits: Limits;
  /** Where the rule stands, and for each limit where its value comes from (the rule, the layer over it, the defaults). */
  readonly origin: Origin;
  readonly origins: Readonly<Partial<Record<keyof Limits, Origin>>>;
  readonly note: string;
}

/** In order of precedence; the last one matches everything. */
export type MxRules = readonly MxRule[];
