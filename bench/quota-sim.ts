/**
 * Do the quotas hold, whatever breaks? The real quota engine and the real quota client on virtual time, against an oracle with books of its
 * own (bench/quota-sim/). A violation prints what led to it; the seed repeats it.
 *
 *     npm run bench -- quota-sim [--seed 1] [--steps 300000] [--seeds 20] [--break share|until|returns|releases|revokes|restore]
 */
import { draws } from "../test/support/draws.ts";
import type { BenchOptions } from "./bench.ts";
import { BREAKS, type Break, type SimulationResult, simulate } from "./quota-sim/simulation.ts";

export async function quotaSim(options: BenchOptions): Promise<Record<string, unknown>> {
  const first = Number(options.values["seed"] ?? 1);
  const seeds = Number(options.values["seeds"] ?? 1);
  const steps = Number(options.values["steps"] ?? (options.short ? 100_000 : 500_000));
  const broken = BREAKS.find((name): name is Break => name === options.values["break"]);
  const total = { violations: 0, starved: 0, lostWakeUps: 0, steps: 0 };
  for (let seed = first; seed < first + seeds; seed++) {
    const began = performance.now();
    const result: SimulationResult = await simulate({ seed, steps, draw: draws(seed), broken });
    for (const text of result.said) console.log(`seed ${seed}: ${text}`);
    console.log(
      `seed ${seed}: ${result.steps.toLocaleString("en-US")} steps, ${result.virtualSeconds} s of virtual time, ` +
        `${result.attempts.toLocaleString("en-US")} attempts, ${result.violations} violations, ${result.starved} starved, ` +
        `${result.lostWakeUps} lost wake-ups, in ${((performance.now() - began) / 1000).toFixed(1)} s`,
    );
    total.violations += result.violations;
    total.starved += result.starved;
    total.lostWakeUps += result.lostWakeUps;
    total.steps += result.steps;
  }
  const { violations, starved, lostWakeUps } = total;
  return { seed: first, steps: total.steps, violations, starved, lostWakeUps };
}
