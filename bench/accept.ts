/**
 * Acceptance: recipients from the client's socket to committed rows, and the memory of the web module while it happens.
 *
 *     npm run bench -- accept [--sizes 100000,1000000]
 */
import { openBenchAppliance, submit } from "./appliance.ts";
import { peakBytesOf } from "./flow/sink.ts";
import type { BenchOptions } from "./bench.ts";
import { printTable, round } from "./table.ts";

export async function accept(options: BenchOptions): Promise<Record<string, unknown>> {
  const sizes = (options.values["sizes"] ?? (options.short ? "100000" : "100000,1000000")).split(",").map(Number);
  const appliance = await openBenchAppliance({ relayPort: 9 });
  const rows: (string | number)[][] = [];
  const result: Record<string, unknown> = {};
  try {
    await submit(appliance, { count: 20_000, signed: false, seed: 98 });
    const pid = await appliance.pid("web");
    for (const [i, count] of sizes.entries()) {
      const domains = Array.from({ length: 500 }, (_, n) => (n % 2 === 0 ? "receiver.example" : `d${n}.example`));
      const { uploadSeconds, answer } = await submit(appliance, { count, signed: false, seed: i, domains });
      if (answer.accepted !== count) throw new Error(`accepted ${answer.accepted} of ${count}`);
      const peakMb = Math.round(peakBytesOf(pid) / 1e6);
      rows.push([
        `${count.toLocaleString("en-US")} recipients`,
        round(uploadSeconds),
        Math.round(count / uploadSeconds),
        peakMb,
      ]);
      result[String(count)] = {
        seconds: round(uploadSeconds),
        perSecond: Math.round(count / uploadSeconds),
        webPeakMb: peakMb,
      };
    }
  } finally {
    await appliance.close();
  }
  printTable(["accepted and durable", "seconds", "a second", "web peak MB"], rows);
  return result;
}
