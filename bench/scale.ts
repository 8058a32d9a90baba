/**
 * Does a big delivery cost more than a small one? Throughput of 10,000 and 200,000 in turns (each with a domain mix), and the mta's peak
 * memory over all of it.
 *
 *     npm run bench -- scale [--small 10000] [--big 200000]
 */
import { deliver, openBenchAppliance, submit } from "./appliance.ts";
import { openBenchSink, peakBytesOf } from "./flow/sink.ts";
import type { BenchOptions } from "./bench.ts";
import { median, printTable, round } from "./table.ts";

export async function scale(options: BenchOptions): Promise<Record<string, unknown>> {
  const small = Number(options.values["small"] ?? (options.short ? 5000 : 10_000));
  const big = Number(options.values["big"] ?? (options.short ? 30_000 : 200_000));
  const sink = await openBenchSink();
  const appliance = await openBenchAppliance({ relayPort: sink.port });
  const smalls: number[] = [];
  let bigSpeed = 0;
  let peakMb = 0;
  try {
    await deliver(appliance, (await submit(appliance, { count: 3000, signed: false, seed: 97 })).id);
    const runSmall = async (seed: number): Promise<void> => {
      const { id } = await submit(appliance, { count: small, signed: false, seed });
      smalls.push((await deliver(appliance, id)).perSecond);
    };
    await runSmall(1);
    await runSmall(2);
    const { id } = await submit(appliance, { count: big, signed: false, seed: 3 });
    bigSpeed = (await deliver(appliance, id, 600_000)).perSecond;
    await runSmall(4);
    await runSmall(5);
    peakMb = Math.round(peakBytesOf(await appliance.pid("mta")) / 1e6);
  } finally {
    await appliance.close();
    await sink.close();
  }
  printTable(
    ["delivery of", "messages a second"],
    [
      [small.toLocaleString("en-US"), Math.round(median(smalls))],
      [big.toLocaleString("en-US"), Math.round(bigSpeed)],
    ],
  );
  console.log(`mta peak memory: ${peakMb} MB`);
  return {
    small: Math.round(median(smalls)),
    big: Math.round(bigSpeed),
    ratio: round(bigSpeed / median(smalls)),
    mtaPeakMb: peakMb,
  };
}
