/** A delivery with the statistics server in the loop against the same one without: two whole appliances, in turns. */
import { join } from "node:path";
import { deliver, openBenchAppliance, submit } from "../appliance.ts";
import { openBenchSink } from "../flow/sink.ts";
import { median } from "../table.ts";

/** The median of the rounds' ratios. */
export async function withStat(rounds: number, count: number): Promise<number> {
  const sink = await openBenchSink();
  const asked = await openBenchAppliance({ relayPort: sink.port });
  const free = await openBenchAppliance({ relayPort: sink.port, main: join(import.meta.dirname, "unlimited.ts") });
  const speeds = { with: [] as number[], without: [] as number[] };
  try {
    for (const each of [asked, free])
      await deliver(each, (await submit(each, { count: 3000, signed: false, seed: 99 })).id);
    for (let i = 0; i < rounds; i++) {
      const turns = [["with", asked] as const, ["without", free] as const];
      for (const [name, appliance] of i % 2 === 0 ? turns : turns.toReversed()) {
        const { id } = await submit(appliance, { count, signed: false, seed: i });
        speeds[name].push((await deliver(appliance, id)).perSecond);
      }
    }
  } finally {
    await asked.close();
    await free.close();
    await sink.close();
  }
  return median(speeds.with.map((value, i) => value / (speeds.without[i] ?? 1)));
}
